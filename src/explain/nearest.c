#include "thaw/explain.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

static double length_of(const float *vector, size_t width) {
  double sum = 0;
  for (size_t i = 0; i < width; i++) sum += (double)vector[i] * vector[i];
  return sqrt(sum);
}

thaw_status thaw_nearest_create(const float *query, int32_t queries, size_t width, int32_t keep,
                                thaw_nearest_samples *out) {
  size_t places = (size_t)queries * (size_t)keep;
  *out = (thaw_nearest_samples){.queries = queries,
                                .keep = keep,
                                .width = width,
                                .query = thaw_new((size_t)queries * width, sizeof(float)),
                                .sample = thaw_new(places, sizeof(int64_t)),
                                .similarity = thaw_new(places, sizeof(double))};
  if (!out->query || !out->sample || !out->similarity) {
    thaw_nearest_clear(out);
    return THAW_ERR_MEMORY;
  }
  for (size_t i = 0; i < places; i++) out->sample[i] = -1;
  for (int32_t q = 0; q < queries; q++) {
    const float *from = query + (size_t)q * width;
    double length = length_of(from, width);
    for (size_t i = 0; length > 0 && i < width; i++) out->query[(size_t)q * width + i] = (float)(from[i] / length);
  }
  return THAW_OK;
}

void thaw_nearest_clear(thaw_nearest_samples *nearest) {
  thaw_free(nearest->query);
  thaw_free(nearest->sample);
  thaw_free(nearest->similarity);
  *nearest = (thaw_nearest_samples){0};
}

void thaw_nearest_offer(thaw_nearest_samples *nearest, int64_t sample, const float *vector) {
  double length = length_of(vector, nearest->width);
  for (int32_t q = 0; q < nearest->queries; q++) {
    const float *query = nearest->query + (size_t)q * nearest->width;
    int64_t *held = nearest->sample + (size_t)q * (size_t)nearest->keep;
    double *value = nearest->similarity + (size_t)q * (size_t)nearest->keep, dot = 0;
    for (size_t i = 0; i < nearest->width; i++) dot += (double)query[i] * vector[i];
    if (length > 0) dot /= length;
    int32_t place = nearest->keep;
    while (place > 0 && (held[place - 1] < 0 || value[place - 1] < dot)) place--;
    if (place == nearest->keep) continue;
    size_t later = (size_t)(nearest->keep - place - 1);
    memmove(held + place + 1, held + place, later * sizeof *held);
    memmove(value + place + 1, value + place, later * sizeof *value);
    held[place] = sample;
    value[place] = dot;
  }
}

size_t thaw_cut_channels(const thaw_graph *graph, const thaw_cut *cut) {
  size_t channels = 0;
  for (int32_t i = 0; i < cut->count; i++) channels += (size_t)thaw_graph_view(graph, cut->node[i])->layer.output.c;
  return channels;
}

void thaw_cut_average(const thaw_graph *graph, const thaw_cut *cut, const float *features, float *out) {
  for (int32_t i = 0; i < cut->count; i++) {
    const thaw_shape shape = thaw_graph_view(graph, cut->node[i])->layer.output;
    size_t count = thaw_shape_count(shape), channels = (size_t)shape.c, positions = count / channels;
    for (size_t k = 0; k < channels; k++) {
      double sum = 0;
      for (size_t p = 0; p < positions; p++) sum += features[p * channels + k];
      out[k] = (float)(sum / (double)positions);
    }
    features += count;
    out += channels;
  }
}
