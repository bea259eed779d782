/* The findings of `thaw match` in words and as JSON. */
#include "cli/match.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdio.h>

static thaw_status note(cli_match *m, char *text) {
  thaw_status status = text ? thaw_strings_add(&m->notes, text) : THAW_ERR_MEMORY;
  thaw_free(text);
  return status;
}

static thaw_status note_list(cli_match *m, int64_t count, const char *what, const thaw_strings *names) {
  enum { NAMED = 5 };
  thaw_text text = {0};
  char number[32];
  if (!count) return THAW_OK;
  thaw_text_add(&text, "%s %s: ", thaw_format_count(count, number), what);
  for (size_t i = 0; i < names->count && i < NAMED; i++) thaw_text_add(&text, "%s%s", i ? ", " : "", names->item[i]);
  if (count > NAMED) thaw_text_add(&text, ", ...");
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_strings_add(&m->notes, text.data);
  thaw_text_clear(&text);
  return status;
}

static thaw_status note_rates(cli_match *m) {
  const thaw_verification *v = &m->verification;
  const thaw_identification *d = &m->identification;
  for (int i = 0; i < THAW_MATCH_RATES; i++)
    if (isnan(v->true_accept[i]))
      THAW_TRY(note(m, thaw_format("TAR at FAR %g is not defined: %lld pairs of two persons are fewer than %.0f",
                                   thaw_match_rates[i], (long long)v->different, 1 / thaw_match_rates[i])));
  if (!m->identified || d->probes == 0) return THAW_OK;
  if (d->strangers == 0) return note(m, thaw_format("no probe is of a stranger: the open set is not judged"));
  for (int i = 0; i < THAW_MATCH_RATES; i++)
    if (isnan(d->found[i]))
      THAW_TRY(note(m, thaw_format("DIR at FPIR %g is not defined: %lld probes of strangers are fewer than %.0f",
                                   thaw_match_rates[i], (long long)d->strangers, 1 / thaw_match_rates[i])));
  return THAW_OK;
}

thaw_status cli_match_note(cli_match *m) {
  THAW_TRY(note_list(m, (int64_t)m->embeddings->failed.count, "images could not be read and have no embedding",
                     &m->embeddings->failed));
  THAW_TRY(note_list(m, (int64_t)m->pairs.missing.count, "pairs left out, for an image has no embedding",
                     &m->pairs.missing));
  THAW_TRY(note_list(m, m->single, "persons with one image, who make no pair of one person", &m->single_names));
  if (m->verification.folds == 1 && !m->verification.given)
    THAW_TRY(
        note(m, thaw_format("the threshold was chosen on the pairs that it is judged on: the accuracy is flattered; "
                            "--threshold-pairs takes it from others")));
  if (m->identified && m->identification.probes == 0)
    THAW_TRY(note(m, thaw_format("no probe is of a person in the gallery: ranks are not defined")));
  if (!m->identified) THAW_TRY(note(m, thaw_format("no person has two images with a name: nobody can be identified")));
  return note_rates(m);
}

/* ------------------------------------------------------------------ words */

static void add_rates(const char *what, const double *value, const double *threshold, thaw_text *out) {
  for (int i = 0; i < THAW_MATCH_RATES; i++)
    if (!isnan(value[i]))
      thaw_text_add(out, "%s %-7g %.4f   threshold %.4f\n", what, thaw_match_rates[i], value[i], threshold[i]);
}

static void add_verification(const cli_match *m, thaw_text *out) {
  const thaw_verification *v = &m->verification;
  char same[32], different[32];
  thaw_text_add(out, "verification: %s pairs of one person, %s of two", thaw_format_count(v->same, same),
                thaw_format_count(v->different, different));
  thaw_text_add(out, v->folds ? ", %d fold%s\n" : "\n", v->folds, v->folds == 1 ? "" : "s");
  if (v->folds > 1)
    thaw_text_add(out, "accuracy          %.4f +- %.4f (mean and standard error of %d folds)\n", v->accuracy,
                  v->accuracy_error, v->folds);
  if (v->folds == 1) thaw_text_add(out, "accuracy          %.4f   threshold %.4f\n", v->accuracy, v->fold_threshold[0]);
  thaw_text_add(out, "AUC               %.4f\nEER               %.4f   threshold %.4f\n", v->auc, v->eer,
                v->eer_threshold);
  add_rates("TAR at FAR", v->true_accept, v->threshold, out);
}

