/* What happens to samples between the cut and the loss: class weights, unknown labels and mixup. */
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/text.h"
#include "train/train_private.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ class weights */

static thaw_status find_class(const thaw_session *s, const char *name, size_t *out) {
  const thaw_strings *classes = &s->train.info->classes;
  for (*out = 0; *out < classes->count; ++*out)
    if (strcmp(classes->item[*out], name) == 0) return THAW_OK;
  const char *near = thaw_nearest(name, (const char *const *)classes->item, classes->count);
  return thaw_fail(THAW_ERR_USAGE, "%s: training.class_weights: no class is called '%s'%s%s%s", s->job->path, name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

float train_known_label(const thaw_session *s, float label) {
  return thaw_label_settle(label, (thaw_unknown_policy)s->job->training.unknown_labels);
}

/* Negatives / positives of each label, over all training data. */
static thaw_status balance_labels(const thaw_session *s, double *weight) {
  const thaw_dataset_info *info = s->train.info;
  for (int32_t c = 0; c < info->label_width; c++) {
    int64_t count[2] = {0, 0};
    for (int64_t i = 0; i < info->count; i++) {
      float label = train_known_label(s, thaw_label(s->train.labels, (uint64_t)i, c));
      if (label != THAW_LABEL_UNKNOWN) count[label > 0.5f]++;
    }
    if (!count[1])
      return thaw_fail(THAW_ERR_DATA, "%s: training.class_weights: label '%s' has no positive in the training data",
                       s->job->path, (size_t)c < info->classes.count ? info->classes.item[c] : "?");
    weight[c] = (double)count[0] / (double)count[1];
  }
  return THAW_OK;
}

static void balance(const thaw_session *s, double *weight) {
  size_t classes = s->train.info->classes.count;
  for (int64_t i = 0; i < s->train.info->count; i++) weight[(size_t)thaw_label(s->train.labels, (uint64_t)i, 0)]++;
  for (size_t c = 0; c < classes; c++)
    if (weight[c] > 0) weight[c] = (double)s->train.info->count / ((double)classes * weight[c]);
}

thaw_status train_class_weights(const thaw_session *s, double **out) {
  const thaw_class_weights_config *config = &s->job->training.class_weights;
  bool labels = s->train.info->label_kind == THAW_LABEL_MULTI;
  size_t classes = labels ? (size_t)s->train.info->label_width : s->train.info->classes.count;
  *out = NULL;
  if (!config->enabled) return THAW_OK;
  if (s->train.info->label_kind != THAW_LABEL_CLASS && !labels)
    return thaw_fail(THAW_ERR_USAGE, "%s: training.class_weights: the training data have no class per sample",
                     s->job->path);
  if (labels && s->loss->fused != THAW_SIGMOID)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s: training.class_weights: weights of several labels go with binary_crossentropy and "
                     "binary_focal_crossentropy, not with %s",
                     s->job->path, s->loss->schema->name);
  double *weight = thaw_new(classes, sizeof *weight);
  if (!weight) return THAW_ERR_MEMORY;
  for (size_t c = 0; c < classes && !config->balanced; c++) weight[c] = 1;
  thaw_status status = config->balanced && labels ? balance_labels(s, weight) : THAW_OK;
  if (config->balanced && !labels) balance(s, weight);
  for (int32_t i = 0; i < config->name.count && status == THAW_OK; i++) {
    size_t c;
    status = find_class(s, config->name.item[i], &c);
    if (status == THAW_OK) weight[c] = config->weight.item[i];
  }
  if (status == THAW_OK)
    *out = weight;
  else
    thaw_free(weight);
  return status;
}

/* Keras multiplies each sample's loss and divides by the number of samples, not by the sum of the weights. With mixup
 * the class is the one with the larger share, as Keras' argmax of the label has it. */
static void weight_rows(const train_step *step, const uint64_t *sample, int32_t rows, double *value, float *dy) {
  size_t outputs = (size_t)step->session->outputs;
  for (int32_t i = 0; i < rows; i++) {
    double weight = step->class_weight[(size_t)thaw_label(step->session->train.labels, sample[i], 0)];
    value[i] *= weight;
    for (size_t j = 0; j < outputs; j++) {
      float *d = &dy[(size_t)i * outputs + j];
      *d = (float)(*d * weight);
    }
  }
}

/* Of several labels, each positive term is multiplied by its label's weight (PyTorch's pos_weight); a soft label t
 * takes 1 + (weight - 1) t. The terms of a row are independent, so each is evaluated as a row of its own. */
static void evaluate_terms(const train_step *step, const thaw_share *part, const float *label, const float *y,
                           const float *logits, bool from_logits) {
  const thaw_session *s = step->session;
  size_t outputs = (size_t)s->outputs;
  s->loss->evaluate(s->job->training.loss.config, label, y, logits, from_logits, part->samples * s->outputs, 1,
                    1.0 / ((double)step->batch * s->outputs), step->term, step->dy);
  for (int32_t i = 0; i < part->samples; i++) {
    double sum = 0;
    for (size_t j = 0; j < outputs; j++) {
      size_t at = (size_t)i * outputs + j;
      double weight = label[at] == THAW_LABEL_UNKNOWN ? 0 : 1 + (step->class_weight[j] - 1) * label[at];
      sum += step->term[at] * weight;
      step->dy[at] = (float)(step->dy[at] * weight);
    }
    step->value[i] = sum / s->outputs;
  }
}

void train_evaluate_loss(const train_step *step, const thaw_share *part, const float *label, const float *y,
                         const float *logits, bool from_logits) {
  const thaw_session *s = step->session;
  if (step->class_weight && step->term) {
    evaluate_terms(step, part, label, y, logits, from_logits);
    return;
  }
  s->loss->evaluate(s->job->training.loss.config, label, y, logits, from_logits, part->samples, s->outputs,
                    1.0 / (double)step->batch, step->value, step->dy);
  if (step->class_weight) weight_rows(step, part->sample, part->samples, step->value, step->dy);
}

void train_settle_unknown(const train_step *step, int32_t samples, float *label) {
  const thaw_session *s = step->session;
  if (s->train.info->label_kind != THAW_LABEL_MULTI || s->job->training.unknown_labels == THAW_UNKNOWN_IGNORED) return;
  for (size_t i = 0; i < (size_t)samples * (size_t)s->outputs; i++) label[i] = train_known_label(s, label[i]);
}

/* ------------------------------------------------------------------ mixup
 * Zhang et al., "mixup: beyond empirical risk minimization", 2018, at the cut (Verma et al., "Manifold mixup", 2019,
 * where the cut lies inside the network): x = l x_i + (1 - l) x_j, and the labels alike. The partner of a sample lies
 * in the same slice, whose members change with every epoch; it and l depend on (seed, epoch, sample) alone. */

typedef struct random_stream {
  thaw_draw at;
  uint32_t draw;
} random_stream;

/* Two numbers in (0, 1). */
static void two_uniforms(random_stream *r, double out[2]) {
  uint32_t word[4];
  thaw_random4(&r->at, r->draw++, word);
  for (int i = 0; i < 2; i++)
    out[i] = ((double)word[2 * i] * 0x1p-32 + (double)(word[2 * i + 1] >> 12) * 0x1p-52) + 0x1p-53;
}

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 by Gamma(a + 1) U^(1/a). The
 * logarithm, because U^(1/a) vanishes for a small a. */
static double log_gamma_variate(random_stream *r, double a) {
  double u[2], boost = 0;
  if (a < 1) {
    two_uniforms(r, u);
    boost = log(u[0]) / a;
    a += 1;
  }
  double d = a - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    two_uniforms(r, u);
    double x = sqrt(-2 * log(u[0])) * cos(2 * 3.14159265358979323846 * u[1]), v = 1 + c * x;
    two_uniforms(r, u);
    v = v * v * v;
    if (v > 0 && log(u[0]) < 0.5 * x * x + d - d * v + d * log(v)) return log(d * v) + boost;
  }
}

