/* Making the loss smaller. Every rank does the same with the same numbers; only evaluations are shared. */
#include "style/style_private.h"
#include "thaw/memory.h"
#include "thaw/optim.h"

#include <lbfgs.h>
#include <math.h>
#include <string.h>

typedef struct minimization {
  thaw_style *style;
  const thaw_style_run *run;
  thaw_style_loss loss; /* of the last evaluation */
  thaw_status status;
  int32_t steps;
} minimization;

static double total(const thaw_style_loss *loss) {
  return loss->content + loss->style + loss->variation;
}

static lbfgsfloatval_t evaluate(void *instance, const lbfgsfloatval_t *x, lbfgsfloatval_t *gradient, const int n,
                                const lbfgsfloatval_t step) {
  minimization *m = instance;
  (void)step;
  if (m->status == THAW_OK) m->status = thaw_style_evaluate(m->style, x, gradient, &m->loss);
  if (m->status == THAW_OK) return total(&m->loss);
  memset(gradient, 0, (size_t)n * sizeof *gradient); /* a stationary point: libLBFGS stops */
  return 0;
}

static int progress(void *instance, const lbfgsfloatval_t *x, const lbfgsfloatval_t *gradient,
                    const lbfgsfloatval_t value, const lbfgsfloatval_t x_norm, const lbfgsfloatval_t gradient_norm,
                    const lbfgsfloatval_t step, int n, int k, int evaluations) {
  minimization *m = instance;
  (void)gradient, (void)value, (void)x_norm, (void)gradient_norm, (void)step, (void)n, (void)evaluations;
  m->steps = k;
  if (m->status == THAW_OK && m->run->progress) m->status = m->run->progress(m->run->context, k, x, &m->loss);
  return m->status != THAW_OK;
}

/* Ends that are not failures: all steps made, or no lower loss in reach of floating point. */
static bool is_an_end(int code) {
  return code == LBFGS_SUCCESS || code == LBFGS_STOP || code == LBFGS_ALREADY_MINIMIZED ||
         code == LBFGSERR_MAXIMUMITERATION || code == LBFGSERR_ROUNDING_ERROR || code == LBFGSERR_MAXIMUMLINESEARCH ||
         code == LBFGSERR_MINIMUMSTEP || code == LBFGSERR_WIDTHTOOSMALL || code == LBFGSERR_CANCELED;
}

static thaw_status minimize_lbfgs(minimization *m, double *x) {
  lbfgs_parameter_t parameter;
  size_t n = style_values(m->style);
  if (n > INT32_MAX) return thaw_fail(THAW_ERR_USAGE, "the picture is too large for L-BFGS; use Adam");
  lbfgsfloatval_t *variable = lbfgs_malloc((int)n);
  THAW_TRY(style_agree(m->style, variable ? THAW_OK : thaw_fail(THAW_ERR_MEMORY, "out of memory for %zu values", n)));
  memcpy(variable, x, n * sizeof *x);
  lbfgs_parameter_init(&parameter);
  parameter.max_iterations = m->run->steps;
  parameter.epsilon = 0;
  parameter.m = 10;
  int code = lbfgs((int)n, variable, NULL, evaluate, progress, m, &parameter);
  memcpy(x, variable, n * sizeof *x);
  lbfgs_free(variable);
  if (m->status != THAW_OK) return m->status;
  return is_an_end(code) ? THAW_OK : thaw_fail(THAW_ERR_RUN, "L-BFGS ended with code %d of libLBFGS", code);
}

typedef struct adam {
  float *value, *gradient, *slot[THAW_MAX_SLOTS];
  double *exact;
} adam;

static thaw_status adam_steps(minimization *m, const thaw_optim_ops *ops, const void *config, adam *a, double *x) {
  size_t n = style_values(m->style);
  for (size_t i = 0; i < n; i++) a->value[i] = (float)x[i];
  for (int32_t step = 1; step <= m->run->steps; step++) {
    THAW_TRY(thaw_style_evaluate(m->style, x, a->exact, &m->loss));
    for (size_t i = 0; i < n; i++) a->gradient[i] = (float)a->exact[i];
    ops->update(config, m->run->learning_rate, step, a->value, a->gradient, a->slot, n);
    for (size_t i = 0; i < n; i++) x[i] = a->value[i];
    m->steps = step;
    if (m->run->progress) THAW_TRY(m->run->progress(m->run->context, step, x, &m->loss));
  }
  return THAW_OK;
}

static thaw_status minimize_adam(minimization *m, double *x) {
  const thaw_optim_ops *ops = thaw_optim_find("adam");
  size_t n = style_values(m->style);
  adam a = {.value = thaw_new(n, sizeof(float)),
            .gradient = thaw_new(n, sizeof(float)),
            .slot = {thaw_new(n, sizeof(float)), thaw_new(n, sizeof(float))},
            .exact = thaw_new(n, sizeof(double))};
  thaw_arena *arena = thaw_arena_create();
  const void *config = arena ? thaw_schema_defaults(ops->schema, arena) : NULL;
  bool ready = a.value && a.gradient && a.slot[0] && a.slot[1] && a.exact && config;
  thaw_status status = style_agree(m->style, ready ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = adam_steps(m, ops, config, &a, x);
  void *owned[] = {a.value, a.gradient, a.slot[0], a.slot[1], a.exact};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) thaw_free(owned[i]);
  thaw_arena_destroy(arena);
  return status;
}

thaw_status thaw_style_minimize(thaw_style *style, const thaw_style_run *run, double *x, int32_t *steps_out) {
  minimization m = {.style = style, .run = run};
  thaw_status status = run->optimizer == THAW_STYLE_ADAM ? minimize_adam(&m, x) : minimize_lbfgs(&m, x);
  *steps_out = m.steps;
  return status;
}
