/* survey.c: every image is decoded once, in parallel, before anything is planned: what is broken, which shapes, which
 * pixels occur twice. So the plan, and with it every byte of the output, does not depend on the number of ranks. */
#include "import/import_private.h"
#include "thaw/digest.h"
#include "thaw/text.h"

#include <string.h>
#include <unistd.h>

/* The first 64 bits of the SHA-256 over shape and pixels. */
static thaw_status hash_image(const thaw_image *image, uint64_t *out) {
  const int32_t shape[4] = {image->h, image->w, image->c, image->bits};
  const size_t bytes = (size_t)image->h * (size_t)image->w * (size_t)image->c * (image->bits == 16 ? 2 : 1);
  thaw_digest *digest = NULL;
  char text[THAW_DIGEST_TEXT];
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add(digest, shape, sizeof shape);
  thaw_digest_add(digest, image->pixels, bytes);
  thaw_digest_finish(digest, text);
  *out = 0;
  for (int i = 0; i < 16; i++) *out = *out << 4 | (uint64_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
  return THAW_OK;
}

/* Bytes that a rank may keep: a sixteenth of the machine's memory, at most 1 GB. */
static size_t keep_limit(void) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const size_t memory = pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 16 : 0, most = (size_t)1 << 30;
  return memory < most ? memory : most;
}

/* What a rank carries through its share. */
typedef struct survey_share {
  const import_source *source;
  const thaw_import_options *options;
  import_record *record; /* of the share */
  thaw_text reasons;
  size_t kept, limit; /* bytes */
} survey_share;

/* Keeps the fitted image where its size is known already and memory lasts; else it is released. */
static thaw_status keep(survey_share *share, thaw_image *image, thaw_image *kept) {
  const bool worth = share->source->path && share->options->h;
  const size_t bytes = (size_t)share->options->h * (size_t)share->options->w * 6;
  if (!worth || share->kept + bytes > share->limit) {
    thaw_image_clear(image);
    return THAW_OK;
  }
  thaw_status status = thaw_import__fit(share->options, image);
  if (status != THAW_OK) {
    thaw_image_clear(image);
    return status;
  }
  share->kept += (size_t)image->h * (size_t)image->w * (size_t)image->c * (size_t)(image->bits / 8);
  *kept = *image;
  return THAW_OK;
}

/* With the id in place of the path where paths may name people. */
static void add_reason(const import_source *source, int64_t i, const char *reason, thaw_text *out) {
  const char *path = source->hide_paths ? source->path[i] : NULL, *found = path ? strstr(reason, path) : NULL;
  if (found) {
    thaw_text_add_bytes(out, reason, (size_t)(found - reason));
    thaw_text_add(out, "%s", source->id[i]);
    reason = found + strlen(path);
  }
  thaw_text_add_bytes(out, reason, strlen(reason) + 1);
}

/* A broken image is a result, not a failure; lack of memory is one. */
static thaw_status look(survey_share *share, int64_t i, import_record *record, thaw_image *kept) {
  thaw_image image;
  thaw_status status = thaw_import__image(share->source, i, &image);
  if (status == THAW_ERR_DATA) {
    record->broken = 1;
    add_reason(share->source, i, thaw_message(), &share->reasons);
    return THAW_OK;
  }
  THAW_TRY(status);
  record->h = image.h;
  record->w = image.w;
  record->c = image.c;
  record->bits = image.bits;
  status = hash_image(&image, &record->hash);
  if (status == THAW_OK) return keep(share, &image, kept);
  thaw_image_clear(&image);
  return status;
}

static thaw_status look_at_share(survey_share *share, int64_t ranks, thaw_log *log, import_survey *out) {
  const int64_t count = share->source->count;
  for (int64_t i = out->first; i < out->last; i++) {
    THAW_TRY(look(share, i, &share->record[i - out->first], &out->kept[i - out->first]));
    const int64_t done = (i - out->first + 1) * ranks;
    thaw_progress_update(log, done < count ? done : count, NULL);
  }
  return share->reasons.failed ? THAW_ERR_MEMORY : THAW_OK;
}

