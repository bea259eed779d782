/* Stratified k-fold by group: a group is never divided, and folds have about the same share of every class. The order
 * and the choices are those of scikit-learn's StratifiedGroupKFold without shuffling, so its folds are the same. */
#include "shard/shard_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct named {
  const char *name;
  int64_t sample;
} named;

typedef struct folder {
  int32_t folds, classes;
  int64_t samples, groups;
  int64_t *group;    /* [samples] */
  double *count;     /* [groups][classes] samples of a class in a group */
  double *total;     /* [classes] */
  double *fold;      /* [folds][classes] */
  int32_t *assigned; /* [groups] */
} folder;

static void folder_clear(folder *f) {
  thaw_free(f->group);
  thaw_free(f->count);
  thaw_free(f->total);
  thaw_free(f->fold);
  thaw_free(f->assigned);
}

static int by_name(const void *left, const void *right) {
  const named *a = left, *b = right;
  int order = strcmp(a->name, b->name);
  return order ? order : (a->sample > b->sample) - (a->sample < b->sample);
}

/* Groups are numbered in the order of their names; a sample without one is a group of its own. */
static thaw_status number_groups(folder *f, const thaw_strings *names) {
  named *list = thaw_new((size_t)f->samples, sizeof *list);
  f->group = thaw_new((size_t)f->samples, sizeof *f->group);
  if (!list || !f->group) {
    thaw_free(list);
    return THAW_ERR_MEMORY;
  }
  for (int64_t i = 0; i < f->samples; i++) list[i] = (named){names->item[i], i};
  qsort(list, (size_t)f->samples, sizeof *list, by_name);
  f->groups = 0;
  for (int64_t i = 0; i < f->samples; i++) {
    bool same = i > 0 && list[i].name[0] && strcmp(list[i].name, list[i - 1].name) == 0;
    if (!same) f->groups++;
    f->group[list[i].sample] = f->groups - 1;
  }
  thaw_free(list);
  return THAW_OK;
}

/* Of several labels per sample each counts its positives, and one class more all samples; targets have one class. */
static thaw_status count_classes(folder *f, const thaw_dataset_info *info, const thaw_labels *labels) {
  bool classes = info->label_kind == THAW_LABEL_CLASS, multi = info->label_kind == THAW_LABEL_MULTI;
  f->classes = classes ? (int32_t)info->classes.count : multi ? info->label_width + 1 : 1;
  f->count = thaw_new((size_t)f->groups * (size_t)f->classes, sizeof *f->count);
  f->total = thaw_new((size_t)f->classes, sizeof *f->total);
  f->fold = thaw_new((size_t)f->folds * (size_t)f->classes, sizeof *f->fold);
  f->assigned = thaw_new((size_t)f->groups, sizeof *f->assigned);
  if (!f->count || !f->total || !f->fold || !f->assigned) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < f->samples; i++) {
    double *row = f->count + (size_t)f->group[i] * (size_t)f->classes;
    if (classes)
      row[(size_t)thaw_label(labels, (uint64_t)i, 0)]++;
    else
      row[f->classes - 1]++;
    for (int32_t c = 0; multi && c < info->label_width; c++) row[c] += thaw_label(labels, (uint64_t)i, c) == 1;
  }
  for (int64_t g = 0; g < f->groups; g++)
    for (int32_t c = 0; c < f->classes; c++) f->total[c] += f->count[(size_t)g * (size_t)f->classes + (size_t)c];
  return THAW_OK;
}

/* Population deviation of values at a distance of `stride`, divided by `unit`. */
static double deviation(const double *value, int32_t count, int32_t stride, double unit) {
  double sum = 0, square = 0;
  for (int32_t i = 0; i < count; i++) sum += value[(size_t)i * (size_t)stride] / unit;
  double mean = sum / count;
  for (int32_t i = 0; i < count; i++) {
    double apart = value[(size_t)i * (size_t)stride] / unit - mean;
    square += apart * apart;
  }
  return sqrt(square / count);
}

/* Mean over the classes that occur of the deviation of the folds' shares. */
static double unevenness(const folder *f) {
  double sum = 0;
  int32_t present = 0;
  for (int32_t c = 0; c < f->classes; c++) {
    if (f->total[c] == 0) continue;
    present++;
    sum += deviation(f->fold + c, f->folds, f->classes, f->total[c]);
  }
  return sum / present;
}

