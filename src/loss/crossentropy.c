/* Cross-entropies as keras/src/losses/losses.py defines them on keras/src/backend/tensorflow/nn.py. Sums in double. */
#include "loss/loss_private.h"

#include <math.h>

/* keras.config.epsilon(): probabilities are clipped to [epsilon, 1 - epsilon]. Both bounds are float32 in Keras. */
static const double clip_low = 1e-7f, clip_high = 1.0f - 1e-7f;

typedef struct crossentropy_config {
  double label_smoothing;
} crossentropy_config;

static const thaw_field smoothing_fields[] = {
    {.name = "label_smoothing",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(crossentropy_config, label_smoothing),
     .low = 0,
     .high = 1,
     .fallback = 0,
     .help = "the share of each label that is spread evenly over all classes"},
};
const thaw_schema thaw_categorical_crossentropy_schema = {
    "categorical_crossentropy", sizeof(crossentropy_config), smoothing_fields, 1,
    "cross-entropy between one-hot (or soft) labels and a softmax output"};
const thaw_schema thaw_sparse_categorical_crossentropy_schema = {
    "sparse_categorical_crossentropy", sizeof(crossentropy_config), NULL, 0,
    "cross-entropy between class indices and a softmax output"};
const thaw_schema thaw_binary_crossentropy_schema = {
    "binary_crossentropy", sizeof(crossentropy_config), smoothing_fields, 1,
    "cross-entropy of independent yes/no outputs (sigmoid), mean over the outputs; unknown labels (255) count as "
    "without error"};

static double clip(double p) {
  return p < clip_low ? clip_low : p > clip_high ? clip_high : p;
}

static bool inside(double p) {
  return p >= clip_low && p <= clip_high;
}

/* log(sum(exp(z))) without overflow; *largest_out is what was subtracted. */
static double log_sum_exp(const float *z, int32_t outputs, double *largest_out, double *sum_out) {
  double largest = z[0], sum = 0;
  for (int32_t j = 1; j < outputs; j++)
    if (!(z[j] <= largest)) largest = z[j];
  for (int32_t j = 0; j < outputs; j++) sum += exp(z[j] - largest);
  *largest_out = largest;
  *sum_out = sum;
  return largest + log(sum);
}

static double smooth(double label, double smoothing, double mean) {
  return label * (1 - smoothing) + smoothing * mean;
}

/* ------------------------------------------------------------------ categorical */
/* Row loss sum_j t_j (logsumexp(z) - z_j); dz_j = softmax(z)_j - t_j (TensorFlow's gradient). */
static double categorical_logits(const float *label, double smoothing, const float *z, int32_t outputs, double scale,
                                 float *dy) {
  double largest, sum, loss = 0, total = log_sum_exp(z, outputs, &largest, &sum);
  for (int32_t j = 0; j < outputs; j++) {
    double t = smooth(label[j], smoothing, 1.0 / outputs);
    loss += t * (total - z[j]);
    if (dy) dy[j] = (float)((exp(z[j] - largest) / sum - t) * scale);
  }
  return loss;
}

/* q = y / sum(y), clipped; loss = -sum_j t_j log(q_j); with g_j = dL/dq_j: dy_j = (g_j - sum_k g_k q_k) / sum(y). */
static double categorical_row(const float *label, double smoothing, const float *y, int32_t outputs, double scale,
                              float *dy) {
  double sum = 0, loss = 0, inner = 0;
  for (int32_t j = 0; j < outputs; j++) sum += y[j];
  for (int32_t j = 0; j < outputs; j++) {
    double t = smooth(label[j], smoothing, 1.0 / outputs), q = y[j] / sum;
    loss -= t * log(clip(q));
    if (inside(q)) inner -= t;
  }
  for (int32_t j = 0; dy && j < outputs; j++) {
    double t = smooth(label[j], smoothing, 1.0 / outputs), q = y[j] / sum, g = inside(q) ? -t / q : 0;
    dy[j] = (float)((g - inner) / sum * scale);
  }
  return loss;
}

