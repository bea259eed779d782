/* Reading ahead: one thread turns the announced samples into network inputs, in order, in a ring of `depth` slots. */
#include "loader/loader_private.h"
#include "thaw/log.h"
#include "thaw/memory.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { MESSAGE_SIZE = 512, MOST_PER_READ = 32 };

typedef struct wanted {
  uint64_t sample;
  int32_t view;
} wanted;

struct thaw_prefetch {
  thaw_catalog *catalog;
  thaw_input input;
  int32_t depth;
  size_t floats, pixel_bytes;
  float *ring;  /* [depth][floats] */
  void *pixels; /* [MOST_PER_READ] as stored; the thread's own */
  pthread_t thread;
  bool running;

  pthread_mutex_t lock; /* guards all below */
  pthread_cond_t changed;
  wanted *queue; /* a circular list of `capacity` entries; sample number i of all time is at i % capacity */
  size_t capacity;
  int64_t announced, made, taken; /* counts since creation: taken <= made <= announced */
  bool stop;
  thaw_status failure; /* sticky; concerns sample number `made` */
  char message[MESSAGE_SIZE];
  thaw_prefetch_stats stats;
};

/* ------------------------------------------------------------------ the thread */
/* Waits for work and copies up to MOST_PER_READ consecutive samples of one view; 0: time to stop. */
static int32_t next_run(thaw_prefetch *p, wanted *out) {
  pthread_mutex_lock(&p->lock);
  while (!p->stop && (p->failure != THAW_OK || p->made == p->announced || p->made - p->taken >= p->depth))
    pthread_cond_wait(&p->changed, &p->lock);
  int32_t count = 0;
  int64_t room = p->depth - (p->made - p->taken), waiting = p->announced - p->made;
  if (waiting < room) room = waiting;
  if (room > MOST_PER_READ) room = MOST_PER_READ;
  while (!p->stop && count < room) {
    wanted next = p->queue[(size_t)(p->made + count) % p->capacity];
    if (count && (next.sample != out[0].sample + (uint64_t)count || next.view != out[0].view)) break;
    out[count++] = next;
  }
  pthread_mutex_unlock(&p->lock);
  return count;
}

/* Makes the run's inputs in the ring; *done_out counts those that came out well. */
static thaw_status make_run(thaw_prefetch *p, const wanted *run, int32_t count, int64_t first, int32_t *done_out) {
  *done_out = 0;
  THAW_TRY(thaw_catalog_pixels(p->catalog, (int64_t)run[0].sample, count, p->pixels));
  for (int32_t i = 0; i < count; i++) {
    const char *pixels = (const char *)p->pixels + (size_t)i * p->pixel_bytes;
    float *out = p->ring + (size_t)((first + i) % p->depth) * p->floats;
    THAW_TRY(
        thaw_input_make(&p->input, thaw_catalog_info(p->catalog), pixels, (int64_t)run[i].sample, run[i].view, out));
    ++*done_out;
  }
  return THAW_OK;
}

static void *work(void *context) {
  thaw_prefetch *p = context;
  sigset_t all; /* signals are for the main thread */
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  wanted run[MOST_PER_READ];
  for (int32_t count; (count = next_run(p, run)) > 0;) {
    double started = thaw_seconds();
    int32_t done;
    thaw_status status = make_run(p, run, count, p->made, &done); /* only this thread changes `made` */
    pthread_mutex_lock(&p->lock);
    p->made += done;
    p->stats.samples += done;
    p->stats.read_seconds += thaw_seconds() - started;
    if (status != THAW_OK) {
      p->failure = status;
      snprintf(p->message, sizeof p->message, "%s", thaw_message());
    }
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
  }
  return NULL;
}