static void add_group(folder *f, int32_t fold, int64_t group, double sign) {
  for (int32_t c = 0; c < f->classes; c++)
    f->fold[(size_t)fold * (size_t)f->classes + (size_t)c] +=
        sign * f->count[(size_t)group * (size_t)f->classes + (size_t)c];
}

/* The fold that stays most even with the group, of equals (numpy.isclose) the smallest. */
static int32_t find_best_fold(folder *f, int64_t group) {
  int32_t best = 0;
  double least = INFINITY, fewest = INFINITY;
  for (int32_t i = 0; i < f->folds; i++) {
    add_group(f, i, group, 1);
    double uneven = unevenness(f), samples = 0;
    add_group(f, i, group, -1);
    for (int32_t c = 0; c < f->classes; c++) samples += f->fold[(size_t)i * (size_t)f->classes + (size_t)c];
    bool equal = fabs(uneven - least) <= 1e-8 + 1e-5 * fabs(least);
    if (!(uneven < least || (equal && samples < fewest))) continue;
    least = uneven;
    fewest = samples;
    best = i;
  }
  return best;
}

typedef struct ranked {
  double spread;
  int64_t group;
} ranked;

static int by_spread(const void *left, const void *right) {
  const ranked *a = left, *b = right;
  if (a->spread != b->spread) return a->spread > b->spread ? -1 : 1;
  return (a->group > b->group) - (a->group < b->group);
}

/* Deviation over the classes that occur, as numpy.std takes it. */
static double spread_of(const folder *f, int64_t group, double *room) {
  int32_t present = 0;
  for (int32_t c = 0; c < f->classes; c++)
    if (f->total[c] > 0) room[present++] = f->count[(size_t)group * (size_t)f->classes + (size_t)c];
  return deviation(room, present, 1, 1);
}

static thaw_status assign(folder *f) {
  ranked *order = thaw_new((size_t)f->groups, sizeof *order);
  double *room = thaw_new((size_t)f->classes, sizeof *room);
  thaw_status status = order && room ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t g = 0; status == THAW_OK && g < f->groups; g++) order[g] = (ranked){spread_of(f, g, room), g};
  if (status == THAW_OK) qsort(order, (size_t)f->groups, sizeof *order, by_spread);
  for (int64_t i = 0; status == THAW_OK && i < f->groups; i++) {
    int32_t fold = find_best_fold(f, order[i].group);
    f->assigned[order[i].group] = fold;
    add_group(f, fold, order[i].group, 1);
  }
  thaw_free(order);
  thaw_free(room);
  return status;
}

static thaw_status make(folder *f, thaw_catalog *catalog, const thaw_strings *names, uint8_t *fold) {
  const thaw_labels *labels = NULL;
  int64_t size[THAW_MAX_FOLDS] = {0};
  if (catalog->info.label_kind != THAW_LABEL_NONE) THAW_TRY(thaw_catalog_labels(catalog, &labels));
  THAW_TRY(number_groups(f, names));
  if (f->groups < f->folds)
    return thaw_fail(THAW_ERR_DATA, "%s: has %lld groups (patients), too few for %d folds", catalog->path,
                     (long long)f->groups, f->folds);
  THAW_TRY(count_classes(f, &catalog->info, labels));
  THAW_TRY(assign(f));
  for (int64_t i = 0; i < f->samples; i++) {
    fold[i] = (uint8_t)f->assigned[f->group[i]];
    size[fold[i]]++;
  }
  for (int32_t i = 0; i < f->folds; i++)
    if (size[i] == 0)
      return thaw_fail(THAW_ERR_DATA, "%s: its %lld groups are too uneven for %d folds: fold %d would be empty",
                       catalog->path, (long long)f->groups, f->folds, i + 1);
  return THAW_OK;
}

thaw_status thaw_catalog_folds(thaw_catalog *catalog, int32_t folds, uint8_t *fold) {
  folder f = {.folds = folds, .samples = catalog->info.count};
  thaw_strings names = {0};
  if (folds < 2 || folds > THAW_MAX_FOLDS)
    return thaw_fail(THAW_ERR_USAGE, "%d folds: 2 to %d are possible", folds, (int)THAW_MAX_FOLDS);
  thaw_status status = thaw_catalog_groups(catalog, 0, f.samples, &names);
  if (status == THAW_OK) status = make(&f, catalog, &names, fold);
  thaw_strings_clear(&names);
  folder_clear(&f);
  return status;
}
