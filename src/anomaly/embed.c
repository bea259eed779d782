/* From the features of several layers to one vector per position. */
#include "anomaly/anomaly_private.h"
#include "thaw/kernel.h"
#include "thaw/rng.h"

#include <stdlib.h>

static int compare_int(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* `width` of all channels, without repetition, as the seed has it. */
static thaw_status draw_channels(thaw_anomaly *m) {
  m->width = m->config.dimensions > 0 && m->config.dimensions < m->channels ? m->config.dimensions : m->channels;
  m->channel = thaw_new((size_t)m->width, sizeof *m->channel);
  if (!m->channel) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < m->width; i++)
    m->channel[i] =
        m->width == m->channels ? i : (int32_t)thaw_permute(m->config.seed, 0, (uint64_t)m->channels, (uint64_t)i);
  qsort(m->channel, (size_t)m->width, sizeof *m->channel, compare_int);
  return THAW_OK;
}

thaw_status anomaly_embed_prepare(thaw_anomaly *m) {
  size_t largest = 0, deepest = 0;
  m->width = m->channels;
  if (m->config.method == THAW_ANOMALY_PADIM) {
    THAW_TRY(draw_channels(m));
  } else {
    for (size_t i = 0; i < m->names.count; i++) {
      size_t floats = (size_t)m->layer[i].h * (size_t)m->layer[i].w * (size_t)m->layer[i].c;
      if (floats > largest) largest = floats;
      if ((size_t)m->layer[i].c > deepest) deepest = (size_t)m->layer[i].c;
    }
    m->work = thaw_new(largest, sizeof *m->work);
    m->enlarged = thaw_new(anomaly_positions(m) * deepest, sizeof *m->enlarged);
    if (!m->work || !m->enlarged) return THAW_ERR_MEMORY;
  }
  m->embedding = thaw_new(anomaly_positions(m) * (size_t)m->width, sizeof *m->embedding);
  return m->embedding ? THAW_OK : THAW_ERR_MEMORY;
}

/* PaDiM: the drawn channels; a coarser layer's position is repeated. */
static void draw_positions(const thaw_anomaly *m, const float *feature, float *embedding) {
  int32_t next = 0;
  for (size_t i = 0; i < m->names.count; i++) {
    const anomaly_layer *layer = &m->layer[i];
    int32_t begin = next;
    while (next < m->width && m->channel[next] < layer->first + layer->c) next++;
    for (int32_t y = 0; y < m->h; y++)
      for (int32_t x = 0; x < m->w; x++) {
        size_t at = (size_t)(y * layer->h / m->h) * (size_t)layer->w + (size_t)(x * layer->w / m->w);
        const float *from = feature + layer->offset + at * (size_t)layer->c;
        float *to = embedding + ((size_t)y * (size_t)m->w + (size_t)x) * (size_t)m->width;
        for (int32_t k = begin; k < next; k++) to[k] = from[m->channel[k] - layer->first] * layer->scale;
      }
  }
}

/* PatchCore: 3 x 3 means, coarser layers enlarged. */
static thaw_status locally_aware(thaw_anomaly *m, const float *feature, float *embedding) {
  for (size_t i = 0; i < m->names.count; i++) {
    const anomaly_layer *layer = &m->layer[i];
    const thaw_pool_desc desc = {.h = layer->h,
                                 .w = layer->w,
                                 .c = layer->c,
                                 .kh = 3,
                                 .kw = 3,
                                 .stride_h = 1,
                                 .stride_w = 1,
                                 .pad_top = 1,
                                 .pad_left = 1,
                                 .pad_bottom = 1,
                                 .pad_right = 1,
                                 .average = true};
    thaw_pool(m->isa, &desc, feature + layer->offset, 1, m->work);
    const float *from = m->work;
    if (layer->h != m->h || layer->w != m->w) {
      THAW_TRY(thaw_resize_float(m->work, layer->h, layer->w, layer->c, m->h, m->w, m->enlarged));
      from = m->enlarged;
    }
    for (size_t p = 0; p < anomaly_positions(m); p++)
      for (int32_t k = 0; k < layer->c; k++)
        embedding[p * (size_t)m->width + (size_t)(layer->first + k)] =
            from[p * (size_t)layer->c + (size_t)k] * layer->scale;
  }
  return THAW_OK;
}

thaw_status anomaly_embed(thaw_anomaly *m, const float *feature, float *embedding) {
  if (m->config.method == THAW_ANOMALY_PATCHCORE) return locally_aware(m, feature, embedding);
  draw_positions(m, feature, embedding);
  return THAW_OK;
}