/* ------------------------------------------------------------------ the caller's side */
static thaw_status allocate(thaw_prefetch *p) {
  const thaw_dataset_info *data = thaw_catalog_info(p->catalog);
  p->floats = (size_t)p->input.h * (size_t)p->input.w * (size_t)p->input.c;
  p->pixel_bytes = (size_t)data->h * (size_t)data->w * (size_t)data->c * (data->bits == 16 ? 2 : 1);
  p->capacity = 64;
  p->ring = thaw_new((size_t)p->depth, p->floats * sizeof *p->ring);
  p->pixels = thaw_new(MOST_PER_READ, p->pixel_bytes);
  p->queue = thaw_new(p->capacity, sizeof *p->queue);
  return p->ring && p->pixels && p->queue ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status thaw_prefetch_create(thaw_catalog *catalog, const thaw_input *input, int32_t depth, thaw_prefetch **out) {
  thaw_prefetch *p = thaw_new(1, sizeof *p);
  if (!p) return THAW_ERR_MEMORY;
  p->catalog = catalog;
  p->input = *input;
  p->depth = depth < 1 ? 1 : depth;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->changed, NULL);
  thaw_status status = allocate(p);
  if (status == THAW_OK) {
    int error = pthread_create(&p->thread, NULL, work, p);
    p->running = error == 0;
    if (error) status = thaw_fail(THAW_ERR_RUN, "cannot start the reading thread: %s", strerror(error));
  }
  if (status == THAW_OK)
    *out = p;
  else
    thaw_prefetch_destroy(p);
  return status;
}

void thaw_prefetch_destroy(thaw_prefetch *prefetch) {
  if (!prefetch) return;
  if (prefetch->running) {
    pthread_mutex_lock(&prefetch->lock);
    prefetch->stop = true;
    pthread_cond_broadcast(&prefetch->changed);
    pthread_mutex_unlock(&prefetch->lock);
    pthread_join(prefetch->thread, NULL);
  }
  pthread_cond_destroy(&prefetch->changed);
  pthread_mutex_destroy(&prefetch->lock);
  thaw_free(prefetch->ring);
  thaw_free(prefetch->pixels);
  thaw_free(prefetch->queue);
  thaw_free(prefetch);
}

/* With the lock held. */
static thaw_status reserve(thaw_prefetch *p, int32_t count) {
  size_t needed = (size_t)(p->announced - p->taken) + (size_t)count, capacity = p->capacity;
  if (needed <= capacity) return THAW_OK;
  while (capacity < needed) capacity *= 2;
  wanted *queue = thaw_new(capacity, sizeof *queue);
  if (!queue) return THAW_ERR_MEMORY;
  for (int64_t i = p->taken; i < p->announced; i++) queue[(size_t)i % capacity] = p->queue[(size_t)i % p->capacity];
  thaw_free(p->queue);
  p->queue = queue;
  p->capacity = capacity;
  return THAW_OK;
}

thaw_status thaw_prefetch_want(thaw_prefetch *prefetch, const uint64_t *sample, int32_t count, int32_t view) {
  pthread_mutex_lock(&prefetch->lock);
  thaw_status status = reserve(prefetch, count);
  for (int32_t i = 0; status == THAW_OK && i < count; i++)
    prefetch->queue[(size_t)prefetch->announced++ % prefetch->capacity] = (wanted){sample[i], view};
  pthread_cond_broadcast(&prefetch->changed);
  pthread_mutex_unlock(&prefetch->lock);
  return status;
}

/* With the lock held: waits until sample number `taken` is made. */
static thaw_status await(thaw_prefetch *p) {
  if (p->taken < p->made) return THAW_OK;
  if (p->taken == p->announced)
    return thaw_fail(THAW_ERR_INTERNAL, "prefetch: more samples taken than announced (%lld)", (long long)p->announced);
  double started = thaw_seconds();
  while (p->taken == p->made && p->failure == THAW_OK) pthread_cond_wait(&p->changed, &p->lock);
  p->stats.stall_seconds += thaw_seconds() - started;
  return p->taken < p->made ? THAW_OK : thaw_fail(p->failure, "%s", p->message);
}

thaw_status thaw_prefetch_take(thaw_prefetch *prefetch, int32_t count, float *out) {
  thaw_prefetch *p = prefetch;
  for (int32_t i = 0; i < count; i++) {
    pthread_mutex_lock(&p->lock);
    thaw_status status = await(p);
    pthread_mutex_unlock(&p->lock);
    if (status != THAW_OK) return status;
    /* The slot is this caller's until `taken` moves on. */
    memcpy(out + (size_t)i * p->floats, p->ring + (size_t)(p->taken % p->depth) * p->floats, p->floats * sizeof *out);
    pthread_mutex_lock(&p->lock);
    p->taken++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
  }
  return THAW_OK;
}

thaw_prefetch_stats thaw_prefetch_statistics(const thaw_prefetch *prefetch) {
  thaw_prefetch *p = (thaw_prefetch *)prefetch; /* the lock is not part of the value */
  pthread_mutex_lock(&p->lock);
  thaw_prefetch_stats stats = p->stats;
  pthread_mutex_unlock(&p->lock);
  return stats;
}