double train_mixup_share(double alpha, uint64_t seed, uint32_t epoch, uint64_t sample) {
  random_stream r = {.at = {.seed = seed, .purpose = THAW_RNG_MIXUP, .epoch = epoch, .sample = sample}};
  double x = log_gamma_variate(&r, alpha), y = log_gamma_variate(&r, alpha), share = 1 / (1 + exp(y - x));
  return share < 0.5 ? 1 - share : share; /* which of the two is called the first does not matter */
}

/* How far away in the slice the partner is: 1 .. samples - 1. */
static int32_t partner_distance(const thaw_epoch *epoch, uint64_t first, int32_t samples) {
  thaw_draw at = {.seed = epoch->seed, .purpose = THAW_RNG_MIXUP, .epoch = epoch->epoch, .sample = first, .lane = 1};
  uint32_t word[4];
  thaw_random4(&at, 0, word);
  return 1 + (int32_t)(((uint64_t)word[0] * (uint64_t)(samples - 1)) >> 32);
}

static void mix_rows(float *own, const float *partner, float share, size_t n) {
  for (size_t i = 0; i < n; i++) own[i] = share * own[i] + (1 - share) * partner[i];
}

/* A label that is unknown in either is unknown in the mixture. */
static void mix_labels(float *own, const float *partner, float share, size_t n, bool unknown_possible) {
  for (size_t i = 0; i < n; i++) {
    bool known = !unknown_possible || (own[i] != THAW_LABEL_UNKNOWN && partner[i] != THAW_LABEL_UNKNOWN);
    own[i] = known ? share * own[i] + (1 - share) * partner[i] : THAW_LABEL_UNKNOWN;
  }
}

