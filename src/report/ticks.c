/* Nice numbers for axes, after P. Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990. */
#include "report/report_private.h"

#include <math.h>
#include <stdio.h>

report_axis report_axis_make(double low, double high, int wanted, bool whole) {
  double raw = (high - low) / wanted, power = pow(10, floor(log10(raw))), ratio = raw / power;
  double step = power * (ratio <= 1.0001 ? 1 : ratio <= 2.0001 ? 2 : ratio <= 5.0001 ? 5 : 10);
  if (whole && step < 1) step = 1;
  int digits = (int)-floor(log10(step) + 1e-9);
  return (report_axis){.low = low, .high = high, .step = step, .digits = digits < 0 ? 0 : digits};
}

const char *report_tick(const report_axis *axis, double value, char out[32]) {
  double largest = fmax(fabs(axis->low), fabs(axis->high));
  if (fabs(value) < axis->step * 1e-6) value = 0;
  if (axis->digits > 4 || largest >= 1e6)
    snprintf(out, 32, "%.3g", value);
  else
    snprintf(out, 32, "%.*f", axis->digits, value);
  return out;
}
