/* The tables of the page. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 200, SHOWN_EPOCHS = 2000 };

/* RFC 4648. */
void report_add_base64(thaw_text *out, const void *data, size_t size) {
  static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *byte = data;
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    uint32_t word = (uint32_t)byte[i] << 16;
    if (left > 1) word |= (uint32_t)byte[i + 1] << 8;
    if (left > 2) word |= byte[i + 2];
    const char four[4] = {digit[word >> 18], digit[word >> 12 & 63], left > 1 ? digit[word >> 6 & 63] : '=',
                          left > 2 ? digit[word & 63] : '='};
    thaw_text_add_bytes(out, four, 4);
  }
}

void report_add_escaped(thaw_text *out, const char *text) {
  size_t size = strlen(text) + 1;
  char *clean = thaw_new(size, 1);
  if (clean)
    thaw_text_add_html(out, report_clean(text, clean, size));
  else
    out->failed = true;
  thaw_free(clean);
}

static void add_row(thaw_text *out, const char *name, const char *value) {
  thaw_text_add(out, "<tr><th>");
  report_add_escaped(out, name);
  thaw_text_add(out, "</th><td>");
  report_add_escaped(out, value);
  thaw_text_add(out, "</td></tr>\n");
}

/* Numbers with many decimals are rounded for the eye; texts and whole numbers (digests, counts) are not. */
static void add_value(thaw_text *out, const thaw_yaml *scalar) {
  double value;
  if (!scalar->quoted && strchr(scalar->value, '.') && thaw_parse_double(scalar->value, &value) == THAW_OK)
    thaw_text_add(out, "%.6g", value);
  else
    thaw_text_add(out, "%s", scalar->value);
}

/* Lists of scalars are one row; the depth is bounded by the reader. */
static void add_node(thaw_text *out, const thaw_yaml *node, const char *place) {
  thaw_text items = {0};
  if (node->kind == THAW_YAML_SCALAR) add_value(&items, node);
  for (const thaw_yaml *child = node->child; child; child = child->next) {
    char inner[PATH_SIZE];
    if (node->kind == THAW_YAML_LIST && child->kind == THAW_YAML_SCALAR) {
      if (items.length) thaw_text_add(&items, ", ");
      add_value(&items, child);
      continue;
    }
    snprintf(inner, sizeof inner, "%s%s%s", place, *place && child->key ? "." : "", child->key ? child->key : "");
    add_node(out, child, inner);
  }
  if (items.data) add_row(out, place, items.data);
  thaw_text_clear(&items);
}

void report_add_tree(thaw_text *out, const thaw_yaml *tree) {
  thaw_text_add(out, "<div class=wide><table class=facts>\n");
  add_node(out, tree, "");
  thaw_text_add(out, "</table></div>\n");
}

void report_add_evaluation(thaw_text *out, const report_evaluation *evaluation) {
  thaw_text_add(out, "<div class=wide><table class=facts>\n");
  static const char *const elsewhere[] = {"confusion", "classes", "overall",    "questions", "calibration",
                                          "subgroups", "notes",   "regression", NULL};
  for (const thaw_yaml *node = evaluation->root->child; node; node = node->next) {
    int32_t i = 0;
    while (elsewhere[i] && strcmp(node->key, elsewhere[i])) i++;
    if (!elsewhere[i]) add_node(out, node, node->key);
  }
  thaw_text_add(out, "</table></div>\n");
}

static double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? (double)part / (double)whole : 0;
}

static void add_class(thaw_text *out, const report_evaluation *e, int32_t c) {
  size_t n = (size_t)e->class_count, self = (size_t)c;
  int64_t hit = e->confusion[self * n + self], predicted = 0, support = 0;
  for (size_t i = 0; i < n; i++) {
    predicted += e->confusion[i * n + self];
    support += e->confusion[self * n + i];
  }
  char number[16];
  snprintf(number, sizeof number, "%d", c);
  thaw_text_add(out, "<tr><th>");
  report_add_escaped(out, self < e->classes.count ? e->classes.item[c] : number);
  if (support == 0) { /* nothing is known of it */
    thaw_text_add(out, "</th><td>\xe2\x80\x93</td><td>\xe2\x80\x93</td><td>\xe2\x80\x93</td><td>0</td></tr>\n");
    return;
  }
  thaw_text_add(out, "</th><td>%.4f</td><td>%.4f</td><td>%.4f</td><td>%lld</td></tr>\n", ratio(hit, predicted),
                ratio(hit, support), ratio(2 * hit, predicted + support), (long long)support);
}

void report_add_class_table(thaw_text *out, const report_evaluation *evaluation) {
  thaw_text_add(out, "<div class=wide><table class=numbers>\n<tr><th>class</th><th>precision</th><th>recall</th>"
                     "<th>F1</th><th>support</th></tr>\n");
  for (int32_t c = 0; c < evaluation->class_count; c++) add_class(out, evaluation, c);
  thaw_text_add(out, "</table></div>\n");
}

void report_add_epochs(thaw_text *out, const report_metrics *metrics) {
  thaw_text_add(out, "<div class=wide><table class=numbers>\n<tr>");
  for (size_t i = 0; i < metrics->columns.count; i++) {
    thaw_text_add(out, "<th>");
    report_add_escaped(out, metrics->columns.item[i]);
    thaw_text_add(out, "</th>");
  }
  thaw_text_add(out, "</tr>\n");
  int32_t first = metrics->rows > SHOWN_EPOCHS ? metrics->rows - SHOWN_EPOCHS : 0;
  for (int32_t row = first; row < metrics->rows; row++) {
    thaw_text_add(out, "<tr>");
    for (size_t i = 0; i < metrics->columns.count; i++) {
      double value = report_metrics_at(metrics, row, (int32_t)i);
      if (isnan(value))
        thaw_text_add(out, "<td></td>");
      else
        thaw_text_add(out, "<td>%.6g</td>", value);
    }
    thaw_text_add(out, "</tr>\n");
  }
  thaw_text_add(out, "</table></div>\n");
}
