/* thaw bench --reduce: the exact sum of gradients beside a plain sum of floats. */
#include "cli/bench.h"

#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

typedef struct reduction {
  thaw_comm *comm;
  thaw_exact *exact;
  float *gradient, *out, *plain;
  size_t count;
  int32_t slices; /* of this rank */
} reduction;

typedef struct timing {
  double plain, add, reduce, get; /* best seconds of one step, of the slowest rank */
} timing;

static thaw_status prepare(reduction *r, size_t count) {
  r->count = count;
  r->gradient = thaw_new(count, sizeof(float));
  r->out = thaw_new(count, sizeof(float));
  r->plain = thaw_new(count, sizeof(float));
  if (!r->gradient || !r->out || !r->plain) return THAW_ERR_MEMORY;
  thaw_draw at = {.seed = 1, .purpose = THAW_RNG_TEST, .sample = (uint64_t)thaw_comm_rank(r->comm)};
  thaw_random_uniform(&at, r->gradient, (uint32_t)count);
  return thaw_exact_create(&count, 1, &r->exact);
}

static void clear(reduction *r) {
  thaw_exact_destroy(r->exact);
  thaw_free(r->gradient);
  thaw_free(r->out);
  thaw_free(r->plain);
}

/* [collective] The largest of the ranks' times; keeps the smallest over repetitions. */
static thaw_status keep_best(thaw_comm *comm, const timing *now, timing *best) {
  double seconds[4] = {now->plain, now->add, now->reduce, now->get};
  double *kept[4] = {&best->plain, &best->add, &best->reduce, &best->get};
  THAW_TRY(thaw_comm_max_double(comm, seconds, 4));
  for (int i = 0; i < 4; i++)
    if (*kept[i] == 0 || seconds[i] < *kept[i]) *kept[i] = seconds[i];
  return THAW_OK;
}

/* [collective] One step as the trainer does it, and the plain sum. */
static thaw_status run_once(reduction *r, timing *out) {
  int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
  thaw_verdict verdict = THAW_EXACT_AGAIN;
  size_t tensor;
  int ranks = thaw_comm_size(r->comm);
  while (verdict == THAW_EXACT_AGAIN) { /* the first step looks for its scale */
    double start = thaw_seconds();
    thaw_exact_begin(r->exact, (int64_t)ranks * r->slices);
    for (int32_t s = 0; s < r->slices; s++) thaw_exact_add(r->exact, 0, r->gradient, s);
    out->add = thaw_seconds() - start;
    THAW_TRY(thaw_comm_barrier(r->comm));
    start = thaw_seconds();
    THAW_TRY(thaw_exact_reduce(r->exact, r->comm, flags, &verdict, &tensor, &slice));
    out->reduce = thaw_seconds() - start;
  }
  double start = thaw_seconds();
  thaw_exact_get(r->exact, 0, r->out);
  out->get = thaw_seconds() - start;
  for (size_t i = 0; i < r->count; i++) r->plain[i] = r->gradient[i];
  THAW_TRY(thaw_comm_barrier(r->comm));
  start = thaw_seconds();
  THAW_TRY(thaw_comm_sum_float(r->comm, r->plain, r->count));
  out->plain = thaw_seconds() - start;
  return THAW_OK;
}

/* [collective] */
static thaw_status measure(cli_context *cli, const char *title, size_t count, const cli_bench_options *options) {
  reduction r = {.comm = cli->comm, .slices = 1};
  timing best = {0};
  double start = thaw_seconds();
  int64_t again = 1;
  thaw_status status = thaw_agree(cli->comm, prepare(&r, count));
  if (status == THAW_OK) status = thaw_exact_connect(r.exact, r.comm);
  for (int i = 0; again && status == THAW_OK; i++) {
    timing now = {0};
    status = run_once(&r, &now);
    if (status == THAW_OK && i > 0) status = keep_best(cli->comm, &now, &best);
    again = i < 4 || thaw_seconds() - start < options->seconds;
    if (status == THAW_OK) status = thaw_comm_broadcast(cli->comm, 0, &again, sizeof again);
  }
  if (status == THAW_OK)
    cli_print(cli, "%-22s %10.2f %10.3f %10.2f %10.3f %10.3f %10.3f %7.2f\n", title,
              (double)count * sizeof(float) / 1e6, best.plain * 1e3, (double)thaw_exact_bytes(r.exact) / 1e6,
              best.add * 1e3, best.reduce * 1e3, best.get * 1e3, (best.add + best.reduce + best.get) / best.plain);
  clear(&r);
  return status;
}

thaw_status cli_bench_reduce(cli_context *cli, const cli_bench_options *options) {
  cli_print(cli, "sum over %d rank%s, best of all steps, milliseconds; MB as one rank brings them into a step\n",
            thaw_comm_size(cli->comm), thaw_comm_size(cli->comm) == 1 ? "" : "s");
  cli_print(cli, "%-22s %10s %10s %10s %10s %10s %10s %7s\n", "gradient", "float MB", "float ms", "exact MB",
            "round ms", "sum ms", "back ms", "ratio");
  THAW_TRY(measure(cli, "head, 131,072", 131072, options));
  return measure(cli, "all of VGG16", 14714688, options);
}
