/* The cuts of later phases, filled along with the present one: a cut only moves towards the images, so that the frozen
 * network passes by the later ones on its way. */
#include "feature/feature_private.h"
#include "thaw/graph.h"
#include "thaw/memory.h"

#include <string.h>

static thaw_status create_one(thaw_features *f, const thaw_features_desc *desc, int32_t index, size_t offset) {
  const thaw_features_later *from = &desc->later[index];
  thaw_later *to = &f->later[index];
  thaw_features_desc own = *desc;
  own.cut_name = from->cut_name;
  own.floats = from->floats;
  own.weights_digest = from->weights_digest;
  own.later = NULL;
  own.later_count = 0;
  *to = (thaw_later){.offset = offset, .first_view = from->first_view, .views = from->views};
  f->later_count = index + 1;
  return thaw_features_create(&own, f->log, &to->features);
}

thaw_status thaw_later_create(thaw_features *f, const thaw_features_desc *desc) {
  if (desc->later_count < 1) return THAW_OK;
  f->later = thaw_new((size_t)desc->later_count, sizeof *f->later);
  if (!f->later) return THAW_ERR_MEMORY;
  size_t offset = f->floats;
  for (int32_t i = 0; i < desc->later_count; i++) {
    THAW_TRY(create_one(f, desc, i, offset));
    offset += desc->later[i].floats;
  }
  if (offset <= f->plan_floats) return THAW_OK;
  return thaw_fail(THAW_ERR_INTERNAL, "%zu floats per sample for a plan of %zu", offset, f->plan_floats);
}

void thaw_later_clear(thaw_features *f) {
  for (int32_t i = 0; i < f->later_count; i++) thaw_features_close(f->later[i].features);
  thaw_free(f->later);
  f->later = NULL;
  f->later_count = 0;
}

bool thaw_later_wants(const thaw_features *f, const thaw_later *later, int32_t view) {
  int32_t views = f->input.augment.views;
  if (view < 0 || !f->input.augment.enabled || views < 1) return true;
  return (view + views - later->first_view % views) % views < later->views;
}

void thaw_later_deliver(thaw_features *f, int32_t rows, float *out) {
  for (int32_t r = 0; r < rows; r++) {
    const float *row = f->wide + (size_t)r * f->plan_floats;
    memcpy(out + (size_t)r * f->floats, row, f->floats * sizeof *row);
    for (int32_t i = 0; i < f->later_count; i++) {
      thaw_later *later = &f->later[i];
      if (!later->collect) continue;
      memcpy(later->collect, row + later->offset, later->features->floats * sizeof *row);
      later->collect += later->features->floats;
    }
  }
}

/* ------------------------------------------------------------------ room for them */

static double existing_bytes(const thaw_entries *entries, const char *name) {
  for (size_t i = 0; i < entries->count; i++)
    if (strcmp(entries->item[i].name, name) == 0) return (double)entries->item[i].bytes;
  return 0;
}

/* Of one cut: all bytes, and those of them that are there already. */
static thaw_status measure(const thaw_features *f, const thaw_later *later, int32_t views, int64_t more,
                           const thaw_entries *entries, double *all, double *there) {
  bool augmented = f->input.augment.enabled;
  double each = (double)(f->row_bytes + sizeof(uint64_t)) + THAW_FILE_OVERHEAD / (double)f->block_rows;
  double view_bytes = (double)f->data->count * each + THAW_FILE_OVERHEAD;
  *all = (double)more * each;
  *there = 0;
  for (int32_t v = 0; v < views; v++) {
    char name[THAW_VIEW_NAME + 1];
    if (later && !thaw_later_wants(f, later, v)) continue;
    THAW_TRY(thaw_view_name(f, augmented ? v : -1, name));
    double found = existing_bytes(entries, name);
    *all += view_bytes;
    *there += found < view_bytes ? found : view_bytes;
  }
  return THAW_OK;
}

typedef struct fitting {
  int32_t count;
  double bytes, there; /* of those that fit; of that, on the disk already */
} fitting;

/* The present cut counts first. */
static thaw_status count_fitting(const thaw_features *f, int32_t views, int64_t more, const thaw_entries *entries,
                                 fitting *out) {
  double room = (double)thaw_disk_free(f->cache_folder) - THAW_DISK_RESERVE, all, there, sum;
  THAW_TRY(measure(f, NULL, views, more, entries, &all, &there));
  room -= all - there;
  sum = all;
  for (int32_t i = 0; i < f->later_count; i++) {
    THAW_TRY(measure(f->later[i].features, &f->later[i], views, more, entries, &all, &there));
    room -= all - there;
    sum += all;
    if (room < 0 || (f->limit_bytes > 0 && sum > f->limit_bytes)) return THAW_OK;
    out->count = i + 1;
    out->bytes += all;
    out->there += there;
  }
  return THAW_OK;
}

static void name_cuts(const thaw_features *f, int32_t from, int32_t to, thaw_text *out) {
  for (int32_t i = from; i < to; i++)
    thaw_text_add(out, "%s%s", i > from ? i + 1 < to ? ", " : " and " : "", f->later[i].features->cut_name);
}

static void report(const thaw_features *f, const fitting *fit, thaw_log *log) {
  thaw_text kept = {0}, left = {0};
  char size[32];
  name_cuts(f, 0, fit->count, &kept);
  name_cuts(f, fit->count, f->later_count, &left);
  if (!left.length && !fit->there) /* said in the first phase, or by the run that this one goes on with */
    thaw_info(log, "feature cache: features for later phases are kept along the way: %s (up to %s)", kept.data,
              thaw_format_bytes(fit->bytes, size));
  else if (left.length && !kept.length)
    thaw_info(log, "feature cache: no room to keep features for later phases along the way: they compute %s",
              left.data);
  else if (left.length)
    thaw_info(log, "feature cache: features for later phases are kept along the way: %s (up to %s); no room for %s",
              kept.data, thaw_format_bytes(fit->bytes, size), left.data);
  thaw_text_clear(&kept);
  thaw_text_clear(&left);
}

thaw_status thaw_features_limit_later(thaw_features *f, thaw_comm *comm, int32_t views, int64_t more, thaw_log *log,
                                      int32_t *fit_out) {
  *fit_out = 0;
  if (!f->later_count) return THAW_OK;
  thaw_status status = THAW_OK;
  fitting fit = {0};
  if (thaw_comm_rank(comm) == 0) {
    thaw_entries entries;
    thaw_status read = thaw_entries_read(f->cache_folder, &entries); /* filling will tell what is wrong with it */
    if (read == THAW_ERR_MEMORY) status = read;
    if (read == THAW_OK) {
      status = count_fitting(f, views, more, &entries, &fit);
      thaw_entries_clear(&entries);
    }
  }
  THAW_TRY(thaw_agree(comm, status));
  int64_t agreed = fit.count;
  THAW_TRY(thaw_comm_max_int(comm, &agreed, 1));
  if (thaw_comm_rank(comm) == 0) report(f, &fit, log);
  *fit_out = (int32_t)agreed;
  for (int32_t i = *fit_out; i < f->later_count; i++) thaw_features_close(f->later[i].features);
  f->later_count = *fit_out;
  return THAW_OK;
}
