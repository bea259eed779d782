/* Images and their windows through the network, a few at a time. */
#include "anomaly/anomaly_private.h"

static int32_t side(const thaw_anomaly *m, int32_t length) {
  return m->config.tile && m->config.tile < length ? m->config.tile : length;
}

int32_t anomaly_window_count(const thaw_anomaly *m, int32_t h, int32_t w) {
  int32_t stride = m->config.tile ? m->config.stride : 1;
  return thaw_tile_count(h, side(m, h), stride) * thaw_tile_count(w, side(m, w), stride);
}

void anomaly_window_place(const thaw_anomaly *m, int32_t h, int32_t w, int32_t window, int32_t place[4]) {
  int32_t stride = m->config.tile ? m->config.stride : 1, columns = thaw_tile_count(w, side(m, w), stride);
  place[0] = thaw_tile_start(h, side(m, h), stride, window / columns);
  place[1] = thaw_tile_start(w, side(m, w), stride, window % columns);
  place[2] = side(m, h);
  place[3] = side(m, w);
}

thaw_status anomaly_window_input(thaw_anomaly *m, const thaw_image *picture, double value_max, const int32_t place[4],
                                 float *x) {
  thaw_image part = {0};
  bool whole = place[2] == picture->h && place[3] == picture->w;
  if (!whole) THAW_TRY(thaw_image_crop(picture, place[0], place[1], place[2], place[3], &part));
  const thaw_image *from = whole ? picture : &part;
  const thaw_dataset_info info = {.count = 1,
                                  .h = from->h,
                                  .w = from->w,
                                  .c = from->c,
                                  .bits = from->bits,
                                  .value_max = value_max,
                                  .label_kind = THAW_LABEL_NONE,
                                  .label_width = 1};
  thaw_status status = thaw_input_make(&m->input, &info, from->pixels, 0, -1, x);
  thaw_image_clear(&part);
  return status;
}

typedef struct window_batch {
  thaw_anomaly *m;
  int64_t image[ANOMALY_BATCH];
  int32_t count;
  anomaly_visit visit;
  void *context;
} window_batch;

static thaw_status flush(window_batch *b) {
  thaw_anomaly *m = b->m;
  if (b->count) thaw_plan_run(m->plan, m->x, b->count, m->feature);
  for (int32_t i = 0; i < b->count; i++)
    THAW_TRY(b->visit(b->context, m, b->image[i], m->feature + (size_t)i * m->floats));
  b->count = 0;
  return THAW_OK;
}

static thaw_status add_image(window_batch *b, const thaw_image *picture, double value_max, int64_t image) {
  thaw_anomaly *m = b->m;
  size_t inputs = (size_t)m->input.h * (size_t)m->input.w * (size_t)m->input.c;
  for (int32_t i = 0; i < anomaly_window_count(m, picture->h, picture->w); i++) {
    int32_t place[4];
    anomaly_window_place(m, picture->h, picture->w, i, place);
    THAW_TRY(anomaly_window_input(m, picture, value_max, place, m->x + (size_t)b->count * inputs));
    b->image[b->count++] = image;
    if (b->count == ANOMALY_BATCH) THAW_TRY(flush(b));
  }
  return THAW_OK;
}

thaw_status anomaly_each_window(thaw_anomaly *m, const thaw_anomaly_source *source, const int64_t *index, int64_t first,
                                int64_t end, thaw_log *log, anomaly_visit visit, void *context) {
  window_batch b = {.m = m, .visit = visit, .context = context};
  for (int64_t i = first; i < end; i++) {
    thaw_image picture;
    double value_max;
    THAW_TRY(source->image(source->context, index[i], &picture, &value_max));
    thaw_status status = add_image(&b, &picture, value_max, i);
    thaw_image_clear(&picture);
    if (status != THAW_OK) return status;
    thaw_progress_update(log, i - first + 1, NULL);
  }
  return flush(&b);
}

thaw_status anomaly_count_windows(const thaw_anomaly *m, const thaw_anomaly_source *source, const int64_t *index,
                                  int64_t first, int64_t end, int64_t *out) {
  *out = end - first;
  for (int64_t i = first; m->config.tile && i < end; i++) {
    thaw_image picture;
    double value_max;
    THAW_TRY(source->image(source->context, index[i], &picture, &value_max));
    *out += anomaly_window_count(m, picture.h, picture.w) - 1;
    thaw_image_clear(&picture);
  }
  return THAW_OK;
}
