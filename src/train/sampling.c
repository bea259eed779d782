/* data.sampling: how often samples are used in an epoch. */
#include "thaw/csv.h"
#include "thaw/memory.h"
#include "train/train_private.h"

#include <string.h>

bool train_balanced(const thaw_session *s) {
  return s->job->data.sampling != 0 && s->train.labels && s->train.info->label_kind == THAW_LABEL_CLASS;
}

static thaw_status count_classes(const thaw_session *s, thaw_balance *out) {
  return thaw_balance_count(s->train.labels, s->train.info->count, (int64_t)s->train.info->classes.count, out);
}

int64_t train_epoch_samples(const thaw_session *s) {
  thaw_balance balance;
  if (!s->train.info) return 0;
  if (!train_balanced(s)) return s->train.info->count;
  int64_t draws = count_classes(s, &balance) == THAW_OK ? balance.draws : s->train.info->count;
  thaw_balance_clear(&balance);
  return draws;
}

thaw_status train_make_order(train_step *step, const thaw_epoch *epoch) {
  const thaw_session *s = step->session;
  if (!train_balanced(s))
    return thaw_class_order(s->train.labels, epoch->samples, s->job->data.samples_per_class, epoch->seed, epoch->epoch,
                            step->order);
  thaw_balance balance;
  thaw_status status = count_classes(s, &balance);
  if (status == THAW_OK)
    status =
        thaw_balanced_order(s->train.labels, s->train.info->count, &balance, epoch->seed, epoch->epoch, step->order);
  thaw_balance_clear(&balance);
  return status;
}

thaw_status train_check_sampling(const thaw_session *s) {
  if (!s->job->data.sampling || s->train.info->label_kind == THAW_LABEL_CLASS) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "%s: data.sampling: balanced: the training data have no class per sample",
                   s->job->path);
}

/* ------------------------------------------------------------------ words */

static void add_class(const thaw_balance *b, int64_t class, const char *name, thaw_text *table, thaw_log *log) {
  int64_t size = b->size[class], least = size ? b->each / size : 0, most = least + (size && b->each % size);
  thaw_csv_add(table, name);
  thaw_text_add(table, ",%lld,%lld,%lld,%lld\n", (long long)size, (long long)(size ? b->each : 0), (long long)least,
                (long long)most);
  if (!size)
    thaw_warn(log, "balanced sampling: class '%s' has no sample in the training data and is left out", name);
  else if (least == most)
    thaw_verbose(log, "  %s: %lld samples, each used %lld times", name, (long long)size, (long long)least);
  else
    thaw_verbose(log, "  %s: %lld samples, each used %lld or %lld times", name, (long long)size, (long long)least,
                 (long long)most);
}

thaw_status train_show_sampling(const thaw_session *s, const char *folder, thaw_log *log) {
  thaw_balance b;
  thaw_text table = {0};
  const thaw_strings *classes = &s->train.info->classes;
  if (!train_balanced(s)) return THAW_OK;
  thaw_status status = count_classes(s, &b);
  if (status == THAW_OK)
    thaw_info(log, "balanced sampling: %lld draws per epoch from %lld samples, %lld of each class (sampling.csv)",
              (long long)b.draws, (long long)s->train.info->count, (long long)b.each);
  thaw_text_add(&table, "class,samples,draws_per_epoch,least_uses,most_uses\n");
  for (size_t c = 0; status == THAW_OK && c < classes->count; c++)
    add_class(&b, (int64_t)c, classes->item[c], &table, log);
  char *path = thaw_path_join(folder, "sampling.csv");
  if (status == THAW_OK)
    status = path && !table.failed ? thaw_file_write(path, table.data, table.length) : THAW_ERR_MEMORY;
  thaw_free(path);
  thaw_text_clear(&table);
  thaw_balance_clear(&b);
  return status;
}