static void add_identification(const thaw_identification *d, thaw_text *out) {
  static const int32_t shown[] = {1, 5, 10, 20};
  char images[32], persons[32], probes[32], strangers[32];
  thaw_text_add(out, "identification: gallery of %s images of %s persons; %s probes of them, %s of strangers\n",
                thaw_format_count(d->gallery, images), thaw_format_count(d->persons, persons),
                thaw_format_count(d->probes, probes), thaw_format_count(d->strangers, strangers));
  for (size_t i = 0; i < sizeof shown / sizeof *shown && d->probes > 0; i++)
    if (shown[i] <= d->ranks) thaw_text_add(out, "rank-%-12d %.4f\n", shown[i], d->cmc[shown[i] - 1]);
  add_rates("DIR at FPIR", d->found, d->threshold, out);
}

void cli_match_text(const cli_match *m, thaw_text *out) {
  add_verification(m, out);
  if (m->identified) add_identification(&m->identification, out);
  for (size_t i = 0; i < m->notes.count; i++) thaw_text_add(out, "note: %s\n", m->notes.item[i]);
}

/* ------------------------------------------------------------------ JSON */

static void add_number(thaw_text *out, double value) {
  if (isfinite(value))
    thaw_text_add(out, "%.17g", value);
  else
    thaw_text_add(out, "null");
}

static void add_member(thaw_text *out, const char *name, double value) {
  thaw_text_add(out, ",\n    \"%s\": ", name);
  add_number(out, value);
}

static void add_list(thaw_text *out, const char *name, const double *value, int32_t count) {
  thaw_text_add(out, ",\n    \"%s\": [", name);
  for (int32_t i = 0; i < count; i++) {
    if (i) thaw_text_add(out, ", ");
    add_number(out, value[i]);
  }
  thaw_text_add(out, "]");
}

static void add_file(thaw_text *out, const char *name, const char *path) {
  if (!path) return;
  thaw_text_add(out, ",\n  \"%s\": ", name);
  thaw_text_add_json(out, path);
}

static void add_verification_json(const thaw_verification *v, thaw_text *out) {
  thaw_text_add(out, ",\n  \"verification\": {\n    \"same\": %lld,\n    \"different\": %lld", (long long)v->same,
                (long long)v->different);
  add_member(out, "auc", v->auc);
  add_member(out, "eer", v->eer);
  add_member(out, "eer_threshold", v->eer_threshold);
  add_list(out, "far", thaw_match_rates, THAW_MATCH_RATES);
  add_list(out, "tar", v->true_accept, THAW_MATCH_RATES);
  add_list(out, "tar_threshold", v->threshold, THAW_MATCH_RATES);
  thaw_text_add(out, ",\n    \"folds\": %d", v->folds);
  if (v->folds) {
    add_member(out, "accuracy", v->accuracy);
    add_member(out, "accuracy_standard_error", v->accuracy_error);
    add_list(out, "fold_accuracy", v->fold_accuracy, v->folds);
    add_list(out, "fold_threshold", v->fold_threshold, v->folds);
  }
  thaw_text_add(out, "\n  }");
}

static void add_identification_json(const thaw_identification *d, thaw_text *out) {
  thaw_text_add(out,
                ",\n  \"identification\": {\n    \"persons\": %lld,\n    \"gallery\": %lld,\n    \"probes\": %lld,\n"
                "    \"strangers\": %lld",
                (long long)d->persons, (long long)d->gallery, (long long)d->probes, (long long)d->strangers);
  add_list(out, "cmc", d->cmc, d->ranks);
  add_list(out, "fpir", thaw_match_rates, THAW_MATCH_RATES);
  add_list(out, "dir", d->found, THAW_MATCH_RATES);
  add_list(out, "dir_threshold", d->threshold, THAW_MATCH_RATES);
  thaw_text_add(out, "\n  }");
}

void cli_match_json(const cli_match *m, thaw_text *out) {
  thaw_text_add(out, "{\n  \"embeddings\": ");
  thaw_text_add_json(out, m->path);
  add_file(out, "source", m->embeddings->source);
  add_file(out, "pairs", m->pairs_path);
  add_file(out, "threshold_pairs", m->threshold_path);
  add_file(out, "gallery", m->gallery_path);
  thaw_text_add(out, ",\n  \"images\": %lld,\n  \"persons_with_one_image\": %lld,\n  \"pairs_left_out\": %zu",
                (long long)m->embeddings->count, (long long)m->single, m->pairs.missing.count);
  add_verification_json(&m->verification, out);
  if (m->identified) add_identification_json(&m->identification, out);
  thaw_text_add(out, ",\n  \"notes\": [");
  for (size_t i = 0; i < m->notes.count; i++) {
    thaw_text_add(out, "%s", i ? ", " : "");
    thaw_text_add_json(out, m->notes.item[i]);
  }
  thaw_text_add(out, "]\n}\n");
}
