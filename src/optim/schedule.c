/* Learning-rate schedules (keras/src/optimizers/schedules/learning_rate_schedule.py; one_cycle as
 * torch.optim.lr_scheduler.OneCycleLR with its cosine annealing). With a warm-up of w updates, update s < w has
 *     warmup_from * rate + (rate - warmup_from * rate) * s / w
 * and the schedule proper starts at update w, as in Keras' CosineDecay with a warmup_target. After a thaw in the middle
 * of the phase, at update t, update t + s < t + w has the schedule's rate at t + s (or w, if that is later) times
 *     warmup_from + (1 - warmup_from) * s / w
 * so that parameters without moments start gently; the schedule proper goes on as if nothing had happened. */
#include "thaw/optim.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* One config for all schedules; each table shows what its schedule reads. */
typedef struct schedule_config {
  double warmup_steps, warmup_epochs, warmup_from;
  double length_steps, length_epochs; /* decay_steps or first_decay_steps, in updates or epochs; both 0: the phase */
  double decay_rate, alpha, t_mul, m_mul, power, end_learning_rate;
  bool staircase;
  thaw_number_list boundaries, boundary_epochs, values;
  double pct_start, div_factor, final_div_factor;
} schedule_config;

#define NUMBER(key, member, from, to, standard, text)                                                                  \
  {                                                                                                                    \
    .name = key, .kind = THAW_FIELD_FLOAT, .offset = offsetof(schedule_config, member), .low = from, .high = to,       \
    .fallback = standard, .help = text                                                                                 \
  }
#define WARMUP                                                                                                         \
  NUMBER("warmup_steps", warmup_steps, 0, 1e12, 0,                                                                     \
         "updates of linear warm-up before, and after each thaw by unfreeze: auto"),                                   \
      NUMBER("warmup_epochs", warmup_epochs, 0, 1e6, 0, "the same in epochs"),                                         \
      NUMBER("warmup_from", warmup_from, 0, 1, 0, "share of the learning rate with which the warm-up starts")
#define DECAY_LENGTH                                                                                                   \
  NUMBER("decay_steps", length_steps, 0, 1e12, 0, "length in updates; 0: what the warm-up leaves of the phase"),       \
      NUMBER("decay_epochs", length_epochs, 0, 1e6, 0, "the same in epochs")
#define ALPHA NUMBER("alpha", alpha, 0, 1, 0, "share of the learning rate that is left at the end")

static const thaw_field constant_fields[] = {WARMUP};
static const thaw_field exponential_fields[] = {DECAY_LENGTH,
                                                {.name = "decay_rate",
                                                 .kind = THAW_FIELD_FLOAT,
                                                 .offset = offsetof(schedule_config, decay_rate),
                                                 .high = 1,
                                                 .open_low = true,
                                                 .required = true,
                                                 .help = "the learning rate is multiplied by this over the length"},
                                                {.name = "staircase",
                                                 .kind = THAW_FIELD_BOOL,
                                                 .offset = offsetof(schedule_config, staircase),
                                                 .help = "in steps, once per length, instead of at every update"},
                                                WARMUP};
static const thaw_field polynomial_fields[] = {
    DECAY_LENGTH, NUMBER("end_learning_rate", end_learning_rate, 0, 1000, 0.0001, "learning rate at the end"),
    NUMBER("power", power, 0, 100, 1, "of what is left of the length; 1: linear"), WARMUP};
static const thaw_field cosine_fields[] = {DECAY_LENGTH, ALPHA, WARMUP};
static const thaw_field restarts_fields[] = {
    NUMBER("first_decay_steps", length_steps, 0, 1e12, 0, "length of the first period in updates"),
    NUMBER("first_decay_epochs", length_epochs, 0, 1e6, 0, "the same in epochs; one of the two is needed"),
    NUMBER("t_mul", t_mul, 1, 1000, 2, "each period is longer than the one before by this factor"),
    NUMBER("m_mul", m_mul, 0, 1, 1, "each period starts lower than the one before by this factor"),
    ALPHA,
    WARMUP};
static const thaw_field piecewise_fields[] = {
    {.name = "boundaries",
     .kind = THAW_FIELD_NUMBERS,
     .offset = offsetof(schedule_config, boundaries),
     .high = 1e12,
     .help = "updates after which the next value holds, rising"},
    {.name = "boundary_epochs",
     .kind = THAW_FIELD_NUMBERS,
     .offset = offsetof(schedule_config, boundary_epochs),
     .high = 1e6,
     .help = "the same in epochs"},
    {.name = "values",
     .kind = THAW_FIELD_NUMBERS,
     .offset = offsetof(schedule_config, values),
     .high = 1000,
     .required = true,
     .help = "learning rates, one more than boundaries; the optimizer's is not used"}};