thaw_status thaw_import__share_bytes(thaw_comm *comm, const void *mine, size_t size, char **all, size_t *total) {
  size_t *sizes = NULL;
  *all = NULL;
  *total = 0;
  THAW_TRY(thaw_comm_gather(comm, mine, size, all, &sizes));
  for (int r = 0; sizes && r < thaw_comm_size(comm); r++) *total += sizes[r];
  thaw_free(sizes);
  return thaw_comm_broadcast_new(comm, 0, all, total);
}

static thaw_status take_reasons(const import_source *source, const char *text, size_t size, import_survey *out) {
  const char *end = text + size;
  out->reason = thaw_new((size_t)source->count, sizeof *out->reason);
  if (!out->reason) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < source->count; i++) {
    if (!out->record[i].broken) continue;
    if (text >= end) return thaw_fail(THAW_ERR_INTERNAL, "%s: reasons of broken images got lost", source->name);
    THAW_TRY(thaw_strings_add(&out->reasons, text));
    text += strlen(text) + 1;
    out->broken++;
  }
  for (int64_t i = 0, k = 0; i < source->count; i++)
    if (out->record[i].broken) out->reason[i] = out->reasons.item[k++];
  return THAW_OK;
}

/* [collective] */
static thaw_status exchange(thaw_comm *comm, const import_source *source, const import_record *mine, int64_t count,
                            const thaw_text *reasons, import_survey *out) {
  char *records = NULL, *text = NULL;
  size_t record_bytes = 0, text_bytes = 0;
  thaw_status status = thaw_import__share_bytes(comm, mine, (size_t)count * sizeof *mine, &records, &record_bytes);
  if (status == THAW_OK) status = thaw_import__share_bytes(comm, reasons->data, reasons->length, &text, &text_bytes);
  out->record = (import_record *)records;
  if (status == THAW_OK && record_bytes != (size_t)source->count * sizeof *mine)
    status = thaw_fail(THAW_ERR_INTERNAL, "%s: records of images got lost", source->name);
  if (status == THAW_OK) status = take_reasons(source, text, text_bytes, out);
  thaw_free(text);
  return thaw_agree(comm, status);
}

thaw_status thaw_import__survey(thaw_comm *comm, const import_source *source, const thaw_import_options *options,
                                thaw_log *log, import_survey *out) {
  const int64_t ranks = thaw_comm_size(comm), rank = thaw_comm_rank(comm);
  *out = (import_survey){.first = source->count * rank / ranks, .last = source->count * (rank + 1) / ranks};
  const int64_t count = out->last - out->first;
  survey_share share = {.source = source, .options = options, .limit = keep_limit()};
  share.record = thaw_new((size_t)count, sizeof *share.record);
  out->kept = thaw_new((size_t)count, sizeof *out->kept);
  thaw_status status = share.record && out->kept ? THAW_OK : THAW_ERR_MEMORY;
  thaw_progress_begin(log, "checking", "images", source->count);
  if (status == THAW_OK) status = look_at_share(&share, ranks, log, out);
  thaw_progress_end(log, NULL);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = exchange(comm, source, share.record, count, &share.reasons, out);
  thaw_text_clear(&share.reasons);
  thaw_free(share.record);
  if (status != THAW_OK) thaw_import__clear_survey(out);
  return status;
}

void thaw_import__clear_survey(import_survey *survey) {
  for (int64_t i = 0; survey->kept && i < survey->last - survey->first; i++) thaw_image_clear(&survey->kept[i]);
  thaw_free(survey->kept);
  thaw_strings_clear(&survey->reasons);
  thaw_free(survey->reason);
  thaw_free(survey->record);
  *survey = (import_survey){0};
}
