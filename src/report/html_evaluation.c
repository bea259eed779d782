/* The part of the page that tells an evaluation: plots, figures and tables, of a run with several heads one head after
 * the other. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <string.h>

static thaw_status add_confusion(thaw_text *out, const char *folder, const report_evaluation *e) {
  if (!e->confusion) return THAW_OK;
  thaw_text png = {0};
  char *path = thaw_path_join(folder, "confusion.png");
  thaw_status status =
      path ? report_confusion_png("confusion", e->confusion, e->class_count, &e->classes, &png) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = thaw_file_write(path, png.data, png.length);
  if (status == THAW_OK) report_add_picture(out, "confusion matrix", "matrix", &png);
  thaw_free(path);
  thaw_text_clear(&png);
  return status;
}

/* Plots that the evaluation left in the folder, of classes or of targets. */
static thaw_status add_plots(thaw_text *out, const char *folder, const report_evaluation *e) {
  static const char *const plot[][2] = {{"roc.png", "ROC curves"},
                                        {"precision_recall.png", "precision-recall curves"},
                                        {"calibration.png", "reliability diagram"}};
  thaw_text_add(out, "<div class=pictures>\n");
  THAW_TRY(add_confusion(out, folder, e));
  for (size_t i = 0; i < sizeof plot / sizeof *plot; i++)
    THAW_TRY(report_add_file(out, folder, plot[i][0], plot[i][1]));
  thaw_text_add(out, "</div>\n<div class=wide>\n");
  THAW_TRY(report_add_file(out, folder, "residuals.png", "predicted and true values, residuals"));
  thaw_text_add(out, "</div>\n");
  return THAW_OK;
}

static thaw_status add_figures(thaw_text *out, const char *folder, const report_evaluation *e) {
  THAW_TRY(add_plots(out, folder, e));
  if (thaw_yaml_get(e->root, "overall") || thaw_yaml_get(e->root, "regression")) report_add_scores(out, e->root);
  if (!e->confusion) return THAW_OK;
  thaw_text_add(out, "<h3>Precision and recall</h3>\n");
  report_add_class_table(out, e);
  return THAW_OK;
}

static void add_facts(thaw_text *out, const report_evaluation *e) {
  thaw_text_add(out, "<details><summary>what was evaluated</summary>\n");
  report_add_evaluation(out, e);
  thaw_text_add(out, "</details>\n");
}

static thaw_status add_head(thaw_text *out, const char *folder, const char *name) {
  char *inner = thaw_format("%s/heads/%s", folder, name),
       *path = inner ? thaw_path_join(inner, "evaluation.json") : NULL;
  report_evaluation e = {0};
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && thaw_file_exists(path)) {
    thaw_text_add(out, "<h2>Head ");
    report_add_escaped(out, name);
    thaw_text_add(out, "</h2>\n");
    status = report_evaluation_read(path, &e);
    if (status == THAW_OK) status = add_figures(out, inner, &e);
    if (status == THAW_OK) add_facts(out, &e);
    report_evaluation_clear(&e);
  }
  thaw_free(inner);
  thaw_free(path);
  return status;
}

/* Each in its folder; a name that leads elsewhere is none. */
static thaw_status add_heads(thaw_text *out, const char *folder, const thaw_yaml *heads) {
  for (const thaw_yaml *head = heads ? heads->child : NULL; head; head = head->next) {
    const char *name = head->kind == THAW_YAML_MAP ? report_text_of(head, "name") : NULL;
    if (name && *name && *name != '.' && !strchr(name, '/')) THAW_TRY(add_head(out, folder, name));
  }
  return THAW_OK;
}

thaw_status report_add_judgement(thaw_text *out, const char *folder, const report_evaluation *evaluation) {
  const thaw_yaml *heads = thaw_yaml_get(evaluation->root, "heads");
  thaw_text_add(out, "<h2 id=evaluation>Evaluation</h2>\n");
  if (!heads) THAW_TRY(add_figures(out, folder, evaluation));
  add_facts(out, evaluation);
  return add_heads(out, folder, heads);
}
