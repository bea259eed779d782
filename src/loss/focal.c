/* Focal losses (Lin et al., "Focal loss for dense object detection", ICCV 2017) as keras/src/losses/losses.py defines
 * them: cross-entropies whose terms shrink where the answer is sure already. Sums in double. */
#include "loss/loss_private.h"

#include <math.h>

static const double clip_low = 1e-7f, clip_high = 1.0f - 1e-7f; /* keras.config.epsilon() */
typedef struct focal_config {
  double gamma, alpha, label_smoothing;
  bool apply_class_balancing; /* binary only */
} focal_config;

#define FOCAL_FIELDS                                                                                                   \
  {.name = "alpha",                                                                                                    \
   .kind = THAW_FIELD_FLOAT,                                                                                           \
   .offset = offsetof(focal_config, alpha),                                                                            \
   .high = 1,                                                                                                          \
   .fallback = 0.25,                                                                                                   \
   .help = "weight of the positives, 1 - alpha that of the negatives; of all terms in the categorical loss"},          \
      {.name = "gamma",                                                                                                \
       .kind = THAW_FIELD_FLOAT,                                                                                       \
       .offset = offsetof(focal_config, gamma),                                                                        \
       .high = 100,                                                                                                    \
       .fallback = 2,                                                                                                  \
       .help = "how much sure answers count less; 0: not at all"},                                                     \
  {                                                                                                                    \
    .name = "label_smoothing", .kind = THAW_FIELD_FLOAT, .offset = offsetof(focal_config, label_smoothing), .high = 1, \
    .help = "the share of each label that is spread evenly over all classes"                                           \
  }
static const thaw_field categorical_fields[] = {FOCAL_FIELDS};
static const thaw_field binary_fields[] = {
    {.name = "apply_class_balancing",
     .kind = THAW_FIELD_BOOL,
     .offset = offsetof(focal_config, apply_class_balancing),
     .help = "use alpha"},
    FOCAL_FIELDS,
};
const thaw_schema thaw_binary_focal_crossentropy_schema = {
    "binary_focal_crossentropy", sizeof(focal_config), binary_fields, 4,
    "binary_crossentropy that counts sure answers less; unknown labels (255) count as without error"};
const thaw_schema thaw_categorical_focal_crossentropy_schema = {
    "categorical_focal_crossentropy", sizeof(focal_config), categorical_fields, 3,
    "categorical_crossentropy that counts sure answers less"};

static double clip(double p) {
  return p < clip_low ? clip_low : p > clip_high ? clip_high : p;
}

static bool inside(double p) {
  return p >= clip_low && p <= clip_high;
}

/* x^gamma and its derivative; x >= 0. */
static double power(double x, double gamma, double *derivative) {
  *derivative = gamma == 0 || !(x > 0) ? (gamma == 1 ? 1 : 0) : gamma * pow(x, gamma - 1);
  return gamma == 0 ? 1 : pow(x, gamma);
}

/* ------------------------------------------------------------------ binary
 * w (1 - p_t)^gamma b with p_t = t p + (1 - t)(1 - p), b the cross-entropy, w = t alpha + (1 - t)(1 - alpha). */

typedef struct term {
  double p, slope;               /* the probability and dp/dx of what is derived by: y, or the logit */
  double entropy, entropy_slope; /* b and db/dx */
} term;

static term from_probability(double t, double y) {
  double q = clip(y);
  return (term){y, 1, -(t * log(q) + (1 - t) * log(1 - q)), inside(y) ? (1 - t) / (1 - q) - t / q : 0};
}

/* b = max(z,0) - z t + log(1 + exp(-|z|)), which loses nothing. */
static term from_logit(double t, double z) {
  double decay = exp(-fabs(z)), p = z >= 0 ? 1 / (1 + decay) : decay / (1 + decay);
  return (term){p, decay / ((1 + decay) * (1 + decay)), (z > 0 ? z : 0) - z * t + log1p(decay), p - t};
}

static double binary_term(const focal_config *c, double t, term x, double *derivative) {
  double slope, miss = 1 - (t * x.p + (1 - t) * (1 - x.p)), factor = power(miss, c->gamma, &slope);
  double weight = c->apply_class_balancing ? t * c->alpha + (1 - t) * (1 - c->alpha) : 1;
  *derivative = weight * (slope * (1 - 2 * t) * x.slope * x.entropy + factor * x.entropy_slope);
  return weight * factor * x.entropy;
}

