/* report.h: plots (cairo) and the HTML page of a run folder. Reads files of the run folder only. All [local].
 *
 * Files of a run folder that the report reads, each of which may be missing except metrics.csv for the curves:
 *
 *     job.yaml          the effective job
 *     environment.json  versions, ranks, hosts, digests: a map, shown as a table whatever its keys
 *     metrics.csv       one header line, then one row per epoch: phase,epoch,step,learning_rate,loss,<metrics>,
 *                       val_loss,val_<metrics>,seconds; columns are found by name, an empty cell is an absent value
 *     evaluation.json   count, loss, metrics {name: value}, and for classes: accuracy, accuracy_interval_95, classes
 *                       [names], confusion [[true x predicted]]; overall, questions, calibration, subgroups and notes
 *                       as `thaw evaluate` writes them, where a figure is [value, low, high, undefined replicates]
 *     roc.png, precision_recall.png, calibration.png, residuals.png    plots that the evaluation made
 *     log.jsonl         events, one JSON map per line
 *     data/data.json    the data sheet: splits, each with name, path, samples, shape, digest, and classes or targets
 *                       with their histograms; strips, each a class and a file data/NNN.png with some of its samples
 *     explain/sheet.png what `thaw explain` drew
 *     summary.txt       the model's table of layers; summary-phase-N.txt those of later phases
 *
 * Files that it writes: learning_curve.png, confusion.png, report.html.
 */
#ifndef THAW_REPORT_H
#define THAW_REPORT_H

#include "thaw/file.h"
#include "thaw/image.h"
#include "thaw/status.h"
#include "thaw/text.h"
#include <stdint.h>

typedef struct thaw_series {
  const char *label;
  const double *x, *y; /* y NaN or infinite: a gap */
  int32_t count;
  int32_t colour; /* 0: by position; 1 .. 6: one of the palette, so that two series can share one */
  bool dashed;
  bool points; /* dots without a line */
} thaw_series;
typedef struct thaw_marker { /* a vertical line with a word at its top */
  double x;
  const char *label;
} thaw_marker;
typedef struct thaw_plot {
  const char *title, *x_label, *y_label; /* each may be NULL */
  const thaw_series *series;
  int32_t count;
  const thaw_marker *markers;
  int32_t marker_count;
  double y_low, y_high;  /* both 0: from the data */
  int32_t width, height; /* pixels; 0: 800 x 480 */
  double scale;          /* of fonts and lines, 13 pixels and up at 1; 0: fits width and height */
} thaw_plot;
/* Texts may hold any bytes: what is not UTF-8 is drawn as '?'. */
thaw_status thaw_plot_lines(const char *path, const thaw_plot *plot) THAW_CHECKED;
/* Several plots in one picture, `columns` side by side; their own sizes do not count. */
thaw_status thaw_plot_panels(const char *path, const thaw_plot *plot, int32_t count, int32_t columns) THAW_CHECKED;
/* Row-normalised colours with counts written in the cells where they fit; class names on both axes (numbers where
 * `names` is NULL or too short). confusion [classes][classes]: true x predicted; 1 .. 2000 classes. */
thaw_status thaw_plot_confusion(const char *path, const char *title, const int64_t *confusion, int32_t classes,
                                const thaw_strings *names) THAW_CHECKED;
/* For each target (the first few): predicted over true values, and residuals over predicted ones. y, target
 * [count][outputs]; names may be NULL or short. */
thaw_status thaw_plot_residuals(const char *path, const float *y, const float *target, int64_t count, int32_t outputs,
                                const thaw_strings *names) THAW_CHECKED;
/* Pictures with words: each tile shows its pictures (8-bit RGB) side by side, a title and a note under them. */
typedef struct thaw_tile {
  const thaw_image *picture; /* [pictures] */
  int32_t pictures;
  const char *title, *note; /* may be NULL */
  bool marked;              /* the title stands out */
} thaw_tile;
/* A sheet of tiles in rows. */
thaw_status thaw_plot_tiles(const char *path, const char *title, const thaw_tile *tile, int32_t count) THAW_CHECKED;
/* ------------------------------------------------------------------ looking at a run from outside
 * From its files alone (job.yaml, log.jsonl, metrics.csv, progress.json), while it runs on any host. */
typedef enum thaw_run_state {
  THAW_RUN_NONE,     /* there is no run yet */
  THAW_RUN_ACTIVE,   /* it has given a sign of life */
  THAW_RUN_SILENT,   /* for minutes it has not: at a long evaluation, or dead */
  THAW_RUN_KILLED,   /* its process on this host is gone without a word */
  THAW_RUN_STOPPED,  /* after a checkpoint: to be resumed */
  THAW_RUN_FAILED,   /* with an error */
  THAW_RUN_COMPLETE, /* to the end of its job */
} thaw_run_state;
const char *thaw_run_state_name(thaw_run_state state);
typedef struct thaw_watch_options {
  double now;      /* seconds since 1970 */
  int32_t columns; /* of the terminal, at least 40 */
  bool ascii;      /* no other characters */
} thaw_watch_options;
/* [local] Adds lines for a terminal: state, progress with rate and time left, curves, who waited for whom, the last
 * checkpoint. */
thaw_status thaw_run_watch(const char *run_folder, const thaw_watch_options *options, thaw_text *out,
                           thaw_run_state *state) THAW_CHECKED;

/* learning_curve.png from metrics.csv (loss and first metric, training and validation, phases marked). */
thaw_status thaw_report_curves(const char *run_folder) THAW_CHECKED;
/* report.html: one self-contained page (images inlined), with whatever of the files above there is. Also writes
 * learning_curve.png and confusion.png anew. THAW_ERR_DATA when the folder holds none of them. */
thaw_status thaw_report_html(const char *run_folder) THAW_CHECKED;
/* A self-contained page about a comparison of two runs: `json` as `thaw compare` makes it; the runs' folders (or files:
 * then without these) for learning curves and what differs between their jobs. */
thaw_status thaw_report_comparison(const char *path, const char *json, size_t size, const char *run_a,
                                   const char *run_b) THAW_CHECKED;

#endif
