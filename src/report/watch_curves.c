/* Curves and bars of characters. */
#include "report/report_private.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS = 8, NAME_WIDTH = 18, MOST_CURVES = 12 };

void report_add_sparkline(thaw_text *out, const double *value, int32_t count, int32_t width, bool ascii) {
  static const char *const block[LEVELS] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                            "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
  static const char plain[LEVELS + 1] = "_.-:=+*#";
  double low = INFINITY, high = -INFINITY;
  for (int32_t i = 0; i < count; i++)
    if (isfinite(value[i])) low = fmin(low, value[i]), high = fmax(high, value[i]);
  int32_t cells = count < width ? count : width;
  for (int32_t c = 0; c < cells; c++) {
    double sum = 0;
    int32_t known = 0;
    for (int64_t i = (int64_t)c * count / cells; i < (int64_t)(c + 1) * count / cells; i++)
      if (isfinite(value[i])) sum += value[i], known++;
    if (!known) {
      thaw_text_add(out, " ");
      continue;
    }
    double share = high > low ? (sum / known - low) / (high - low) : 0.5;
    int32_t level = (int32_t)(share * (LEVELS - 1) + 0.5);
    level = level < 0 ? 0 : level < LEVELS ? level : LEVELS - 1;
    if (ascii)
      thaw_text_add(out, "%c", plain[level]);
    else
      thaw_text_add(out, "%s", block[level]);
  }
}

void report_add_bar(thaw_text *out, double share, int32_t width) {
  int32_t full = (int32_t)(fmax(0, fmin(1, share)) * width + 0.5);
  thaw_text_add(out, "[");
  for (int32_t i = 0; i < width; i++) thaw_text_add(out, "%c", i < full ? '#' : '.');
  thaw_text_add(out, "]");
}

/* Lower is better for losses and errors, higher for the rest. */
static bool falls(const char *name) {
  static const char *const falling[] = {"loss", "error", "mse", "mae", "rmse", "divergence"};
  for (size_t i = 0; i < sizeof falling / sizeof *falling; i++)
    if (strstr(name, falling[i])) return true;
  return false;
}

static void add_curve(thaw_text *out, const report_metrics *metrics, int32_t column, int32_t columns, bool ascii) {
  const char *name = metrics->columns.item[column];
  double value[4096];
  int32_t rows = metrics->rows < 4096 ? metrics->rows : 4096, first = metrics->rows - rows, best = -1, last = 0;
  for (int32_t i = 0; i < rows; i++) {
    value[i] = report_metrics_at(metrics, first + i, column);
    if (isfinite(value[i])) last = i;
    if (isfinite(value[i]) && (best < 0 || (falls(name) ? value[i] < value[best] : value[i] > value[best]))) best = i;
  }
  if (best < 0) return;
  int32_t room = columns - NAME_WIDTH - 48;
  thaw_text_add(out, "%-*.*s %10.4g ", NAME_WIDTH, NAME_WIDTH, name, value[0]);
  report_add_sparkline(out, value, rows, room < 8 ? 8 : room > 60 ? 60 : room, ascii);
  thaw_text_add(out, " %.4g  (best %.4g in epoch %d)\n", value[last], value[best], first + best + 1);
}

void report_add_curves(thaw_text *out, const report_metrics *metrics, int32_t columns, bool ascii) {
  static const char *const other[] = {"phase", "epoch", "step", "learning_rate", "seconds"};
  int32_t shown = 0;
  for (size_t i = 0; metrics->rows && i < metrics->columns.count && shown < MOST_CURVES; i++) {
    bool quantity = true;
    for (size_t k = 0; k < sizeof other / sizeof *other; k++)
      quantity &= strcmp(metrics->columns.item[i], other[k]) != 0;
    if (!quantity) continue;
    add_curve(out, metrics, (int32_t)i, columns, ascii);
    shown++;
  }
}