static const thaw_field one_cycle_fields[] = {
    NUMBER("pct_start", pct_start, 0.001, 0.999, 0.3, "share of the phase in which the learning rate rises"),
    NUMBER("div_factor", div_factor, 1, 1e9, 25, "it starts at the optimizer's divided by this"),
    NUMBER("final_div_factor", final_div_factor, 1, 1e12, 10000, "and ends at that start divided by this")};

#define SCHEMA(key, table, text)                                                                                       \
  { key, sizeof(schedule_config), table, (int32_t)(sizeof table / sizeof *table), text }
static const thaw_schema constant = SCHEMA("constant", constant_fields, "always the optimizer's learning rate");
static const thaw_schema exponential =
    SCHEMA("exponential_decay", exponential_fields, "learning_rate * decay_rate ^ (step / length)");
static const thaw_schema polynomial =
    SCHEMA("polynomial_decay", polynomial_fields, "from the learning rate to end_learning_rate");
static const thaw_schema cosine =
    SCHEMA("cosine_decay", cosine_fields, "half a cosine from the learning rate to alpha times that");
static const thaw_schema restarts = SCHEMA("cosine_decay_restarts", restarts_fields, "cosine decay again and again");
static const thaw_schema piecewise = SCHEMA("piecewise_constant_decay", piecewise_fields, "the values one by one");
static const thaw_schema one_cycle =
    SCHEMA("one_cycle", one_cycle_fields, "up to the learning rate and down again over the phase, both along cosines");

thaw_schema_list thaw_schedule_schemas(void) {
  static const thaw_schema *const schemas[] = {&constant, &exponential, &polynomial, &cosine,
                                               &restarts, &piecewise,   &one_cycle,  NULL};
  return (thaw_schema_list){.key = "name", .what = "schedule", .schemas = schemas};
}

/* ------------------------------------------------------------------ lengths */

/* A length in whole updates. */
static double in_steps(double steps, double epochs, const thaw_span *span) {
  return floor(steps + epochs * (double)span->epoch_steps + 0.5);
}

static double warmup(const schedule_config *c, const thaw_span *span) {
  return in_steps(c->warmup_steps, c->warmup_epochs, span);
}

static double length(const schedule_config *c, const thaw_span *span) {
  if (c->length_steps > 0 || c->length_epochs > 0) return in_steps(c->length_steps, c->length_epochs, span);
  return (double)span->steps - warmup(c, span);
}

static const thaw_number_list *boundaries(const schedule_config *c) {
  return c->boundaries.count ? &c->boundaries : &c->boundary_epochs;
}

/* ------------------------------------------------------------------ formulas; `step` counts from the warm-up's end */

static double exponential_rate(const schedule_config *c, double rate, double step, double steps) {
  double p = step / steps;
  return rate * pow(c->decay_rate, c->staircase ? floor(p) : p);
}

static double polynomial_rate(const schedule_config *c, double rate, double step, double steps) {
  double p = fmin(step, steps) / steps;
  return (rate - c->end_learning_rate) * pow(1 - p, c->power) + c->end_learning_rate;
}

static double cosine_rate(const schedule_config *c, double rate, double step, double steps) {
  double decayed = 0.5 * (1 + cos(pi * fmin(step, steps) / steps));
  return rate * ((1 - c->alpha) * decayed + c->alpha);
}

static double restarts_rate(const schedule_config *c, double rate, double step, double steps) {
  double done = step / steps, period = floor(done);
  if (c->t_mul == 1) {
    done -= period;
  } else {
    /* The addend keeps a restart at its update where the quotient of logarithms falls short by a rounding. */
    period = floor(log(1 - done * (1 - c->t_mul)) / log(c->t_mul) + 1e-9);
    double scale = pow(c->t_mul, period);
    done = (done - (1 - scale) / (1 - c->t_mul)) / scale;
  }
  double decayed = 0.5 * pow(c->m_mul, period) * (1 + cos(pi * done));
  return rate * ((1 - c->alpha) * decayed + c->alpha);
}

