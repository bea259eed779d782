/* The data sheet: what the run was trained, validated and tested on. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SETS = 3, MOST_CLASSES = 200, FILE_LIMIT = 16 << 20 };

typedef struct data_sheet {
  const thaw_yaml *set[SETS]; /* in order; NULL behind the last */
  int32_t sets;
  const thaw_yaml *strips;
  const char *folder; /* the run folder */
} data_sheet;

static void add_count(thaw_text *out, double value) {
  char text[32];
  thaw_text_add(out, "%s", isfinite(value) ? thaw_format_count((int64_t)value, text) : "\xe2\x80\x93");
}

static void add_text(thaw_text *out, const thaw_yaml *map, const char *key) {
  const char *text = report_text_of(map, key);
  report_add_escaped(out, text ? text : "");
}

/* ------------------------------------------------------------------ the sets */

static void add_set(thaw_text *out, const thaw_yaml *set) {
  const thaw_yaml *shape = thaw_yaml_get(set, "shape");
  const char *separator = "";
  thaw_text_add(out, "<tr><th>");
  add_text(out, set, "name");
  thaw_text_add(out, "</th><td>");
  add_count(out, report_number_of(set, "samples"));
  thaw_text_add(out, " samples of ");
  for (const thaw_yaml *side = shape ? shape->child : NULL; side; side = side->next) {
    thaw_text_add(out, "%s", separator);
    report_add_escaped(out, side->kind == THAW_YAML_SCALAR ? side->value : "");
    separator = " \xc3\x97 ";
  }
  thaw_text_add(out, ", ");
  add_text(out, set, "bits");
  thaw_text_add(out, " bits<br><small>");
  add_text(out, set, "path");
  thaw_text_add(out, "<br>sha256 ");
  add_text(out, set, "digest");
  thaw_text_add(out, "</small></td></tr>\n");
}

/* ------------------------------------------------------------------ classes */

static const thaw_yaml *item_at(const thaw_yaml *list, int32_t index) {
  const thaw_yaml *item = list && list->kind == THAW_YAML_LIST ? list->child : NULL;
  while (item && index-- > 0) item = item->next;
  return item;
}

static const thaw_yaml *strip_of(const data_sheet *d, int32_t index) {
  for (const thaw_yaml *strip = d->strips ? d->strips->child : NULL; strip; strip = strip->next)
    if (report_number_of(strip, "class") == index) return strip;
  return NULL;
}

static thaw_status add_strip(const data_sheet *d, int32_t index, thaw_text *out) {
  const thaw_yaml *strip = strip_of(d, index);
  const char *file = strip ? report_text_of(strip, "file") : NULL;
  if (!file || strchr(file, '/')) return THAW_OK;
  char *name = thaw_format("data/%s", file);
  thaw_status status = name ? report_add_file(out, d->folder, name, "samples") : THAW_ERR_MEMORY;
  thaw_free(name);
  return status;
}

/* One bar per set, as long as the class is frequent in it. */
static void add_bars(const data_sheet *d, int32_t index, const double *largest, thaw_text *out) {
  for (int32_t i = 0; i < d->sets; i++) {
    const thaw_yaml *class = item_at(thaw_yaml_get(d->set[i], "classes"), index);
    if (!class) continue;
    double yes = report_number_of(class, "yes"), unknown = report_number_of(class, "unknown"),
           samples = report_number_of(d->set[i], "samples");
    thaw_text_add(out, "<div class=bar><i class=c%d style=\"width:%.1f%%\"></i><span>", i,
                  largest[i] > 0 ? 100 * yes / largest[i] : 0);
    add_text(out, d->set[i], "name");
    thaw_text_add(out, " ");
    add_count(out, yes);
    thaw_text_add(out, " (%.1f %%)", samples > 0 ? 100 * yes / samples : 0);
    if (unknown > 0) {
      thaw_text_add(out, ", unknown ");
      add_count(out, unknown);
    }
    thaw_text_add(out, "</span></div>\n");
  }
}

static thaw_status add_classes(const data_sheet *d, thaw_text *out) {
  const thaw_yaml *first = thaw_yaml_get(d->set[0], "classes");
  double largest[SETS] = {0};
  if (!first || first->kind != THAW_YAML_LIST || !first->count) return THAW_OK;
  for (int32_t i = 0; i < d->sets; i++) {
    const thaw_yaml *list = thaw_yaml_get(d->set[i], "classes");
    for (const thaw_yaml *c = list ? list->child : NULL; c; c = c->next)
      largest[i] = fmax(largest[i], report_number_of(c, "yes"));
  }
  thaw_text_add(out, "<h3>Classes</h3>\n<div class=grid>\n");
  int32_t index = 0;
  for (const thaw_yaml *c = first->child; c && index < MOST_CLASSES; c = c->next, index++) {
    thaw_text_add(out, "<div class=kind><b>");
    add_text(out, c, "name");
    thaw_text_add(out, "</b>\n");
    add_bars(d, index, largest, out);
    THAW_TRY(add_strip(d, index, out));
    thaw_text_add(out, "</div>\n");
  }
  thaw_text_add(out, "</div>\n");
  if (first->count > index) thaw_text_add(out, "<p>and %d more classes</p>\n", first->count - index);
  return THAW_OK;
}

