/* Which pairs of images are compared: LFW's lists (http://vis-www.cs.umass.edu/lfw/README.txt), or all. */
#include "match/match_private.h"
#include "thaw/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void thaw_pairs_clear(thaw_pairs *pairs) {
  thaw_free(pairs->pair);
  thaw_strings_clear(&pairs->missing);
  *pairs = (thaw_pairs){0};
}

static thaw_status add_pair(thaw_pairs *pairs, int64_t a, int64_t b, int32_t fold, bool same) {
  size_t capacity = (size_t)pairs->capacity;
  if (thaw_grow((void **)&pairs->pair, (size_t)pairs->count, &capacity, sizeof *pairs->pair) != 0)
    return THAW_ERR_MEMORY;
  pairs->capacity = (int64_t)capacity;
  pairs->pair[pairs->count++] = (thaw_pair){.a = a, .b = b, .fold = fold, .same = same};
  return THAW_OK;
}

/* ------------------------------------------------------------------ images by name */

typedef struct reader {
  const char *path;
  char *at; /* in the text, which is cut into words in place */
  int64_t line;
  match_name *image; /* by the id without folders and extension */
  int64_t images;
  char **stem; /* [images], owned */
  thaw_pairs *pairs;
} reader;

static thaw_status index_images(reader *r, const thaw_embeddings *e) {
  r->image = thaw_new((size_t)e->count, sizeof *r->image);
  r->stem = thaw_new((size_t)e->count, sizeof *r->stem);
  if (!r->image || !r->stem) return THAW_ERR_MEMORY;
  for (; r->images < e->count; r->images++) {
    char *stem = thaw_copy_text(thaw_path_name(e->id.item[r->images])), *dot = stem ? strrchr(stem, '.') : NULL;
    if (!stem) return THAW_ERR_MEMORY;
    if (dot && dot != stem) *dot = 0;
    r->stem[r->images] = stem;
    r->image[r->images] = (match_name){stem, e->id.item[r->images], r->images};
  }
  match_sort_names(r->image, r->images);
  return THAW_OK;
}

static int compare_key(const void *key, const void *name) {
  return strcmp(key, ((const match_name *)name)->key);
}

/* The row of image `number` of `person`: -1 when there is none. */
static thaw_status find_image(const reader *r, const char *person, const char *number, int64_t *row_out) {
  int64_t n;
  *row_out = -1;
  if (thaw_parse_int(number, &n) != THAW_OK || n < 0 || n > 999999999)
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: '%s' is no number of an image", r->path, (long long)r->line, number);
  char *key = thaw_format("%s_%04lld", person, (long long)n);
  if (!key) return THAW_ERR_MEMORY;
  const match_name *found = bsearch(key, r->image, (size_t)r->images, sizeof *r->image, compare_key);
  thaw_free(key);
  if (!found) return THAW_OK;
  const match_name *last = r->image + r->images - 1, *other = NULL;
  if (found > r->image && strcmp(found[-1].key, found->key) == 0) other = found - 1;
  if (found < last && strcmp(found[1].key, found->key) == 0) other = found + 1;
  if (other)
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: %s is the name of '%s' and of '%s'", r->path, (long long)r->line,
                     found->key, other < found ? other->id : found->id, other < found ? found->id : other->id);
  *row_out = found->row;
  return THAW_OK;
}

/* ------------------------------------------------------------------ the file */

/* The words of the next line that has any; 0 at the end. Words beyond `most` are counted only. */
static int32_t next_words(reader *r, char **word, int32_t most) {
  while (*r->at) {
    int32_t count = 0;
    char *end = r->at + strcspn(r->at, "\n"), *at = r->at;
    r->at = *end ? end + 1 : end;
    *end = 0;
    r->line++;
    while (*(at += strspn(at, " \t\r"))) {
      if (count < most) word[count] = at;
      count++;
      at += strcspn(at, " \t\r");
      if (*at) *at++ = 0;
    }
    if (count) return count;
  }
  return 0;
}

static thaw_status add_missing(reader *r, const char *person, const char *number) {
  char *text = thaw_format("line %lld: %s_%s%s", (long long)r->line, person,
                           strlen(number) < 4 ? &"0000"[strlen(number)] : "", number);
  thaw_status status = text ? thaw_strings_add(&r->pairs->missing, text) : THAW_ERR_MEMORY;
  thaw_free(text);
  return status;
}

static thaw_status read_pair(reader *r, int32_t fold, bool same) {
  char *word[4];
  int32_t expected = same ? 3 : 4, count = next_words(r, word, 4);
  if (count == 0)
    return thaw_fail(THAW_ERR_DATA, "%s: ends in fold %d, before all pairs that its first line announces", r->path,
                     fold + 1);
  if (count != expected)
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: %d words; a pair of %s has %d", r->path, (long long)r->line, count,
                     same ? "one person (name n1 n2)" : "two persons (name1 n1 name2 n2)", expected);
  const char *second = same ? word[0] : word[2], *number = same ? word[2] : word[3];
  int64_t a, b;
  THAW_TRY(find_image(r, word[0], word[1], &a));
  THAW_TRY(find_image(r, second, number, &b));
  if (!same && strcmp(word[0], second) == 0)
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: a pair of two persons names %s twice", r->path, (long long)r->line,
                     second);
  if (a < 0) return add_missing(r, word[0], word[1]);
  if (b < 0) return add_missing(r, second, number);
  return add_pair(r->pairs, a, b, fold, same);
}

