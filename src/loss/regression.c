/* Regression losses, mean over the outputs (keras/src/losses/losses.py). Where a last layer turns standardised values
 * into the targets' own units, labels are standardised, too, and the loss is that of the values before that layer:
 * z, with from_logits. */
#include "loss/loss_private.h"

#include <math.h>

typedef struct regression_config {
  double delta; /* huber only */
} regression_config;

static const thaw_field huber_fields[] = {
    {.name = "delta",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(regression_config, delta),
     .low = 0,
     .high = 1e30,
     .open_low = true,
     .fallback = 1,
     .help = "error at which the loss turns from quadratic to linear"},
};
const thaw_schema thaw_mean_squared_error_schema = {"mean_squared_error", sizeof(regression_config), NULL, 0,
                                                    "mean over the outputs of (y - label)^2"};
const thaw_schema thaw_mean_absolute_error_schema = {"mean_absolute_error", sizeof(regression_config), NULL, 0,
                                                     "mean over the outputs of |y - label|"};
const thaw_schema thaw_huber_schema = {"huber", sizeof(regression_config), huber_fields, 1,
                                       "quadratic for small errors, linear for large ones"};

/* The loss of one output and its derivative by y, from the error y - label. */
typedef double (*error_function)(double error, double delta, double *derivative);

static double squared(double error, double delta, double *derivative) {
  (void)delta;
  *derivative = 2 * error;
  return error * error;
}

static double absolute(double error, double delta, double *derivative) {
  (void)delta;
  *derivative = error > 0 ? 1 : error < 0 ? -1 : error; /* sign(0) = 0; NaN stays */
  return fabs(error);
}

static double huber(double error, double delta, double *derivative) {
  if (fabs(error) <= delta) {
    *derivative = error;
    return 0.5 * error * error;
  }
  *derivative = error > 0 ? delta : error < 0 ? -delta : error;
  return delta * fabs(error) - 0.5 * delta * delta;
}

static void evaluate(error_function function, double delta, const float *label, const float *y, int32_t rows,
                     int32_t outputs, double scale, double *value, float *dy) {
  for (int32_t row = 0; row < rows; row++) {
    double sum = 0;
    for (int32_t j = 0; j < outputs; j++) {
      size_t at = (size_t)row * (size_t)outputs + (size_t)j;
      double derivative;
      sum += function((double)y[at] - label[at], delta, &derivative);
      if (dy) dy[at] = (float)(derivative * scale / outputs);
    }
    value[row] = sum / outputs;
  }
}

static void evaluate_squared(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                             int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  (void)config;
  evaluate(squared, 0, label, from_logits ? z : y, rows, outputs, scale, value, dy);
}

static void evaluate_absolute(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                              int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  (void)config;
  evaluate(absolute, 0, label, from_logits ? z : y, rows, outputs, scale, value, dy);
}

static void evaluate_huber(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                           int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  evaluate(huber, ((const regression_config *)config)->delta, label, from_logits ? z : y, rows, outputs, scale, value,
           dy);
}

const thaw_loss_ops thaw_mean_squared_error_ops = {.schema = &thaw_mean_squared_error_schema,
                                                   .label_width = thaw_loss_label_per_output,
                                                   .fused = THAW_LINEAR,
                                                   .evaluate = evaluate_squared};
const thaw_loss_ops thaw_mean_absolute_error_ops = {.schema = &thaw_mean_absolute_error_schema,
                                                    .label_width = thaw_loss_label_per_output,
                                                    .fused = THAW_LINEAR,
                                                    .evaluate = evaluate_absolute};
const thaw_loss_ops thaw_huber_ops = {.schema = &thaw_huber_schema,
                                      .label_width = thaw_loss_label_per_output,
                                      .fused = THAW_LINEAR,
                                      .evaluate = evaluate_huber};
