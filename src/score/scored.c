/* Predictions and labels as yes-or-no questions. */
#include "thaw/memory.h"
#include "thaw/score.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t thaw_scored_questions(const thaw_scored *scored) {
  return scored->outputs;
}

static uint8_t truth_of(const thaw_scored *s, int64_t sample, int32_t question) {
  if (s->kind == THAW_LABEL_CLASS)
    return (int32_t)s->label[sample] == (s->outputs == 1 ? 1 : question); /* one output: class 1 or class 0 */
  float value = s->label[(size_t)sample * (size_t)s->outputs + (size_t)question];
  return value == THAW_UNKNOWN ? THAW_UNKNOWN : value > 0.5f;
}

thaw_status thaw_scored_binary(const thaw_scored *scored, int32_t question, thaw_binary *out) {
  *out = (thaw_binary){0};
  uint8_t *truth = thaw_new((size_t)scored->count, sizeof *truth);
  if (!truth) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < scored->count; i++) truth[i] = truth_of(scored, i, question);
  thaw_status status = thaw_binary_create(scored->y + question, scored->outputs, truth, NULL, scored->count, out);
  thaw_free(truth);
  return status;
}

const char *thaw_scored_name(const thaw_scored *scored, int32_t question, char number[16]) {
  size_t index = (size_t)question;
  if (scored->kind == THAW_LABEL_CLASS && scored->outputs == 1) index = 1;
  if (scored->classes && index < scored->classes->count) return scored->classes->item[index];
  snprintf(number, 16, "%d", (int)index);
  return number;
}

typedef struct named {
  const char *name;
  int64_t sample;
} named;

static int compare_names(const void *a, const void *b) {
  const named *x = a, *y = b;
  int order = strcmp(x->name, y->name);
  return order ? order : (x->sample > y->sample) - (x->sample < y->sample);
}

static int compare_first(const void *a, const void *b) {
  const named *x = *(const named *const *)a, *y = *(const named *const *)b;
  return (x->sample > y->sample) - (x->sample < y->sample);
}

/* Sorted by name, each name's first row leads its run; the runs are numbered by where they first appear. */
static void number_runs(named *row, size_t count, const named **leader, int32_t *out, int64_t *groups) {
  size_t leaders = 0;
  for (size_t i = 0; i < count; i++)
    if (i == 0 || strcmp(row[i].name, row[i - 1].name)) leader[leaders++] = &row[i];
  qsort(leader, leaders, sizeof *leader, compare_first);
  for (size_t g = 0; g < leaders; g++)
    for (const named *at = leader[g]; at < row + count && strcmp(at->name, leader[g]->name) == 0; at++)
      out[at->sample] = (int32_t)g;
  *groups = (int64_t)leaders;
}

thaw_status thaw_group_numbers(const thaw_strings *names, int32_t **out, int64_t *groups_out) {
  size_t count = names->count;
  named *row = thaw_new(count, sizeof *row);
  const named **leader = thaw_new(count, sizeof *leader);
  *out = thaw_new(count, sizeof **out);
  bool complete = row && leader && *out;
  if (complete) {
    for (size_t i = 0; i < count; i++) row[i] = (named){names->item[i], (int64_t)i};
    qsort(row, count, sizeof *row, compare_names);
    number_runs(row, count, leader, *out, groups_out);
  } else {
    thaw_free(*out);
    *out = NULL;
  }
  thaw_free(row);
  thaw_free((void *)leader);
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}
