/* fill.h: what fill.c and fill_units.c share. */
#ifndef THAW_FEATURE_FILL_H
#define THAW_FEATURE_FILL_H

#include "feature/feature_private.h"

/* Blocks of a cut: on the disk already, to be made, made by this rank now. */
enum { FILL_THERE = 0, FILL_MISSING = 1, FILL_MADE = 2 };

typedef struct fill_cut {
  thaw_features *features;
  thaw_later *later; /* NULL: the present phase's cut */
  thaw_view *view;
  int64_t *block; /* [blocks] */
  bool dropped;   /* this rank's disk took no more of a later cut */
  thaw_half_error error;
} fill_cut;

typedef struct filler {
  thaw_features *features;
  thaw_comm *comm;
  thaw_log *log;
  fill_cut *cut; /* the present one first */
  int32_t cuts, made;
  int64_t unit_rows, units; /* samples are dealt to ranks in units: whole blocks of every cut */
  int64_t piece_rows;       /* at most so many are computed between two looks at clock and signals */
  int64_t *unit, count;     /* those with a missing block, in order */
} filler;

/* This rank's share of the units. */
typedef struct fill_share {
  int64_t begin, next, end;  /* into filler.unit; next: where the piece lies that is read ahead */
  int64_t rows, done, total; /* samples of this share, of those done, and of all shares */
  int64_t piece, piece_rows; /* the samples that are read ahead; piece_rows = 0: none */
  bool cut_short;            /* a piece was given up for a wish to stop */
  thaw_status status;        /* of this rank's computing */
} fill_share;

/* [local] */
void thaw_fill_choose_units(filler *fill);
/* [local] Takes away the blocks that this rank has made. */
void thaw_fill_remove(fill_cut *cut);
/* [collective] *stopped_out: a rank was asked to stop. A rank that failed has it in share->status; all then end. */
thaw_status thaw_fill_compute(filler *fill, fill_share *share, bool *stopped_out) THAW_CHECKED;

#endif