static void binary(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                   int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  const focal_config *c = config;
  for (int32_t row = 0; row < rows; row++) {
    double sum = 0;
    for (int32_t j = 0; j < outputs; j++) {
      size_t at = (size_t)row * (size_t)outputs + (size_t)j;
      double derivative = 0;
      if (label[at] != THAW_LABEL_UNKNOWN) {
        double t = label[at] * (1 - c->label_smoothing) + 0.5 * c->label_smoothing;
        sum += binary_term(c, t, from_logits ? from_logit(t, z[at]) : from_probability(t, y[at]), &derivative);
      }
      if (dy) dy[at] = (float)(derivative * scale / outputs);
    }
    value[row] = sum / outputs;
  }
}

/* ------------------------------------------------------------------ categorical
 * -sum_j alpha (1 - q_j)^gamma t_j log(q_j) with q = y / sum(y), clipped, or the softmax of the logits. */

/* One term and its derivative by q_j, times q_j. */
static double categorical_term(const focal_config *c, double t, double q, double log_q, double *q_derivative) {
  double slope, factor = power(1 - q, c->gamma, &slope);
  *q_derivative = c->alpha * t * (slope * q * log_q - factor);
  return -c->alpha * t * factor * log_q;
}

static double smooth(const focal_config *c, double label, int32_t outputs) {
  return label * (1 - c->label_smoothing) + c->label_smoothing / outputs;
}

static double categorical_row(const focal_config *c, const float *label, const float *y, int32_t outputs, double scale,
                              float *dy) {
  double sum = 0, loss = 0, inner = 0, product;
  for (int32_t j = 0; j < outputs; j++) sum += y[j];
  for (int32_t j = 0; j < outputs; j++) {
    double q = y[j] / sum;
    loss += categorical_term(c, smooth(c, label[j], outputs), clip(q), log(clip(q)), &product);
    if (inside(q)) inner += product;
  }
  for (int32_t j = 0; dy && j < outputs; j++) {
    double q = y[j] / sum;
    categorical_term(c, smooth(c, label[j], outputs), clip(q), log(clip(q)), &product);
    dy[j] = (float)(((inside(q) ? product / q : 0) - inner) / sum * scale);
  }
  return loss;
}

static double categorical_logits(const focal_config *c, const float *label, const float *z, int32_t outputs,
                                 double scale, float *dy) {
  double largest = z[0], sum = 0, loss = 0, inner = 0, product;
  for (int32_t j = 1; j < outputs; j++)
    if (!(z[j] <= largest)) largest = z[j];
  for (int32_t j = 0; j < outputs; j++) sum += exp(z[j] - largest);
  double total = largest + log(sum);
  for (int32_t j = 0; j < outputs; j++) {
    loss += categorical_term(c, smooth(c, label[j], outputs), exp(z[j] - total), z[j] - total, &product);
    inner += product;
  }
  for (int32_t j = 0; dy && j < outputs; j++) {
    double q = exp(z[j] - total);
    categorical_term(c, smooth(c, label[j], outputs), q, z[j] - total, &product);
    dy[j] = (float)((product - q * inner) * scale);
  }
  return loss;
}

static void categorical(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                        int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  for (int32_t row = 0; row < rows; row++) {
    size_t at = (size_t)row * (size_t)outputs;
    float *gradient = dy ? dy + at : NULL;
    value[row] = from_logits ? categorical_logits(config, label + at, z + at, outputs, scale, gradient)
                             : categorical_row(config, label + at, y + at, outputs, scale, gradient);
  }
}

const thaw_loss_ops thaw_binary_focal_crossentropy_ops = {.schema = &thaw_binary_focal_crossentropy_schema,
                                                          .label_width = thaw_loss_label_per_output,
                                                          .fused = THAW_SIGMOID,
                                                          .evaluate = binary};
const thaw_loss_ops thaw_categorical_focal_crossentropy_ops = {.schema = &thaw_categorical_focal_crossentropy_schema,
                                                               .label_width = thaw_loss_label_per_output,
                                                               .fused = THAW_SOFTMAX,
                                                               .evaluate = categorical};
