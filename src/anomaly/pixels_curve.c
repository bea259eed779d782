/* Areas under the curves of pixels. Scores are at least 0, so their bits are in the order of their values. */
#include "anomaly/anomaly_private.h"

#include <math.h>
#include <string.h>

enum { DIGIT = 11, BINS = 1 << DIGIT };

/* Least significant digit first; 3 passes; the same order for equals. `rider` (may be NULL) moves along. */
static thaw_status radix_sort(uint32_t *key, int32_t *rider, int64_t count) {
  uint32_t *key_copy = thaw_new((size_t)count, sizeof *key_copy);
  int32_t *rider_copy = thaw_new(rider ? (size_t)count : 0, sizeof *rider_copy);
  thaw_status status = key_copy && rider_copy ? THAW_OK : THAW_ERR_MEMORY;
  for (int shift = 0; shift < 33 && status == THAW_OK; shift += DIGIT) {
    int64_t start[BINS + 1] = {0};
    for (int64_t i = 0; i < count; i++) start[(key[i] >> shift & (BINS - 1)) + 1]++;
    for (int b = 0; b < BINS; b++) start[b + 1] += start[b];
    for (int64_t i = 0; i < count; i++) {
      int64_t to = start[key[i] >> shift & (BINS - 1)]++;
      key_copy[to] = key[i];
      if (rider) rider_copy[to] = rider[i];
    }
    memcpy(key, key_copy, (size_t)count * sizeof *key);
    if (rider) memcpy(rider, rider_copy, (size_t)count * sizeof *rider);
  }
  thaw_free(key_copy);
  thaw_free(rider_copy);
  return status;
}

typedef struct sorted {
  uint32_t *plain, *marked; /* bits of scores, rising */
  int32_t *region;          /* of the marked ones */
} sorted;

static void sorted_clear(sorted *s) {
  thaw_free(s->plain);
  thaw_free(s->marked);
  thaw_free(s->region);
}

static thaw_status sort_all(const thaw_pixels *p, sorted *s) {
  s->plain = thaw_new((size_t)p->plain_count, sizeof *s->plain);
  s->marked = thaw_new((size_t)p->marked_count, sizeof *s->marked);
  s->region = thaw_new((size_t)p->marked_count, sizeof *s->region);
  if (!s->plain || !s->marked || !s->region) return THAW_ERR_MEMORY;
  if (p->plain_count) memcpy(s->plain, p->plain, (size_t)p->plain_count * sizeof *s->plain);
  if (p->marked_count) memcpy(s->marked, p->marked, (size_t)p->marked_count * sizeof *s->marked);
  if (p->marked_count) memcpy(s->region, p->region, (size_t)p->marked_count * sizeof *s->region);
  THAW_TRY(radix_sort(s->plain, NULL, p->plain_count));
  return radix_sort(s->marked, s->region, p->marked_count);
}

/* Mann and Whitney: the share of pairs (marked, plain) in which the marked one is higher, equals count half. */
thaw_status thaw_pixels_auroc(const thaw_pixels *p, double *out) {
  sorted s = {0};
  *out = NAN;
  if (!p->plain_count || !p->marked_count) return THAW_OK;
  thaw_status status = sort_all(p, &s);
  double pairs = 0; /* halves */
  int64_t below = 0, to = 0;
  for (int64_t i = 0; i < p->marked_count && status == THAW_OK; i++) {
    while (below < p->plain_count && s.plain[below] < s.marked[i]) below++;
    if (to < below) to = below;
    while (to < p->plain_count && s.plain[to] == s.marked[i]) to++;
    pairs += (double)(below + to);
  }
  if (status == THAW_OK) *out = pairs / 2 / (double)p->plain_count / (double)p->marked_count;
  sorted_clear(&s);
  return status;
}

/* The curve's points are the distinct scores from the highest on, joined by straight lines, as in the evaluation
 * that MVTec publishes; the last piece ends at `limit`. */
thaw_status thaw_pixels_aupro(const thaw_pixels *p, double limit, double *out) {
  sorted s = {0};
  *out = NAN;
  if (!p->plain_count || !p->marked_count || !(limit > 0)) return THAW_OK;
  thaw_status status = sort_all(p, &s);
  int64_t plain = p->plain_count, marked = p->marked_count;
  double area = 0, false_rate = 0, overlap = 0;
  while (status == THAW_OK && false_rate < limit && (plain > 0 || marked > 0)) {
    uint32_t score = plain > 0 ? s.plain[plain - 1] : 0;
    if (marked > 0 && s.marked[marked - 1] > score) score = s.marked[marked - 1];
    double before = false_rate, overlap_before = overlap;
    while (plain > 0 && s.plain[plain - 1] == score) plain--;
    for (; marked > 0 && s.marked[marked - 1] == score; marked--)
      overlap += 1 / ((double)p->region_size[s.region[marked - 1]] * (double)p->regions);
    false_rate = (double)(p->plain_count - plain) / (double)p->plain_count;
    double end = overlap;
    if (false_rate > limit) {
      end = overlap_before + (overlap - overlap_before) * (limit - before) / (false_rate - before);
      false_rate = limit;
    }
    area += (false_rate - before) * (overlap_before + end) / 2;
  }
  if (status == THAW_OK) *out = area / limit;
  sorted_clear(&s);
  return status;
}
