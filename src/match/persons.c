/* Who is on which row. */
#include "match/match_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b) {
  const match_name *x = a, *y = b;
  int order = strcmp(x->key, y->key);
  if (!order) order = strcmp(x->id, y->id);
  if (!order) order = x->row < y->row ? -1 : x->row > y->row;
  return order;
}

void match_sort_names(match_name *name, int64_t count) {
  qsort(name, (size_t)count, sizeof *name, by_name);
}

/* Rows of known persons, sorted; *count_out of them. */
static thaw_status sorted_persons(const thaw_embeddings *e, match_name **out, int64_t *count_out) {
  match_name *name = thaw_new((size_t)e->count, sizeof *name);
  int64_t count = 0;
  if (!name) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < e->count; i++)
    if (e->person.item[i][0]) name[count++] = (match_name){e->person.item[i], e->id.item[i], i};
  match_sort_names(name, count);
  *out = name;
  *count_out = count;
  return THAW_OK;
}

static int64_t end_of_person(const match_name *name, int64_t count, int64_t at) {
  int64_t end = at + 1;
  while (end < count && strcmp(name[end].key, name[at].key) == 0) end++;
  return end;
}

thaw_status match_number_persons(const thaw_embeddings *const *list, int32_t lists, int64_t *const *number,
                                 int64_t *persons_out) {
  int64_t total = 0, count = 0;
  for (int32_t l = 0; l < lists; l++) total += list[l]->count;
  match_name *name = thaw_new((size_t)total, sizeof *name);
  if (!name) return THAW_ERR_MEMORY;
  int64_t first = 0;
  for (int32_t l = 0; l < lists; l++) {
    for (int64_t i = 0; i < list[l]->count; i++) {
      number[l][i] = -1;
      if (list[l]->person.item[i][0]) name[count++] = (match_name){list[l]->person.item[i], "", first + i};
    }
    first += list[l]->count;
  }
  match_sort_names(name, count);
  *persons_out = 0;
  for (int64_t at = 0, end; at < count; at = end, ++*persons_out) {
    end = end_of_person(name, count, at);
    for (int64_t i = at; i < end; i++) {
      int32_t l = 0;
      int64_t row = name[i].row;
      while (row >= list[l]->count) row -= list[l++]->count;
      number[l][row] = *persons_out;
    }
  }
  thaw_free(name);
  return THAW_OK;
}

thaw_status thaw_gallery_split(const thaw_embeddings *e, uint8_t *role) {
  match_name *name;
  int64_t count;
  THAW_TRY(sorted_persons(e, &name, &count));
  memset(role, THAW_LEFT_OUT, (size_t)e->count);
  for (int64_t at = 0, end; at < count; at = end) {
    end = end_of_person(name, count, at);
    for (int64_t i = at; i < end; i++) role[name[i].row] = i == at && end - at > 1 ? THAW_GALLERY : THAW_PROBE;
  }
  thaw_free(name);
  return THAW_OK;
}

int64_t thaw_single_images(const thaw_embeddings *e, int32_t names_wanted, thaw_strings *names) {
  match_name *name;
  int64_t count, single = 0;
  if (sorted_persons(e, &name, &count) != THAW_OK) return 0;
  for (int64_t at = 0, end; at < count; at = end) {
    end = end_of_person(name, count, at);
    if (end - at > 1) continue;
    if (single++ < names_wanted && thaw_strings_add(names, name[at].key) != THAW_OK) break;
  }
  thaw_free(name);
  return single;
}