static thaw_status check_folds(const reader *r) {
  for (int32_t fold = 0; fold < r->pairs->folds; fold++) {
    int64_t kind[2] = {0, 0};
    for (int64_t i = 0; i < r->pairs->count; i++)
      if (r->pairs->pair[i].fold == fold) kind[r->pairs->pair[i].same]++;
    if (!kind[0] || !kind[1])
      return thaw_fail(THAW_ERR_DATA, "%s: fold %d has no pair of %s%s", r->path, fold + 1,
                       kind[1] ? "two persons" : "one person",
                       r->pairs->missing.count ? " left: their images have no embeddings" : "");
  }
  return THAW_OK;
}

static thaw_status read_header(reader *r, int64_t *folds, int64_t *pairs) {
  char *word[2];
  int32_t words = next_words(r, word, 2);
  *folds = 1;
  thaw_status status = words == 1 || words == 2 ? thaw_parse_int(word[words - 1], pairs) : THAW_ERR_DATA;
  if (status == THAW_OK && words == 2) status = thaw_parse_int(word[0], folds);
  if (status == THAW_OK && *folds >= 1 && *folds <= 10000 && *pairs >= 1 && *pairs <= THAW_MOST_PAIRS / *folds / 2)
    return THAW_OK;
  return thaw_fail(THAW_ERR_DATA,
                   "%s: its first line is neither folds and pairs (as 10 300) nor a number of pairs (as 1100)",
                   r->path);
}

static thaw_status read_all(reader *r) {
  int64_t folds, each;
  char *word[1];
  THAW_TRY(read_header(r, &folds, &each));
  r->pairs->folds = (int32_t)folds;
  for (int32_t fold = 0; fold < r->pairs->folds; fold++)
    for (int kind = 0; kind < 2; kind++)
      for (int64_t i = 0; i < each; i++) THAW_TRY(read_pair(r, fold, kind == 0));
  if (next_words(r, word, 1) > 0)
    return thaw_fail(THAW_ERR_DATA, "%s:%lld: more pairs than the %lld that its first line announces", r->path,
                     (long long)r->line, (long long)(2 * folds * each));
  return check_folds(r);
}

thaw_status thaw_pairs_read(const char *path, const thaw_embeddings *e, thaw_pairs *out) {
  static const size_t most = (size_t)1 << 32;
  reader r = {.path = path, .pairs = out};
  char *text;
  size_t size;
  *out = (thaw_pairs){0};
  THAW_TRY(thaw_file_read(path, most, &text, &size));
  r.at = text;
  thaw_status status = strlen(text) == size ? THAW_OK : thaw_fail(THAW_ERR_DATA, "%s: is no text", path);
  if (status == THAW_OK) status = index_images(&r, e);
  if (status == THAW_OK) status = read_all(&r);
  for (int64_t i = 0; i < r.images; i++) thaw_free(r.stem[i]);
  thaw_free(r.stem);
  thaw_free(r.image);
  thaw_free(text);
  if (status != THAW_OK) thaw_pairs_clear(out);
  return status;
}

/* ------------------------------------------------------------------ all pairs */

static thaw_status add_all(const thaw_embeddings *e, const int64_t *person, int64_t known, thaw_pairs *out) {
  int64_t kind[2] = {0, 0};
  if (known > 1 && known * (known - 1) / 2 > THAW_MOST_PAIRS)
    return thaw_fail(THAW_ERR_DATA, "%lld images make more than %d pairs; give a list of pairs", (long long)known,
                     (int)THAW_MOST_PAIRS);
  for (int64_t a = 0; a < e->count; a++)
    for (int64_t b = a + 1; b < e->count && person[a] >= 0; b++) {
      if (person[b] < 0) continue;
      kind[person[a] == person[b]]++;
      THAW_TRY(add_pair(out, a, b, 0, person[a] == person[b]));
    }
  if (kind[0] && kind[1]) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "the %lld images whose person is known make no pair of %s", (long long)known,
                   kind[1] ? "two persons" : "one person");
}

thaw_status thaw_pairs_all(const thaw_embeddings *e, thaw_pairs *out) {
  int64_t persons, known = 0, *person = thaw_new((size_t)e->count, sizeof *person);
  *out = (thaw_pairs){0};
  if (!person) return THAW_ERR_MEMORY;
  thaw_status status = match_number_persons(&e, 1, &person, &persons);
  for (int64_t i = 0; i < e->count && status == THAW_OK; i++) known += person[i] >= 0;
  if (status == THAW_OK) status = add_all(e, person, known, out);
  thaw_free(person);
  if (status != THAW_OK) thaw_pairs_clear(out);
  return status;
}
