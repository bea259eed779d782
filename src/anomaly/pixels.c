/* Pixels of score maps, apart by the mask, with the connected regions of the marked ones. */
#include "anomaly/anomaly_private.h"

#include <math.h>
#include <string.h>

/* Room for `more` elements of `size` bytes after `count`. */
static thaw_status reserve(void **array, int64_t count, size_t *capacity, int64_t more, size_t size) {
  size_t need = (size_t)(count + more);
  if (need <= *capacity) return THAW_OK;
  size_t larger = need > 2 * *capacity ? need : 2 * *capacity;
  void *grown = thaw_new(larger, size);
  if (!grown) return THAW_ERR_MEMORY;
  if (count) memcpy(grown, *array, (size_t)count * size);
  thaw_free(*array);
  *array = grown;
  *capacity = larger;
  return THAW_OK;
}

static thaw_status reserve_all(thaw_pixels *p, int64_t plain, int64_t marked, int64_t regions) {
  THAW_TRY(reserve((void **)&p->plain, p->plain_count, &p->plain_capacity, plain, sizeof *p->plain));
  THAW_TRY(reserve((void **)&p->marked, p->marked_count, &p->marked_capacity, marked, sizeof *p->marked));
  THAW_TRY(reserve((void **)&p->region, p->marked_count, &p->region_capacity, marked, sizeof *p->region));
  return reserve((void **)&p->region_size, p->regions, &p->size_capacity, regions, sizeof *p->region_size);
}

/* Numbers the region of marked pixels that holds `start`, by a stack of places. Returns its size. */
static int64_t flood(const uint8_t *mask, int32_t h, int32_t w, int32_t start, int32_t number, int32_t *label,
                     int32_t *stack) {
  int64_t count = 0;
  int32_t top = 0;
  label[start] = number;
  stack[top++] = start;
  while (top > 0) {
    int32_t at = stack[--top], y = at / w, x = at % w;
    count++;
    for (int32_t i = y > 0 ? y - 1 : 0; i <= y + 1 && i < h; i++)
      for (int32_t j = x > 0 ? x - 1 : 0; j <= x + 1 && j < w; j++) {
        int32_t next = i * w + j;
        if (!mask[next] || label[next] >= 0) continue;
        label[next] = number;
        stack[top++] = next;
      }
  }
  return count;
}

/* label [h w]: the region's number over all, -1 outside. */
static thaw_status label_regions(thaw_pixels *p, const uint8_t *mask, int32_t h, int32_t w, int32_t *label) {
  int32_t pixels = h * w, *stack = thaw_new((size_t)pixels, sizeof *stack);
  thaw_status status = stack ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; i < pixels; i++) label[i] = -1;
  for (int32_t i = 0; i < pixels && status == THAW_OK; i++) {
    if (!mask[i] || label[i] >= 0) continue;
    if (p->regions == INT32_MAX) status = thaw_fail(THAW_ERR_DATA, "more than %d regions of defects", INT32_MAX);
    if (status == THAW_OK) status = reserve_all(p, 0, 0, 1);
    if (status == THAW_OK) {
      p->region_size[p->regions] = flood(mask, h, w, i, (int32_t)p->regions, label, stack);
      p->regions++;
    }
  }
  thaw_free(stack);
  return status;
}

thaw_status thaw_pixels_add(thaw_pixels *p, const float *map, const uint8_t *mask, int32_t h, int32_t w) {
  int64_t pixels = (int64_t)h * w, marked = 0;
  for (int64_t i = 0; i < pixels; i++) {
    if (!(map[i] >= 0) || !isfinite(map[i])) return thaw_fail(THAW_ERR_DATA, "a pixel's score is %g", (double)map[i]);
    marked += mask && mask[i];
  }
  if (pixels > INT32_MAX) return thaw_fail(THAW_ERR_DATA, "a map of %d x %d pixels", h, w);
  THAW_TRY(reserve_all(p, pixels - marked, marked, 0));
  int32_t *label = thaw_new(marked ? (size_t)pixels : 1, sizeof *label);
  if (!label) return THAW_ERR_MEMORY;
  thaw_status status = marked ? label_regions(p, mask, h, w, label) : THAW_OK;
  for (int64_t i = 0; i < pixels && status == THAW_OK; i++) {
    float value = map[i] == 0 ? 0 : map[i]; /* no negative zero: bits are compared */
    if (!marked || !mask[i]) {
      p->plain[p->plain_count++] = value;
    } else {
      p->marked[p->marked_count] = value;
      p->region[p->marked_count++] = label[i];
    }
  }
  thaw_free(label);
  return status;
}

