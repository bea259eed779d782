/* Executing a plan. Threads split the images: each runs every operation on its own range in memory of its own, without
 * waiting for the others, and since no value of an image depends on its batch mates, the number of threads changes no
 * bit. */
#include "graph/plan_private.h"

#include <string.h>
#include <time.h>

typedef struct part {
  thaw_plan *plan;
  const float *x;
  float *y;
  int32_t start, images; /* the thread's range of the caller's images */
  int32_t first, n;      /* the group in work, counted from `start` */
  char *activations;
  void *scratch;
} part;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static size_t pixels_of(const thaw_plan *plan, int32_t node) {
  thaw_shape shape = thaw_plan_layer(plan, node)->output;
  return (size_t)shape.h * (size_t)shape.w;
}

/* The first float of a value for the group's first image. */
static float *place_of(const part *p, int32_t node) {
  int32_t source = thaw_plan_resolve(p->plan, node);
  const plan_value *value = &p->plan->value[source];
  size_t image = pixels_of(p->plan, source) * (size_t)value->stride, before = image * (size_t)(p->start + p->first);
  if (value->external) return (float *)(uintptr_t)(p->x + before);
  if (value->direct) return p->y + before;
  before = p->plan->block[value->block].inside ? 0 : image * (size_t)p->first;
  return (float *)(p->activations + p->plan->interval[value->block].offset) + before + value->channel;
}

static int32_t stride_of(const part *p, int32_t node) {
  return p->plan->value[thaw_plan_resolve(p->plan, node)].stride;
}

static void copy_channels(const float *from, int32_t from_stride, size_t pixels, int32_t c, float *to,
                          int32_t to_stride) {
  for (size_t i = 0; i < pixels; i++)
    memcpy(to + i * (size_t)to_stride, from + i * (size_t)from_stride, (size_t)c * sizeof(float));
}

static void run_concat(const part *p, const plan_op *op) {
  float *to = place_of(p, op->output);
  size_t pixels = (size_t)p->n * pixels_of(p->plan, op->output);
  for (int32_t j = 0; j < op->inputs; j++) {
    int32_t c = thaw_plan_layer(p->plan, op->input[j])->output.c;
    const float *from = place_of(p, op->input[j]);
    if (from != to) copy_channels(from, stride_of(p, op->input[j]), pixels, c, to, stride_of(p, op->output));
    to += c;
  }
}

static void run_affine(const part *p, const plan_op *op) {
  thaw_shape shape = thaw_plan_layer(p->plan, op->output)->output;
  const float *scale = NULL, *shift = NULL;
  if (op->norm >= 0) {
    scale = (const float *)(p->plan->packed + op->packed_at);
    shift = (const float *)(p->plan->packed + op->packed_at + op->packed_bytes / 2);
  }
  thaw_affine(p->plan->isa, op->activation, place_of(p, op->input[0]), scale, shift,
              op->residual >= 0 ? place_of(p, op->residual) : NULL, (size_t)p->n * pixels_of(p->plan, op->output),
              shape.c, stride_of(p, op->input[0]), stride_of(p, op->output), place_of(p, op->output));
}

static void run_layer(const part *p, const plan_op *op) {
  const float *x[THAW_MAX_INPUTS];
  for (int32_t j = 0; j < op->inputs; j++) x[j] = place_of(p, op->input[j]);
  thaw_layer_io io = {.x = x, .y = place_of(p, op->output), .scratch = p->scratch, .n = p->n, .isa = p->plan->isa};
  op->layer.ops->forward(&op->layer, &io);
}

static void run_conv(const part *p, const plan_op *op) {
  const float *x = place_of(p, op->input[0]), *residual = op->residual >= 0 ? place_of(p, op->residual) : NULL;
  const char *packed = p->plan->packed + op->packed_at;
  float *y = place_of(p, op->output);
  if (op->depthwise) {
    thaw_separable_run(op->depthwise, packed, op->conv, packed + op->depthwise_packed_bytes, x, p->n, residual, y,
                       p->scratch);
  } else {
    thaw_conv_run(op->conv, packed, x, p->n, residual, y, p->scratch);
  }
}

static void run_op(const part *p, const plan_op *op) {
  thaw_plan *plan = p->plan;
  const float *x = place_of(p, op->input[0]);
  float *y = place_of(p, op->output);
  thaw_shape shape = thaw_plan_layer(plan, op->output)->output;
  switch (op->kind) {
  case OP_CONV:
    run_conv(p, op);
    return;
  case OP_POOL:
    thaw_pool(plan->isa, &op->pool, x, p->n, y);
    return;
  case OP_GLOBAL_POOL:
    thaw_global_pool(plan->isa, thaw_plan_layer(plan, op->node)->ops == &thaw_layer_global_average_pooling, x, p->n,
                     (int32_t)pixels_of(plan, op->input[0]), shape.c, stride_of(p, op->input[0]), y);
    return;
  case OP_AFFINE:
    run_affine(p, op);
    return;
  case OP_ACTIVATE:
    thaw_activate(plan->isa, op->activation, x, (size_t)p->n * pixels_of(plan, op->output), shape.c, y);
    return;
  case OP_CONCAT:
    run_concat(p, op);
    return;
  case OP_LAYER:
    run_layer(p, op);
    return;
  }
}

