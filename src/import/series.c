/* series.c: which samples lie before and behind one in its series, for stacks of slices whose files hold one each. */
#include "import/import_private.h"

#include <stdlib.h>
#include <string.h>

typedef struct slice {
  const import_place *place;
  int64_t sample;
} slice;

static int compare_series(const void *a, const void *b) {
  const slice *x = a, *y = b;
  const int order = strcmp(x->place->series, y->place->series);
  return order ? order : x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int compare_numbers(const void *a, const void *b) {
  const slice *x = a, *y = b;
  if (x->place->number != y->place->number) return x->place->number < y->place->number ? -1 : 1;
  return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int compare_positions(const void *a, const void *b) {
  const slice *x = a, *y = b;
  if (x->place->position != y->place->position) return x->place->position < y->place->position ? -1 : 1;
  return compare_numbers(a, b);
}

/* By position where all slices have one, else by number, else as the files are named. False in the last case. */
static bool sort_series(slice *first, int64_t count) {
  bool positions = true, numbers = true;
  for (int64_t i = 0; i < count; i++) {
    positions &= first[i].place->has_position;
    numbers &= first[i].place->has_number;
  }
  if (positions || numbers) qsort(first, (size_t)count, sizeof *first, positions ? compare_positions : compare_numbers);
  return positions || numbers;
}

thaw_status thaw_import__series(import_source *source, const import_place *place, thaw_log *log) {
  int64_t slices = 0, series = 0, unordered = 0;
  slice *all = thaw_new((size_t)source->count, sizeof *all);
  source->neighbour = thaw_arena_new(source->arena, (size_t)source->count, sizeof *source->neighbour);
  if (!all || !source->neighbour) {
    thaw_free(all);
    return THAW_ERR_MEMORY;
  }
  for (int64_t i = 0; i < source->count; i++) {
    source->neighbour[i][0] = source->neighbour[i][1] = i;
    if (*place[i].series) all[slices++] = (slice){&place[i], i};
  }
  qsort(all, (size_t)slices, sizeof *all, compare_series);
  for (int64_t first = 0, end; first < slices; first = end) {
    for (end = first + 1; end < slices && strcmp(all[end].place->series, all[first].place->series) == 0;) end++;
    if (end - first < 2) continue;
    series++;
    unordered += !sort_series(all + first, end - first);
    for (int64_t i = first; i + 1 < end; i++) {
      source->neighbour[all[i].sample][1] = all[i + 1].sample;
      source->neighbour[all[i + 1].sample][0] = all[i].sample;
    }
  }
  thaw_free(all);
  if (series) thaw_info(log, "%lld series of slices in files of their own are stacked", (long long)series);
  if (unordered)
    thaw_warn(log,
              "%lld series have neither ImagePositionPatient nor InstanceNumber: their slices are taken in the order "
              "of the files' names",
              (long long)unordered);
  return THAW_OK;
}
