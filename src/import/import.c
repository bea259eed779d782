/* import.c: source -> survey -> plan -> shards and catalogues. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <string.h>
#include <unistd.h>

void thaw_import_defaults(thaw_import_options *options) {
  *options = (thaw_import_options){.split = {1, 0, 0}, .stratify = true};
}

static thaw_status check_options(const thaw_import_options *o) {
  if (!o->source || !o->source[0]) return thaw_fail(THAW_ERR_USAGE, "no source to import");
  if (!o->output || !o->output[0]) return thaw_fail(THAW_ERR_USAGE, "no output folder");
  if (o->h < 0 || o->w < 0 || o->h > 65500 || o->w > 65500 || (o->h == 0) != (o->w == 0))
    return thaw_fail(THAW_ERR_USAGE, "size %dx%d: sides are 1 to 65500", (int)o->h, (int)o->w);
  if (o->c != 0 && o->c != 1 && o->c != 3) return thaw_fail(THAW_ERR_USAGE, "channels %d: 1 or 3", (int)o->c);
  if (o->first < 0 || o->limit < 0 || o->shard_samples < 0)
    return thaw_fail(THAW_ERR_USAGE, "counts of samples cannot be negative");
  if (o->deflate < 0 || o->deflate > 9) return thaw_fail(THAW_ERR_USAGE, "deflate %d: 0 to 9", o->deflate);
  if (o->keep_bits != 0 && o->keep_bits != 8) return thaw_fail(THAW_ERR_USAGE, "bits %d: 8", (int)o->keep_bits);
  if (!(o->value_max >= 0 && o->value_max <= 65535))
    return thaw_fail(THAW_ERR_USAGE, "largest value %g: 1 to 65535", o->value_max);
  const char *mixed = o->class_columns ? "--class-columns" : o->target_columns ? "--target-columns" : NULL;
  if (mixed && (o->regression || o->multi_label || o->label_column || o->classes || o->tile))
    return thaw_fail(THAW_ERR_USAGE, "%s: goes without %s", mixed,
                     o->regression     ? "--regression"
                     : o->multi_label  ? "--multi-label"
                     : o->label_column ? "--label-column"
                     : o->classes      ? "--classes"
                                       : "--tile");
  if (o->regression && o->multi_label) return thaw_fail(THAW_ERR_USAGE, "labels are numbers or class names, not both");
  return THAW_OK;
}

/* ------------------------------------------------------------------ quarantine */
static void add_field(thaw_text *out, const char *text, char end) {
  thaw_text_add(out, "\"");
  for (; *text; text++) {
    if (*text == '"') thaw_text_add(out, "\"");
    thaw_text_add_bytes(out, text, 1);
  }
  thaw_text_add(out, "\"%c", end);
}

/* path,reason of every broken image in source order; no file where there is none. */
static thaw_status write_quarantine(const import_source *source, const import_survey *survey, const char *output) {
  thaw_text text = {0};
  char *path = thaw_path_join(output, "quarantine.csv");
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  if (survey->broken == 0) {
    unlink(path);
  } else {
    thaw_text_add(&text, "path,reason\n");
    for (int64_t i = 0; i < source->count; i++) {
      if (!survey->record[i].broken) continue;
      add_field(&text, source->id[i], ',');
      add_field(&text, survey->reason[i], '\n');
    }
    status = text.failed ? THAW_ERR_MEMORY : thaw_file_write(path, text.data, text.length);
  }
  thaw_text_clear(&text);
  thaw_free(path);
  return status;
}

static thaw_status check_strict(const import_source *source, const import_survey *survey) {
  for (int64_t i = 0; i < source->count; i++)
    if (survey->record[i].broken)
      return thaw_fail(THAW_ERR_DATA, "%lld of %lld images are broken; the first: %s", (long long)survey->broken,
                       (long long)source->count, survey->reason[i]);
  return THAW_OK;
}

