/* match.h: what `thaw match` found, as text, JSON, tables and plots. Private to src/cli. */
#ifndef THAW_CLI_MATCH_H
#define THAW_CLI_MATCH_H

#include "thaw/match.h"

typedef struct cli_match {
  const char *path, *pairs_path, *gallery_path, *threshold_path; /* of the files; NULL: not given */
  const thaw_embeddings *embeddings, *gallery;                   /* gallery NULL: taken from the embeddings */
  thaw_pairs pairs;
  thaw_verification verification;
  thaw_identification identification;
  bool identified; /* `identification` holds something */
  int64_t single;  /* persons with one image */
  thaw_strings single_names;
  thaw_strings notes; /* what is not defined, and what was left out */
} cli_match;

/* [local] Fills `notes`. */
thaw_status cli_match_note(cli_match *match) THAW_CHECKED;
void cli_match_text(const cli_match *match, thaw_text *out);
void cli_match_json(const cli_match *match, thaw_text *out);
/* [local] match.json, roc.png, roc.csv, cmc.png, cmc.csv and, of a list of pairs, pairs.csv. */
thaw_status cli_match_write(const cli_match *match, const char *folder) THAW_CHECKED;

#endif