thaw_status thaw_pixels_join(thaw_pixels *p, const thaw_pixels *other) {
  if (p->regions + other->regions > INT32_MAX) return thaw_fail(THAW_ERR_DATA, "more than %d regions", INT32_MAX);
  THAW_TRY(reserve_all(p, other->plain_count, other->marked_count, other->regions));
  if (other->plain_count)
    memcpy(p->plain + p->plain_count, other->plain, (size_t)other->plain_count * sizeof *p->plain);
  for (int64_t i = 0; i < other->marked_count; i++) {
    p->marked[p->marked_count + i] = other->marked[i];
    p->region[p->marked_count + i] = (int32_t)p->regions + other->region[i];
  }
  for (int64_t i = 0; i < other->regions; i++) p->region_size[p->regions + i] = other->region_size[i];
  p->plain_count += other->plain_count;
  p->marked_count += other->marked_count;
  p->regions += other->regions;
  return THAW_OK;
}

void thaw_pixels_clear(thaw_pixels *p) {
  thaw_free(p->plain);
  thaw_free(p->marked);
  thaw_free(p->region);
  thaw_free(p->region_size);
  *p = (thaw_pixels){0};
}

/* ------------------------------------------------------------------ as bytes */

thaw_status thaw_pixels_pack(const thaw_pixels *p, thaw_text *out) {
  const int64_t count[3] = {p->plain_count, p->marked_count, p->regions};
  thaw_text_add_bytes(out, (const char *)count, sizeof count);
  if (count[0]) thaw_text_add_bytes(out, (const char *)p->plain, (size_t)count[0] * sizeof *p->plain);
  if (count[1]) thaw_text_add_bytes(out, (const char *)p->marked, (size_t)count[1] * sizeof *p->marked);
  if (count[1]) thaw_text_add_bytes(out, (const char *)p->region, (size_t)count[1] * sizeof *p->region);
  if (count[2]) thaw_text_add_bytes(out, (const char *)p->region_size, (size_t)count[2] * sizeof *p->region_size);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

static thaw_status take(const char *data, size_t size, size_t *at, void *to, int64_t count, size_t each) {
  if (count < 0 || (uint64_t)count > (size - *at) / each)
    return thaw_fail(THAW_ERR_INTERNAL, "packed pixels end at byte %zu", size);
  if (count) memcpy(to, data + *at, (size_t)count * each);
  *at += (size_t)count * each;
  return THAW_OK;
}

static thaw_status unpack(const char *data, size_t size, thaw_pixels *p, size_t *used) {
  int64_t count[3];
  *used = 0;
  THAW_TRY(take(data, size, used, count, 3, sizeof *count));
  for (int k = 0; k < 3; k++)
    if (count[k] < 0 || (uint64_t)count[k] > size) return thaw_fail(THAW_ERR_INTERNAL, "packed pixels: wrong counts");
  THAW_TRY(reserve_all(p, count[0], count[1], count[2]));
  THAW_TRY(take(data, size, used, p->plain, count[0], sizeof *p->plain));
  THAW_TRY(take(data, size, used, p->marked, count[1], sizeof *p->marked));
  THAW_TRY(take(data, size, used, p->region, count[1], sizeof *p->region));
  THAW_TRY(take(data, size, used, p->region_size, count[2], sizeof *p->region_size));
  p->plain_count = count[0];
  p->marked_count = count[1];
  p->regions = count[2];
  return THAW_OK;
}

thaw_status thaw_pixels_unpack(const char *data, size_t size, thaw_pixels *add_to, size_t *used) {
  thaw_pixels part = {0};
  thaw_status status = unpack(data, size, &part, used);
  if (status == THAW_OK) status = thaw_pixels_join(add_to, &part);
  thaw_pixels_clear(&part);
  return status;
}