static double piecewise_rate(const schedule_config *c, const thaw_span *span, double step) {
  const thaw_number_list *list = boundaries(c);
  double unit = list == &c->boundaries ? 1 : (double)span->epoch_steps;
  int32_t i = 0;
  while (i < list->count && step > floor(list->item[i] * unit + 0.5)) i++;
  return c->values.item[i];
}

static double anneal(double from, double to, double share) {
  return to + (from - to) / 2 * (1 + cos(pi * share));
}

static double one_cycle_rate(const schedule_config *c, const thaw_span *span, double rate, double step) {
  double steps = (double)span->steps, top = fmax(c->pct_start * steps - 1, 0), end = steps - 1,
         start = rate / c->div_factor;
  if (top > 0 && step <= top) return anneal(start, rate, step / top);
  return end > top ? anneal(rate, start / c->final_div_factor, fmin(step - top, end - top) / (end - top)) : rate;
}

/* `at` counts from the warm-up's end. */
static double rate_proper(const thaw_choice *schedule, const thaw_span *span, double rate, double at) {
  const thaw_schema *schema = schedule->schema;
  const schedule_config *c = schedule->config;
  double steps = length(c, span);
  if (schema == &exponential) return exponential_rate(c, rate, at, steps);
  if (schema == &polynomial) return polynomial_rate(c, rate, at, steps);
  if (schema == &cosine) return cosine_rate(c, rate, at, steps);
  if (schema == &restarts) return restarts_rate(c, rate, at, steps);
  if (schema == &piecewise) return piecewise_rate(c, span, at);
  return schema == &one_cycle ? one_cycle_rate(c, span, rate, at) : rate;
}

double thaw_schedule_rate(const thaw_choice *schedule, const thaw_span *span, double rate, int64_t step) {
  if (!schedule->schema) return rate;
  const schedule_config *c = schedule->config;
  double before = warmup(c, span), at = (double)step - before, since = (double)(step - span->thawed_at);
  bool again = span->thawed_at > 0 && since >= 0 && since < before;
  if (again)
    rate = rate_proper(schedule, span, rate, at < 0 ? 0 : at);
  else if (at >= 0)
    return rate_proper(schedule, span, rate, at);
  return rate * c->warmup_from + (rate - rate * c->warmup_from) * (again ? since : (double)step) / before;
}

/* ------------------------------------------------------------------ checks */

static thaw_status check_pair(const char *steps_name, double steps, const char *epochs_name, double epochs) {
  if (steps == 0 || epochs == 0) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "%s: %s is given, too; give one of them", steps_name, epochs_name);
}

static thaw_status check_piecewise(const schedule_config *c) {
  const thaw_number_list *list = boundaries(c);
  if (c->boundaries.count && c->boundary_epochs.count) return check_pair("boundaries", 1, "boundary_epochs", 1);
  if (c->values.count != list->count + 1)
    return thaw_fail(THAW_ERR_USAGE, "values: %d given for %d boundaries, expected %d", c->values.count, list->count,
                     list->count + 1);
  for (int32_t i = 1; i < list->count; i++)
    if (list->item[i] <= list->item[i - 1])
      return thaw_fail(THAW_ERR_USAGE, "boundaries: %g follows %g; they must rise", list->item[i], list->item[i - 1]);
  return THAW_OK;
}

thaw_status thaw_schedule_check(const thaw_choice *schedule, const thaw_span *span) {
  const thaw_schema *schema = schedule->schema;
  const schedule_config *c = schedule->config;
  if (!schema) return THAW_OK;
  bool given = c->length_steps > 0 || c->length_epochs > 0;
  if (schema == &piecewise) return check_piecewise(c);
  THAW_TRY(check_pair("warmup_steps", c->warmup_steps, "warmup_epochs", c->warmup_epochs));
  THAW_TRY(check_pair("decay length in steps", c->length_steps, "the length in epochs", c->length_epochs));
  if (schema == &restarts && !given)
    return thaw_fail(THAW_ERR_USAGE, "first_decay_steps: missing (or first_decay_epochs)");
  if (schema != &constant && length(c, span) < 1)
    return thaw_fail(THAW_ERR_USAGE, "warmup_steps: a warm-up of %.0f updates leaves nothing of the %lld of the phase",
                     warmup(c, span), (long long)span->steps);
  if (schema == &constant && warmup(c, span) > (double)span->steps)
    return thaw_fail(THAW_ERR_USAGE, "warmup_steps: a warm-up of %.0f updates is longer than the %lld of the phase",
                     warmup(c, span), (long long)span->steps);
  return THAW_OK;
}