/* Outputs that do not lie in the caller's memory already are gathered, image by image side by side. */
static void gather_outputs(part *p) {
  size_t offset = 0;
  p->first = 0;
  p->n = p->images;
  for (int32_t i = 0; i < p->plan->outputs; i++) {
    int32_t node = p->plan->output[i], source = thaw_plan_resolve(p->plan, node);
    thaw_shape shape = thaw_plan_layer(p->plan, source)->output;
    size_t count = thaw_shape_count(shape), pixels = pixels_of(p->plan, source);
    size_t image = pixels * (size_t)p->plan->value[source].stride;
    for (int32_t k = 0; k < p->n && !p->plan->value[source].direct; k++)
      copy_channels(place_of(p, source) + (size_t)k * image, p->plan->value[source].stride, pixels, shape.c,
                    p->y + (size_t)(p->start + k) * p->plan->output_floats + offset, shape.c);
    offset += count;
  }
}

static part make_part(thaw_plan *plan, int32_t index, const float *x, float *y) {
  return (part){.plan = plan,
                .x = x,
                .y = y,
                .activations = plan->activations + (size_t)index * plan->activation_bytes,
                .scratch = plan->scratch + (size_t)index * plan->scratch_bytes};
}

/* Segment by segment, each for one group of images after the other. `seconds` [ops]: adds up times, NULL: no clock. */
static void run_segments(part *p, double *seconds) {
  thaw_plan *plan = p->plan;
  for (int32_t s = 0; s < plan->segments; s++) {
    const plan_segment *segment = &plan->segment[s];
    for (p->first = 0; p->first < p->images; p->first += segment->group) {
      p->n = p->images - p->first < segment->group ? p->images - p->first : segment->group;
      for (int32_t i = segment->first; i <= segment->last; i++) {
        double start = seconds ? now() : 0;
        run_op(p, &plan->op[i]);
        if (seconds) seconds[i] += now() - start;
      }
    }
  }
  gather_outputs(p);
}

static void run_part(thaw_plan *plan, int32_t index, const float *x, int32_t n, float *y) {
  part p = make_part(plan, index, x, y);
  int32_t threads = plan->options.threads;
  p.start = (int32_t)((int64_t)n * index / threads);
  p.images = (int32_t)((int64_t)n * (index + 1) / threads) - p.start;
  if (p.images > 0) run_segments(&p, NULL);
}

/* ------------------------------------------------------------------ threads */

static void *work(void *argument) {
  plan_worker *worker = argument;
  thaw_plan *plan = worker->plan;
  uint64_t done = 0;
  pthread_mutex_lock(&plan->mutex);
  for (;;) {
    while (!plan->stop && plan->generation == done) pthread_cond_wait(&plan->start, &plan->mutex);
    if (plan->stop) break;
    done = plan->generation;
    const float *x = plan->x;
    float *y = plan->y;
    int32_t n = plan->n;
    pthread_mutex_unlock(&plan->mutex);
    run_part(plan, worker->index, x, n, y);
    pthread_mutex_lock(&plan->mutex);
    if (--plan->pending == 0) pthread_cond_signal(&plan->finish);
  }
  pthread_mutex_unlock(&plan->mutex);
  return NULL;
}

thaw_status thaw_plan_start_workers(thaw_plan *plan) {
  int32_t wanted = plan->options.threads - 1;
  if (wanted < 1) return THAW_OK;
  plan->worker = thaw_arena_new(plan->arena, (size_t)wanted, sizeof *plan->worker);
  if (!plan->worker) return THAW_ERR_MEMORY;
  pthread_mutex_init(&plan->mutex, NULL);
  pthread_cond_init(&plan->start, NULL);
  pthread_cond_init(&plan->finish, NULL);
  plan->pool_ready = true;
  for (int32_t i = 0; i < wanted; i++) {
    plan->worker[i] = (plan_worker){.plan = plan, .index = i + 1};
    if (pthread_create(&plan->worker[i].thread, NULL, work, &plan->worker[i]) != 0)
      return thaw_fail(THAW_ERR_RUN, "could not start thread %d of %d", i + 2, wanted + 1);
    plan->workers++;
  }
  return THAW_OK;
}

void thaw_plan_stop_workers(thaw_plan *plan) {
  if (!plan->pool_ready) return;
  pthread_mutex_lock(&plan->mutex);
  plan->stop = true;
  pthread_cond_broadcast(&plan->start);
  pthread_mutex_unlock(&plan->mutex);
  for (int32_t i = 0; i < plan->workers; i++) pthread_join(plan->worker[i].thread, NULL);
  pthread_cond_destroy(&plan->start);
  pthread_cond_destroy(&plan->finish);
  pthread_mutex_destroy(&plan->mutex);
}

void thaw_plan_run(thaw_plan *plan, const float *x, int32_t n, float *y) {
  if (plan->workers == 0) {
    run_part(plan, 0, x, n, y);
    return;
  }
  pthread_mutex_lock(&plan->mutex);
  plan->x = x;
  plan->y = y;
  plan->n = n;
  plan->pending = plan->workers;
  plan->generation++;
  pthread_cond_broadcast(&plan->start);
  pthread_mutex_unlock(&plan->mutex);
  run_part(plan, 0, x, n, y);
  pthread_mutex_lock(&plan->mutex);
  while (plan->pending > 0) pthread_cond_wait(&plan->finish, &plan->mutex);
  pthread_mutex_unlock(&plan->mutex);
}

void thaw_plan_profile(thaw_plan *plan, const float *x, int32_t n, float *y, int32_t repeats) {
  part p = make_part(plan, 0, x, y);
  p.images = n < plan->share ? n : plan->share;
  for (int32_t r = 0; r < repeats; r++) {
    memset(plan->seconds, 0, (size_t)plan->ops * sizeof *plan->seconds);
    run_segments(&p, plan->seconds);
    for (int32_t i = 0; i < plan->ops; i++) {
      double seconds = plan->seconds[i] / p.images;
      if (r == 0 || seconds < plan->op[i].view.seconds) plan->op[i].view.seconds = seconds;
    }
  }
}
