/* Triplet loss, max(d(a, p) - d(a, n) + margin, 0), over triplets that are chosen from a whole batch by their
 * distances.
 *
 *   semi_hard  F. Schroff et al., "FaceNet", CVPR 2015, and TripletSemiHardLoss of TensorFlow Addons: for every ordered
 *              pair (a, p) of one class the nearest n that is farther than p; the farthest n where none is. Mean over
 *              the pairs.
 *   hard       A. Hermans et al., "In defense of the triplet loss for person re-identification", 2017 ("batch hard"):
 *              for every a the farthest p and the nearest n. Mean over those a that have both.
 *
 * Of equal distances the sample that comes first is taken. A batch without a pair, or of one class, has loss 0.
 */
#include "loss/loss_private.h"

#include <math.h>
#include <string.h>

enum { SEMI_HARD, HARD };
enum { SQUARED_EUCLIDEAN, EUCLIDEAN };
static const char *const mining_names[] = {"semi_hard", "hard", NULL};
static const char *const distance_names[] = {"squared_euclidean", "euclidean", NULL};

typedef struct triplet_config {
  double margin;
  int32_t mining, distance;
} triplet_config;

static const thaw_field fields[] = {
    {.name = "margin",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(triplet_config, margin),
     .low = 0,
     .high = 1e3,
     .fallback = 0.2,
     .help = "by which the other class has to be farther"},
    {.name = "mining",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(triplet_config, mining),
     .choices = mining_names,
     .fallback = SEMI_HARD,
     .help = "which triplets of the batch count"},
    {.name = "distance",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(triplet_config, distance),
     .choices = distance_names,
     .fallback = SQUARED_EUCLIDEAN,
     .help = "between embeddings; FaceNet has squared_euclidean"},
};
const thaw_schema thaw_triplet_schema = {"triplet", sizeof(triplet_config), fields, 3,
                                         "triplets of the whole batch, on embeddings (end the head with "
                                         "unit_normalization, and see data.samples_per_class)"};

/* One batch under way. */
typedef struct batch {
  const triplet_config *config;
  const float *label, *y;
  size_t rows, width;
  const double *distance; /* [rows][rows] */
  double weight;          /* of one triplet */
  double *value;
  double *gradient; /* [rows][width], NULL: not wanted */
} batch;

static void measure(const triplet_config *config, const float *y, size_t rows, size_t width, double *distance) {
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j <= i; j++) {
      double sum = 0;
      for (size_t k = 0; k < width; k++) {
        double difference = (double)y[i * width + k] - y[j * width + k];
        sum += difference * difference;
      }
      distance[i * rows + j] = distance[j * rows + i] = config->distance == EUCLIDEAN ? sqrt(sum) : sum;
    }
}

static bool alike(const batch *b, size_t i, size_t j) {
  return b->label[i] == b->label[j];
}

/* d(distance)/dy_i = 2 (y_i - y_j), or (y_i - y_j) / distance, and 0 where the two fall together. */
static void add_distance_gradient(const batch *b, size_t i, size_t j, double weight) {
  double distance = b->distance[i * b->rows + j], factor = 2 * weight;
  if (b->config->distance == EUCLIDEAN) factor = distance > 0 ? weight / distance : 0;
  for (size_t k = 0; k < b->width; k++) {
    double step = factor * ((double)b->y[i * b->width + k] - b->y[j * b->width + k]);
    b->gradient[i * b->width + k] += step;
    b->gradient[j * b->width + k] -= step;
  }
}

static void add_triplet(const batch *b, size_t a, size_t p, size_t n) {
  double loss = b->config->margin + b->distance[a * b->rows + p] - b->distance[a * b->rows + n];
  if (!(loss > 0)) {
    if (isnan(loss)) b->value[a] = NAN;
    return;
  }
  b->value[a] += loss * b->weight * (double)b->rows;
  if (!b->gradient) return;
  add_distance_gradient(b, a, p, b->weight);
  add_distance_gradient(b, a, n, -b->weight);
}

/* The nearest sample of another class that is farther from `a` than `beyond`, else the farthest of all; rows: none. */
static size_t semi_hard_negative(const batch *b, size_t a, double beyond) {
  const double *d = b->distance + a * b->rows;
  size_t outside = b->rows, inside = b->rows;
  for (size_t n = 0; n < b->rows; n++) {
    if (alike(b, a, n)) continue;
    if (inside == b->rows || d[n] > d[inside]) inside = n;
    if (d[n] > beyond && (outside == b->rows || d[n] < d[outside])) outside = n;
  }
  return outside < b->rows ? outside : inside;
}

static size_t farthest_positive(const batch *b, size_t a) {
  const double *d = b->distance + a * b->rows;
  size_t found = b->rows;
  for (size_t p = 0; p < b->rows; p++)
    if (p != a && alike(b, a, p) && (found == b->rows || d[p] > d[found])) found = p;
  return found;
}

static size_t nearest_negative(const batch *b, size_t a) {
  const double *d = b->distance + a * b->rows;
  size_t found = b->rows;
  for (size_t n = 0; n < b->rows; n++)
    if (!alike(b, a, n) && (found == b->rows || d[n] < d[found])) found = n;
  return found;
}

static void mine_semi_hard(batch *b) {
  int64_t pairs = 0;
  for (size_t a = 0; a < b->rows; a++)
    for (size_t p = 0; p < b->rows; p++) pairs += p != a && alike(b, a, p);
  if (!pairs) return;
  b->weight = 1.0 / (double)pairs;
  for (size_t a = 0; a < b->rows; a++)
    for (size_t p = 0; p < b->rows; p++) {
      if (p == a || !alike(b, a, p)) continue;
      size_t n = semi_hard_negative(b, a, b->distance[a * b->rows + p]);
      if (n < b->rows) add_triplet(b, a, p, n);
    }
}

static void mine_hard(batch *b) {
  int64_t anchors = 0;
  for (size_t a = 0; a < b->rows; a++) anchors += farthest_positive(b, a) < b->rows && nearest_negative(b, a) < b->rows;
  if (!anchors) return;
  b->weight = 1.0 / (double)anchors;
  for (size_t a = 0; a < b->rows; a++) {
    size_t p = farthest_positive(b, a), n = nearest_negative(b, a);
    if (p < b->rows && n < b->rows) add_triplet(b, a, p, n);
  }
}

static size_t scratch_doubles(int32_t rows, int32_t outputs) {
  return (size_t)rows * (size_t)rows + (size_t)rows * (size_t)outputs;
}

static void evaluate_batch(const void *config, const float *label, const float *y, int32_t rows, int32_t outputs,
                           double *scratch, double *value, float *dy) {
  size_t n = (size_t)rows, width = (size_t)outputs;
  batch b = {.config = config, .label = label, .y = y, .rows = n, .width = width, .distance = scratch, .value = value};
  measure(config, y, n, width, scratch);
  memset(value, 0, n * sizeof *value);
  if (dy) {
    b.gradient = scratch + n * n;
    memset(b.gradient, 0, n * width * sizeof *b.gradient);
  }
  if (b.config->mining == HARD)
    mine_hard(&b);
  else
    mine_semi_hard(&b);
  for (size_t i = 0; dy && i < n * width; i++) dy[i] = (float)b.gradient[i];
}

const thaw_loss_ops thaw_triplet_ops = {.schema = &thaw_triplet_schema,
                                        .label_width = thaw_loss_label_class,
                                        .fused = THAW_LINEAR,
                                        .scratch_doubles = scratch_doubles,
                                        .evaluate_batch = evaluate_batch};
