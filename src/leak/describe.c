/* describe.c: leaks in words. */
#include "thaw/csv.h"
#include "thaw/file.h"
#include "thaw/leak.h"
#include "thaw/log.h"
#include "thaw/memory.h"

#include <string.h>

static const char *const kind_word[THAW_LEAK_KINDS] = {"group", "id", "image"};

static void add_count(thaw_text *out, int64_t count, const char *word) {
  char text[32];
  thaw_text_add(out, "%s %s%s", thaw_format_count(count, text), word, count == 1 ? "" : "s");
}

void thaw_leaks_summary(const thaw_leaks *leaks, thaw_text *out) {
  int kinds = 0, said = 0;
  for (int k = 0; k < THAW_LEAK_KINDS; k++) kinds += leaks->found[k] > 0;
  for (int k = 0; k < THAW_LEAK_KINDS; k++) {
    if (!leaks->found[k]) continue;
    thaw_text_add(out, "%s", said == 0 ? "" : said + 1 == kinds ? " and " : ", ");
    add_count(out, leaks->found[k], kind_word[k]);
    said++;
  }
}

/* The group, or the id, of one sample: a new string. */
static thaw_status name_of(const thaw_leak *leak, const thaw_leak_set *set, int side, bool group, char **out) {
  thaw_strings one = {0};
  thaw_catalog *catalog = set[leak->set[side]].catalog;
  *out = NULL;
  THAW_TRY(group ? thaw_catalog_groups(catalog, leak->sample[side], 1, &one)
                 : thaw_catalog_ids(catalog, leak->sample[side], 1, &one));
  *out = thaw_copy_text(one.count ? one.item[0] : "");
  thaw_strings_clear(&one);
  return *out ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status describe_one(const thaw_leak *leak, const thaw_leak_set *set, thaw_text *out) {
  char *name[2] = {NULL, NULL};
  const bool group = leak->kind == THAW_LEAK_GROUP;
  thaw_status status = name_of(leak, set, 1, group, &name[1]);
  if (status == THAW_OK && leak->kind == THAW_LEAK_IMAGE) status = name_of(leak, set, 0, false, &name[0]);
  if (status == THAW_OK && leak->kind == THAW_LEAK_IMAGE)
    thaw_text_add(out, "    %s looks like %s (%d of 64 bits differ)\n", name[1], name[0], (int)leak->distance);
  else if (status == THAW_OK && group)
    thaw_text_add(out, "    %s (%lld image%s)\n", name[1], (long long)leak->samples, leak->samples == 1 ? "" : "s");
  else if (status == THAW_OK)
    thaw_text_add(out, "    %s\n", name[1]);
  thaw_free(name[0]);
  thaw_free(name[1]);
  return status;
}

static bool same_pair(const thaw_leak *a, const thaw_leak *b) {
  return a->kind == b->kind && a->set[0] == b->set[0] && a->set[1] == b->set[1];
}

static void add_heading(const thaw_leak *leak, int64_t count, int64_t samples, const thaw_leak_set *set,
                        thaw_text *out) {
  char text[32];
  thaw_text_add(out, "  ");
  add_count(out, count, kind_word[leak->kind]);
  if (leak->kind == THAW_LEAK_IMAGE)
    thaw_text_add(out, " of %s %s like one of %s", set[leak->set[1]].name, count == 1 ? "looks" : "look",
                  set[leak->set[0]].name);
  else
    thaw_text_add(out, " in %s and %s", set[leak->set[0]].name, set[leak->set[1]].name);
  if (leak->kind == THAW_LEAK_GROUP)
    thaw_text_add(out, ", %s image%s of the latter", thaw_format_count(samples, text), samples == 1 ? "" : "s");
  thaw_text_add(out, "\n");
}

static void add_apart(const thaw_leaks *leaks, const thaw_leak_set *set, thaw_text *out) {
  for (int b = 0; b < THAW_LEAK_SETS; b++)
    for (int a = 0; a < b; a++)
      if (leaks->apart[b] & 1u << a)
        thaw_text_add(out,
                      "  groups and ids of %s and %s cannot be compared: they were not hashed with one key; import "
                      "both with one --id-key\n",
                      set[a].name, set[b].name);
}

static thaw_status describe_found(const thaw_leaks *leaks, const thaw_leak_set *set, int64_t limit, thaw_text *out) {
  for (size_t first = 0, end; first < leaks->count; first = end) {
    int64_t samples = 0;
    for (end = first; end < leaks->count && same_pair(&leaks->leak[first], &leaks->leak[end]); end++)
      samples += leaks->leak[end].samples;
    const int64_t count = (int64_t)(end - first);
    add_heading(&leaks->leak[first], count, samples, set, out);
    for (int64_t i = 0; i < count && i < limit; i++) THAW_TRY(describe_one(&leaks->leak[first + (size_t)i], set, out));
    if (limit > 0 && count > limit) thaw_text_add(out, "    ... and %lld more\n", (long long)(count - limit));
  }
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

thaw_status thaw_leaks_describe(const thaw_leaks *leaks, const thaw_leak_set *set, int64_t limit, thaw_text *out) {
  THAW_TRY(describe_found(leaks, set, limit, out));
  add_apart(leaks, set, out);
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

/* A warning for each line. */
static void warn_lines(thaw_text *text, const char *hint, thaw_log *log) {
  for (char *at = text->data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
    *end = 0;
    thaw_warn(log, "leak: %s%s", at + strspn(at, " "), hint);
  }
}

thaw_status thaw_leaks_warn(const thaw_leaks *leaks, const thaw_leak_set *set, thaw_log *log) {
  thaw_text found = {0}, apart = {0};
  thaw_status status = describe_found(leaks, set, 0, &found);
  add_apart(leaks, set, &apart);
  if (status == THAW_OK && (found.failed || apart.failed)) status = THAW_ERR_MEMORY;
  if (status == THAW_OK) warn_lines(&found, " (`thaw inspect --leaks` names them)", log);
  if (status == THAW_OK) warn_lines(&apart, "", log);
  thaw_text_clear(&found);
  thaw_text_clear(&apart);
  return status;
}

static thaw_status add_row(const thaw_leak *leak, const thaw_leak_set *set, thaw_text *out) {
  char *name[2] = {NULL, NULL};
  const bool group = leak->kind == THAW_LEAK_GROUP;
  thaw_status status = name_of(leak, set, 0, group, &name[0]);
  if (status == THAW_OK) status = name_of(leak, set, 1, group, &name[1]);
  thaw_text_add(out, "%s,", kind_word[leak->kind]);
  for (int side = 0; status == THAW_OK && side < 2; side++) {
    thaw_csv_add(out, set[leak->set[side]].name);
    thaw_text_add(out, ",");
    thaw_csv_add(out, name[side]);
    thaw_text_add(out, ",");
  }
  thaw_text_add(out, "%lld,", (long long)leak->samples);
  if (leak->kind == THAW_LEAK_IMAGE) thaw_text_add(out, "%d", (int)leak->distance);
  thaw_text_add(out, "\n");
  thaw_free(name[0]);
  thaw_free(name[1]);
  return status;
}

thaw_status thaw_leaks_write(const thaw_leaks *leaks, const thaw_leak_set *set, const char *path) {
  thaw_text text = {0};
  thaw_status status = THAW_OK;
  thaw_text_add(&text, "kind,set,name,other_set,other_name,samples,distance\n");
  for (size_t i = 0; status == THAW_OK && i < leaks->count; i++) status = add_row(&leaks->leak[i], set, &text);
  if (status == THAW_OK && text.failed) status = THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_file_write(path, text.data, text.length);
  thaw_text_clear(&text);
  return status;
}