/* ------------------------------------------------------------------ targets */

static void add_histogram(const thaw_yaml *target, thaw_text *out) {
  const thaw_yaml *list = thaw_yaml_get(target, "histogram");
  double largest = 0, value;
  for (const thaw_yaml *bin = list ? list->child : NULL; bin; bin = bin->next)
    if (bin->kind == THAW_YAML_SCALAR && thaw_parse_double(bin->value, &value) == THAW_OK)
      largest = fmax(largest, value);
  thaw_text_add(out, "<div class=bins>");
  for (const thaw_yaml *bin = list ? list->child : NULL; bin; bin = bin->next) {
    bool known = bin->kind == THAW_YAML_SCALAR && thaw_parse_double(bin->value, &value) == THAW_OK;
    thaw_text_add(out, "<i style=\"height:%.0f%%\"></i>", known && largest > 0 ? 100 * value / largest : 0);
  }
  thaw_text_add(out, "</div>\n");
}

static void add_target(const thaw_yaml *set, const thaw_yaml *target, thaw_text *out) {
  thaw_text_add(out, "<div class=kind><b>");
  add_text(out, target, "name");
  thaw_text_add(out, "</b> <span>");
  add_text(out, set, "name");
  if (isfinite(report_number_of(target, "mean")))
    thaw_text_add(out, ": %.4g to %.4g, mean %.4g, deviation %.4g", report_number_of(target, "low"),
                  report_number_of(target, "high"), report_number_of(target, "mean"),
                  report_number_of(target, "deviation"));
  if (report_number_of(target, "unknown") > 0)
    thaw_text_add(out, ", unknown %.0f", report_number_of(target, "unknown"));
  thaw_text_add(out, "</span>\n");
  add_histogram(target, out);
  thaw_text_add(out, "</div>\n");
}

static void add_targets(const data_sheet *d, thaw_text *out) {
  const thaw_yaml *first = thaw_yaml_get(d->set[0], "targets");
  if (!first || first->kind != THAW_YAML_LIST || !first->count) return;
  thaw_text_add(out, "<h3>Targets</h3>\n<div class=grid>\n");
  for (int32_t index = 0; index < first->count && index < MOST_CLASSES; index++)
    for (int32_t i = 0; i < d->sets; i++) {
      const thaw_yaml *target = item_at(thaw_yaml_get(d->set[i], "targets"), index);
      if (target) add_target(d->set[i], target, out);
    }
  thaw_text_add(out, "</div>\n");
}

/* ------------------------------------------------------------------ all of it */

static thaw_status add_sheet(const thaw_yaml *root, const char *folder, thaw_text *out) {
  data_sheet d = {.strips = thaw_yaml_get(root, "strips"), .folder = folder};
  const thaw_yaml *sets = thaw_yaml_get(root, "splits");
  for (const thaw_yaml *set = sets ? sets->child : NULL; set && d.sets < SETS; set = set->next) d.set[d.sets++] = set;
  if (!d.sets) return THAW_OK;
  thaw_text_add(out, "<h2 id=data>Data</h2>\n<table class=facts>\n");
  for (int32_t i = 0; i < d.sets; i++) add_set(out, d.set[i]);
  thaw_text_add(out, "</table>\n");
  THAW_TRY(add_classes(&d, out));
  add_targets(&d, out);
  return add_strip(&d, -1, out);
}

thaw_status report_add_data(thaw_text *out, const char *folder) {
  char *path = thaw_path_join(folder, "data/data.json"), *text = NULL;
  size_t size;
  thaw_yaml *root = NULL;
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = thaw_file_exists(path) ? thaw_file_read(path, FILE_LIMIT, &text, &size) : THAW_OK;
  thaw_arena *arena = text ? thaw_arena_create() : NULL;
  if (text && status == THAW_OK)
    status = arena ? thaw_yaml_parse("data/data.json", text, size, arena, &root) : THAW_ERR_MEMORY;
  if (status == THAW_ERR_USAGE) status = thaw_fail(THAW_ERR_DATA, "%s/%s", folder, thaw_message());
  if (status == THAW_OK && root && root->kind == THAW_YAML_MAP) status = add_sheet(root, folder, out);
  thaw_arena_destroy(arena);
  thaw_free(text);
  thaw_free(path);
  return status;
}
