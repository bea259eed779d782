/* plan.c: the shape of the output, the parts and their shards; the same on every rank. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <string.h>

enum { SHARD_BYTES = 64 << 20 };
static const char *const part_name[IMPORT_PARTS] = {"train", "validation", "test"};

/* Target height and width: as asked, or the one that all images have. */
static thaw_status find_size(const import_source *source, const import_survey *survey,
                             const thaw_import_options *options, thaw_dataset_info *info) {
  int64_t first = -1;
  info->h = options->h;
  info->w = options->w;
  for (int64_t i = 0; i < source->count; i++) {
    const import_record *record = &survey->record[i];
    if (record->broken || options->h) continue;
    if (first < 0) {
      first = i;
      info->h = record->h;
      info->w = record->w;
    } else if (record->h != info->h || record->w != info->w) {
      return thaw_fail(THAW_ERR_DATA, "%s is %dx%d, %s is %dx%d: images of different sizes need --size", source->id[i],
                       (int)record->h, (int)record->w, source->id[first], (int)info->h, (int)info->w);
    }
  }
  return THAW_OK;
}

static void find_depth(const import_source *source, const import_survey *survey, const thaw_import_options *options,
                       thaw_dataset_info *info) {
  bool colour = false, deep = false;
  for (int64_t i = 0; i < source->count; i++) {
    if (survey->record[i].broken) continue;
    colour |= survey->record[i].c == 3;
    deep |= survey->record[i].bits == 16;
  }
  info->c = options->c ? options->c : colour ? 3 : 1;
  info->bits = deep && options->keep_bits != 8 ? 16 : 8;
  info->value_max = info->bits == 8 ? 255 : options->value_max > 0 ? options->value_max : 65535;
}

/* The good samples as a request to split, and the answer back into parts of all samples. */
static thaw_status split_good(const import_source *source, const import_survey *survey,
                              const thaw_import_options *options, uint8_t *part) {
  const int64_t good = source->count - survey->broken;
  char **id = thaw_new((size_t)good, sizeof *id), **group = thaw_new((size_t)good, sizeof *group);
  int32_t *class_index = thaw_new((size_t)good, sizeof *class_index);
  uint8_t *answer = thaw_new((size_t)good, 1);
  const bool stratify = options->stratify && source->class_index;
  const int32_t strata = (int32_t)source->classes.count + (source->label_kind == THAW_LABEL_MIXED);
  thaw_status status = id && group && class_index && answer ? THAW_OK : THAW_ERR_MEMORY;
  for (int64_t i = 0, k = 0; status == THAW_OK && i < source->count; i++) {
    if (survey->record[i].broken) continue;
    id[k] = source->id[i];
    group[k] = source->group ? source->group[i] : NULL;
    class_index[k++] = stratify ? source->class_index[i] : 0;
  }
  import_split request = {.count = good,
                          .id = id,
                          .group = source->group ? group : NULL,
                          .class_index = stratify ? class_index : NULL,
                          .classes = strata,
                          .seed = options->seed};
  memcpy(request.share, options->split, sizeof request.share);
  if (status == THAW_OK) status = thaw_import__split(&request, answer);
  for (int64_t i = 0, k = 0; status == THAW_OK && i < source->count; i++)
    part[i] = survey->record[i].broken ? IMPORT_UNUSED : answer[k++];
  thaw_free(answer);
  thaw_free(class_index);
  thaw_free(group);
  thaw_free(id);
  return status;
}

static thaw_status make_orders(const import_source *source, const uint8_t *part, import_plan *plan) {
  int64_t at[IMPORT_PARTS] = {0};
  for (int64_t i = 0; i < source->count; i++)
    if (part[i] < IMPORT_PARTS) plan->size[part[i]]++;
  for (int s = 0; s < IMPORT_PARTS; s++) {
    plan->order[s] = thaw_new((size_t)plan->size[s], sizeof *plan->order[s]);
    if (!plan->order[s]) return THAW_ERR_MEMORY;
  }
  for (int64_t i = 0; i < source->count; i++)
    if (part[i] < IMPORT_PARTS) plan->order[part[i]][at[part[i]]++] = i;
  return THAW_OK;
}

static thaw_status name_folders(const thaw_import_options *options, import_plan *plan) {
  const bool undivided = thaw_import__undivided(options->split);
  for (int s = 0; s < IMPORT_PARTS; s++) {
    if (plan->size[s] == 0) continue;
    plan->folder[s] = undivided ? thaw_copy_text(options->output) : thaw_path_join(options->output, part_name[s]);
    if (!plan->folder[s]) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

/* Shards of one part differ by at most one sample. */
static thaw_status add_shards(const thaw_import_options *options, int s, const char *name, import_plan *plan,
                              size_t *capacity) {
  const thaw_dataset_info *info = &plan->info;
  const int64_t row = (int64_t)info->h * info->w * info->c * (info->bits / 8), size = plan->size[s];
  int64_t per = options->shard_samples > 0 ? options->shard_samples : SHARD_BYTES / row;
  if (per < 1) per = 1;
  const int64_t shards = (size + per - 1) / per;
  for (int64_t j = 0; j < shards; j++) {
    if (thaw_grow((void **)&plan->shard, (size_t)plan->shards, capacity, sizeof *plan->shard) != 0)
      return THAW_ERR_MEMORY;
    import_shard *shard = &plan->shard[plan->shards++];
    shard->part = s;
    shard->first = size * j / shards;
    shard->count = size * (j + 1) / shards - shard->first;
    shard->file = thaw_format("%s-%05lld.h5", name, (long long)j);
    if (!shard->file) return THAW_ERR_MEMORY;
  }
  return THAW_OK;
}

static thaw_status make_plan(const import_source *source, const import_survey *survey,
                             const thaw_import_options *options, uint8_t *part, import_plan *out) {
  size_t capacity = 0;
  if (survey->broken == source->count)
    return thaw_fail(THAW_ERR_DATA, "%s: no image can be read; the first: %s", source->name, survey->reason[0]);
  out->info.label_kind = source->label_kind;
  out->info.label_width = source->label_width;
  out->info.classes = source->classes;
  out->info.columns = source->columns;
  memcpy(out->key, source->key, sizeof out->key);
  THAW_TRY(find_size(source, survey, options, &out->info));
  find_depth(source, survey, options, &out->info);
  THAW_TRY(split_good(source, survey, options, part));
  THAW_TRY(make_orders(source, part, out));
  THAW_TRY(name_folders(options, out));
  for (int s = 0; s < IMPORT_PARTS; s++)
    THAW_TRY(add_shards(options, s, thaw_import__undivided(options->split) ? "data" : part_name[s], out, &capacity));
  return THAW_OK;
}

thaw_status thaw_import__plan(const import_source *source, const import_survey *survey,
                              const thaw_import_options *options, import_plan *out) {
  *out = (import_plan){0};
  uint8_t *part = thaw_new((size_t)source->count, 1);
  if (!part) return THAW_ERR_MEMORY;
  thaw_status status = make_plan(source, survey, options, part, out);
  thaw_free(part);
  if (status != THAW_OK) thaw_import__clear_plan(out);
  return status;
}

void thaw_import__clear_plan(import_plan *plan) {
  for (int s = 0; s < IMPORT_PARTS; s++) {
    thaw_free(plan->order[s]);
    thaw_free(plan->folder[s]);
  }
  for (int32_t i = 0; i < plan->shards; i++) thaw_free(plan->shard[i].file);
  thaw_free(plan->shard);
  thaw_free(plan->look);
  *plan = (import_plan){0};
}
