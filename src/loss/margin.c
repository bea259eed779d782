/* Margin losses on cosines: softmax cross-entropy of s cos(theta_j), where the class itself has to win by a margin m.
 *
 *   arcface  J. Deng et al., "ArcFace: additive angular margin loss for deep face recognition", CVPR 2019, eq. 3:
 *            cos(theta + m) for the class. Past theta = pi - m, where that would rise again, cos(theta) - m sin(m)
 *            takes its place, as in the authors' program.
 *   cosface  H. Wang et al., "CosFace: large margin cosine loss for deep face recognition", CVPR 2018, eq. 4:
 *            cos(theta) - m for the class.
 */
#include "loss/loss_private.h"

#include <math.h>

typedef struct margin_config {
  double scale, margin;
} margin_config;

enum { MARGIN_FIELDS = 2 };
static const thaw_field arcface_fields[MARGIN_FIELDS] = {
    {.name = "scale",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(margin_config, scale),
     .low = 1e-3,
     .high = 1e4,
     .fallback = 64,
     .help = "s: by which cosines are multiplied"},
    {.name = "margin",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(margin_config, margin),
     .low = 0,
     .high = 1.5,
     .fallback = 0.5,
     .help = "m: radians added to the angle of the class"},
};
static const thaw_field cosface_fields[MARGIN_FIELDS] = {
    {.name = "scale",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(margin_config, scale),
     .low = 1e-3,
     .high = 1e4,
     .fallback = 64,
     .help = "s: by which cosines are multiplied"},
    {.name = "margin",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(margin_config, margin),
     .low = 0,
     .high = 1,
     .fallback = 0.35,
     .help = "m: taken from the cosine of the class"},
};
const thaw_schema thaw_arcface_schema = {"arcface", sizeof(margin_config), arcface_fields, MARGIN_FIELDS,
                                         "additive angular margin on the cosines of a cosine_dense layer"};
const thaw_schema thaw_cosface_schema = {"cosface", sizeof(margin_config), cosface_fields, MARGIN_FIELDS,
                                         "additive cosine margin on the cosines of a cosine_dense layer"};

/* The cosine of the class with its margin, and the derivative of that by the cosine. */
typedef double (*with_margin)(double cosine, double margin, double *slope);

/* cos(theta + m) = c cos(m) - sqrt(1 - c^2) sin(m); the slope is kept finite at c = 1. */
static double angular(double c, double m, double *slope) {
  const double least_sine = 1e-4;
  if (c > 1) c = 1;
  if (c < -1) c = -1;
  double sine = sqrt(1 - c * c);
  *slope = 1;
  if (c <= -cos(m)) return c - m * sin(m); /* theta + m >= pi */
  *slope = cos(m) + c * sin(m) / (sine > least_sine ? sine : least_sine);
  return c * cos(m) - sine * sin(m);
}

static double additive(double c, double m, double *slope) {
  *slope = 1;
  return c - m;
}

static double row(const margin_config *config, with_margin margin, int32_t class, const float *cosine, int32_t classes,
                  double scale, float *dy) {
  double slope, own = config->scale * margin(cosine[class], config->margin, &slope), largest = own, sum = 0;
  for (int32_t j = 0; j < classes; j++) {
    double z = config->scale * cosine[j];
    if (j != class && z > largest) largest = z;
  }
  for (int32_t j = 0; j < classes; j++) sum += exp((j == class ? own : config->scale * cosine[j]) - largest);
  for (int32_t j = 0; dy && j < classes; j++) {
    double p = exp((j == class ? own : config->scale * cosine[j]) - largest) / sum;
    dy[j] = (float)((j == class ? (p - 1) * slope : p) * config->scale * scale);
  }
  return largest + log(sum) - own;
}

static void rows_of(const margin_config *config, with_margin margin, const float *label, const float *y, int32_t rows,
                    int32_t outputs, double scale, double *value, float *dy) {
  for (int32_t r = 0; r < rows; r++) {
    size_t at = (size_t)r * (size_t)outputs;
    float *gradient = dy ? dy + at : NULL;
    if (label[r] >= 0 && label[r] < (float)outputs) {
      value[r] = row(config, margin, (int32_t)label[r], y + at, outputs, scale, gradient);
      continue;
    }
    value[r] = NAN; /* no such class: the step is refused as not finite */
    for (int32_t j = 0; gradient && j < outputs; j++) gradient[j] = NAN;
  }
}

static void arcface(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                    int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  (void)z;
  (void)from_logits;
  rows_of(config, angular, label, y, rows, outputs, scale, value, dy);
}

static void cosface(const void *config, const float *label, const float *y, const float *z, bool from_logits,
                    int32_t rows, int32_t outputs, double scale, double *value, float *dy) {
  (void)z;
  (void)from_logits;
  rows_of(config, additive, label, y, rows, outputs, scale, value, dy);
}

/* What the classifier without a margin says: softmax(s cos). */
static void probabilities(const void *config, int64_t rows, int32_t outputs, float *y) {
  double scale = ((const margin_config *)config)->scale;
  for (int64_t r = 0; r < rows; r++) {
    float *p = y + (size_t)r * (size_t)outputs;
    double largest = p[0], sum = 0;
    for (int32_t j = 1; j < outputs; j++)
      if (p[j] > largest) largest = p[j];
    for (int32_t j = 0; j < outputs; j++) sum += exp(scale * (p[j] - largest));
    for (int32_t j = 0; j < outputs; j++) p[j] = (float)(exp(scale * (p[j] - largest)) / sum);
  }
}

const thaw_loss_ops thaw_arcface_ops = {.schema = &thaw_arcface_schema,
                                        .label_width = thaw_loss_label_class,
                                        .fused = THAW_LINEAR,
                                        .evaluate = arcface,
                                        .probabilities = probabilities};
const thaw_loss_ops thaw_cosface_ops = {.schema = &thaw_cosface_schema,
                                        .label_width = thaw_loss_label_class,
                                        .fused = THAW_LINEAR,
                                        .evaluate = cosface,
                                        .probabilities = probabilities};
