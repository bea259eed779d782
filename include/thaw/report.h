/* report.h: plots (cairo) and the HTML page of a run folder. Reads files of the run folder only. All [local]. */
#ifndef THAW_REPORT_H
#define THAW_REPORT_H

#include "thaw/file.h"
#include "thaw/status.h"
#include <stdint.h>

typedef struct thaw_series {
  const char *label;
  const double *x, *y; /* y NaN: a gap */
  int32_t count;
} thaw_series;
typedef struct thaw_plot {
  const char *title, *x_label, *y_label;
  const thaw_series *series;
  int32_t count;
  double y_low, y_high;  /* both 0: from the data */
  int32_t width, height; /* pixels; 0: 800 x 480 */
} thaw_plot;
thaw_status thaw_plot_lines(const char *path, const thaw_plot *plot) THAW_CHECKED;
/* Row-normalised colours with counts written in the cells; class names on both axes. */
thaw_status thaw_plot_confusion(const char *path, const char *title, const int64_t *confusion, int32_t classes,
                                const thaw_strings *names) THAW_CHECKED;
/* learning_curve.png from metrics.csv (loss and accuracy, training and validation, phases marked). */
thaw_status thaw_report_curves(const char *run_folder) THAW_CHECKED;
/* report.html: one self-contained page (images inlined). */
thaw_status thaw_report_html(const char *run_folder) THAW_CHECKED;

#endif