void train_mix(train_step *step, const thaw_step_share *share) {
  const thaw_session *s = step->session;
  double alpha = s->job->training.mixup;
  size_t floats = s->cut.floats, width = (size_t)s->outputs;
  bool unknown_possible = s->train.info->label_kind == THAW_LABEL_MULTI;
  for (int32_t slice = 0; slice < share->slices && step->mix_features; slice++) {
    size_t first = (size_t)share->slice_start[slice];
    int32_t n = share->slice_start[slice + 1] - share->slice_start[slice];
    if (n < 2) continue;
    int32_t distance = partner_distance(&step->epoch, share->sample[first], n);
    memcpy(step->mix_features, step->features + first * floats, (size_t)n * floats * sizeof(float));
    memcpy(step->mix_labels, step->label + first * width, (size_t)n * width * sizeof(float));
    for (int32_t i = 0; i < n; i++) {
      size_t own = first + (size_t)i, partner = (size_t)((i + distance) % n);
      float l = (float)train_mixup_share(alpha, step->epoch.seed, step->epoch.epoch, share->sample[own]);
      mix_rows(step->features + own * floats, step->mix_features + partner * floats, l, floats);
      mix_labels(step->label + own * width, step->mix_labels + partner * width, l, width, unknown_possible);
    }
  }
}

static thaw_status check_mixup(const thaw_session *s) {
  const thaw_training_config *training = &s->job->training;
  if (training->mixup == 0) return THAW_OK;
  if (training->slice < 2)
    return thaw_fail(THAW_ERR_USAGE, "%s: training.mixup: needs slices of at least 2 samples, slice is %d",
                     s->job->path, training->slice);
  if (s->outputs > 1 && s->loss->label_width(s->outputs) == 1)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s: training.mixup: %s has class numbers as labels, which cannot be mixed; use "
                     "categorical_crossentropy",
                     s->job->path, s->loss->schema->name);
  return THAW_OK;
}

static thaw_status check_samples_per_class(const thaw_session *s) {
  if (!s->job->data.samples_per_class || s->train.info->label_kind == THAW_LABEL_CLASS) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "%s: data.samples_per_class: the training data have no class per sample",
                   s->job->path);
}

thaw_status train_samples_check(thaw_session *s) {
  double *weight;
  THAW_TRY(check_samples_per_class(s));
  THAW_TRY(train_check_sampling(s));
  THAW_TRY(check_mixup(s));
  THAW_TRY(train_class_weights(s, &weight));
  thaw_free(weight);
  return THAW_OK;
}