/* ------------------------------------------------------------------ all together */
static void report_plan(const import_source *source, const import_survey *survey, const import_plan *plan,
                        thaw_log *log) {
  const thaw_dataset_info *info = &plan->info;
  char count[32];
  thaw_info(log, "%s: %s images -> %dx%dx%d, %d bits, %zu classes", source->name,
            thaw_format_count(source->count - survey->broken, count), (int)info->h, (int)info->w, (int)info->c,
            (int)info->bits, info->classes.count);
  if (survey->broken)
    thaw_warn(log, "%lld of %lld images are broken and left out: see quarantine.csv", (long long)survey->broken,
              (long long)source->count);
  thaw_import__warn_same(source, survey, plan, log);
}

/* A class that a part lacks is not learnt, or not judged. */
static thaw_status warn_missing(const import_source *source, const import_plan *plan, int s, thaw_log *log) {
  const bool labels = source->label_kind == THAW_LABEL_MULTI;
  const int32_t width = labels ? source->label_width : (int32_t)source->classes.count;
  if (!plan->folder[s] || (!labels && source->label_kind != THAW_LABEL_CLASS)) return THAW_OK;
  thaw_text text = {0};
  int64_t *count = thaw_import__count_classes(source, plan, s);
  if (count &&
      thaw_text_add_missing(&text, labels ? "labels" : "classes", source->classes.item, source->classes.count, count,
                            width) &&
      !text.failed)
    thaw_warn(log, "%s/catalog.yaml: no %s of %s", plan->folder[s], labels ? "positive" : "image", text.data);
  thaw_status status = count && !text.failed ? THAW_OK : THAW_ERR_MEMORY;
  thaw_text_clear(&text);
  thaw_free(count);
  return status;
}

static thaw_status report_output(const import_source *source, const import_plan *plan, thaw_log *log) {
  for (int s = 0; s < IMPORT_PARTS; s++) {
    int32_t shards = 0;
    char count[32];
    for (int32_t j = 0; j < plan->shards; j++) shards += plan->shard[j].part == s;
    if (plan->folder[s])
      thaw_info(log, "%s/catalog.yaml: %s images in %d shard%s", plan->folder[s],
                thaw_format_count(plan->size[s], count), (int)shards, shards == 1 ? "" : "s");
    THAW_TRY(warn_missing(source, plan, s, log));
  }
  return THAW_OK;
}

/* [collective] */
static thaw_status write_output(thaw_comm *comm, const import_source *source, const import_survey *survey,
                                import_plan *plan, const thaw_import_options *options, thaw_log *log) {
  THAW_TRY(thaw_import__prepare(comm, plan, options));
  THAW_TRY(thaw_agree(comm, thaw_comm_rank(comm) ? THAW_OK : write_quarantine(source, survey, options->output)));
  report_plan(source, survey, plan, log);
  THAW_TRY(thaw_import__write(comm, source, survey, plan, options, log));
  THAW_TRY(thaw_agree(comm, report_output(source, plan, log)));
  return thaw_import__warn_alike(comm, source, plan, log);
}

/* [collective] */
static thaw_status import_source_samples(thaw_comm *comm, const import_source *source,
                                         const thaw_import_options *options, thaw_log *log) {
  import_survey survey;
  import_plan plan;
  THAW_TRY(thaw_import__survey(comm, source, options, log, &survey));
  thaw_status status = options->strict ? check_strict(source, &survey) : THAW_OK;
  if (status == THAW_OK) {
    status = thaw_agree(comm, thaw_import__plan(source, &survey, options, &plan));
    if (status == THAW_OK) {
      status = write_output(comm, source, &survey, &plan, options, log);
      thaw_import__clear_plan(&plan);
    }
  }
  thaw_import__clear_survey(&survey);
  return status;
}

thaw_status thaw_import(thaw_comm *comm, const thaw_import_options *options, thaw_log *log) {
  import_source source;
  THAW_TRY(check_options(options));
  THAW_TRY(thaw_import__open(comm, options, log, &source));
  thaw_status status = import_source_samples(comm, &source, options, log);
  thaw_import__close(&source);
  return status;
}