static void categorical(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                        int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  double smoothing = ((const crossentropy_config *)config)->label_smoothing;
  for (int32_t row = 0; row < rows; row++) {
    size_t at = (size_t)row * (size_t)outputs;
    float *gradient = dy ? dy + at : NULL;
    value[row] = from_logits ? categorical_logits(label + at, smoothing, z + at, outputs, scale, gradient)
                             : categorical_row(label + at, smoothing, y + at, outputs, scale, gradient);
  }
}

/* ------------------------------------------------------------------ sparse categorical */
static double sparse_logits(int32_t class, const float *z, int32_t outputs, double scale, float *dy) {
  double largest, sum, total = log_sum_exp(z, outputs, &largest, &sum);
  for (int32_t j = 0; dy && j < outputs; j++)
    dy[j] = (float)((exp(z[j] - largest) / sum - (j == class ? 1 : 0)) * scale);
  return total - z[class];
}

/* Keras takes log(clip(y)) for logits: loss = log(sum_j p_j) - log(p_class) with p = clip(y). */
static double sparse_row(int32_t class, const float *y, int32_t outputs, double scale, float *dy) {
  double sum = 0;
  for (int32_t j = 0; j < outputs; j++) sum += clip(y[j]);
  for (int32_t j = 0; dy && j < outputs; j++)
    dy[j] = inside(y[j]) ? (float)((1 / sum - (j == class ? 1.0 / y[j] : 0)) * scale) : 0;
  return log(sum) - log(clip(y[class]));
}

static void sparse(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                   int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  (void)config;
  for (int32_t row = 0; row < rows; row++) {
    size_t at = (size_t)row * (size_t)outputs;
    float *gradient = dy ? dy + at : NULL;
    if (!(label[row] >= 0 && label[row] < (float)outputs)) { /* no such class: the step is refused as not finite */
      value[row] = NAN;
      for (int32_t j = 0; gradient && j < outputs; j++) gradient[j] = NAN;
      continue;
    }
    int32_t class = (int32_t)label[row];
    value[row] = from_logits ? sparse_logits(class, z + at, outputs, scale, gradient)
                             : sparse_row(class, y + at, outputs, scale, gradient);
  }
}

/* ------------------------------------------------------------------ binary */
/* max(z,0) - z t + log(1 + exp(-|z|)); dz = sigmoid(z) - t. */
static double binary_logit(double t, double z, double *derivative) {
  double decay = exp(-fabs(z));
  *derivative = (z >= 0 ? 1 / (1 + decay) : decay / (1 + decay)) - t;
  return (z > 0 ? z : 0) - z * t + log1p(decay);
}

/* -(t log(p) + (1-t) log(1-p)) with p = clip(y). */
static double binary_value(double t, double y, double *derivative) {
  double p = clip(y);
  *derivative = inside(y) ? (1 - t) / (1 - p) - t / p : 0;
  return -(t * log(p) + (1 - t) * log(1 - p));
}

static void binary(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                   int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  double smoothing = ((const crossentropy_config *)config)->label_smoothing;
  for (int32_t row = 0; row < rows; row++) {
    double sum = 0;
    for (int32_t j = 0; j < outputs; j++) {
      size_t at = (size_t)row * (size_t)outputs + (size_t)j;
      double derivative = 0;
      if (label[at] != THAW_LABEL_UNKNOWN) {
        double t = smooth(label[at], smoothing, 0.5);
        sum += from_logits ? binary_logit(t, z[at], &derivative) : binary_value(t, y[at], &derivative);
      }
      if (dy) dy[at] = (float)(derivative * scale / outputs);
    }
    value[row] = sum / outputs;
  }
}

const thaw_loss_ops thaw_categorical_crossentropy_ops = {.schema = &thaw_categorical_crossentropy_schema,
                                                         .label_width = thaw_loss_label_per_output,
                                                         .fused = THAW_SOFTMAX,
                                                         .evaluate = categorical};
const thaw_loss_ops thaw_sparse_categorical_crossentropy_ops = {.schema = &thaw_sparse_categorical_crossentropy_schema,
                                                                .label_width = thaw_loss_label_class,
                                                                .fused = THAW_SOFTMAX,
                                                                .evaluate = sparse};
const thaw_loss_ops thaw_binary_crossentropy_ops = {.schema = &thaw_binary_crossentropy_schema,
                                                    .label_width = thaw_loss_label_per_output,
                                                    .fused = THAW_SIGMOID,
                                                    .evaluate = binary};
