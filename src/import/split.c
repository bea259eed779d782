/* split.c: which sample goes where, as a pure function of seed, ids, groups and classes.
 *
 * The unit is a group, or a sample without one. Each class has an integer quota per part, so that class proportions are
 * kept to within one sample where units are single samples. Units are taken largest first, equals in the order of
 * SHA-256(seed, name), and each goes to the part whose quotas its samples are furthest below.
 */
#include "import/import_private.h"
#include "thaw/digest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = IMPORT_PARTS + 1 }; /* the last one: left over when counts ask for fewer samples than there are */

typedef struct split_unit {
  const char *name;
  uint64_t hash;
  int64_t first, count; /* in member[] */
  bool grouped;
} split_unit;

typedef struct split_member {
  const char *group; /* NULL: on its own */
  int64_t sample;
} split_member;

bool thaw_import__undivided(const double share[IMPORT_PARTS]) {
  return share[0] == 1 && share[1] == 0 && share[2] == 0;
}

static int compare_members(const void *a, const void *b) {
  const split_member *x = a, *y = b;
  const int order = strcmp(x->group ? x->group : "", y->group ? y->group : "");
  if (order) return order;
  return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static int compare_units(const void *a, const void *b) {
  const split_unit *x = a, *y = b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
  return strcmp(x->name, y->name);
}

static thaw_status hash_unit(uint64_t seed, split_unit *unit) {
  char text[THAW_DIGEST_TEXT];
  thaw_digest *digest = NULL;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add(digest, &seed, sizeof seed);
  thaw_digest_add_text(digest, unit->grouped ? "group" : "sample");
  thaw_digest_add_text(digest, unit->name);
  thaw_digest_finish(digest, text);
  text[16] = 0;
  unit->hash = strtoull(text, NULL, 16);
  return THAW_OK;
}

/* Members sorted by group; samples without a group come first and are units of their own. */
static thaw_status make_units(const import_split *request, split_member *member, split_unit *unit, int64_t *units) {
  for (int64_t i = 0; i < request->count; i++) {
    const char *group = request->group ? request->group[i] : NULL;
    member[i] = (split_member){group && group[0] ? group : NULL, i};
  }
  qsort(member, (size_t)request->count, sizeof *member, compare_members);
  *units = 0;
  for (int64_t i = 0; i < request->count; i++) {
    split_unit *last = *units ? &unit[*units - 1] : NULL;
    if (last && last->grouped && member[i].group && strcmp(last->name, member[i].group) == 0) {
      last->count++;
      continue;
    }
    split_unit *next = &unit[(*units)++];
    *next = (split_unit){.name = member[i].group ? member[i].group : request->id[member[i].sample],
                         .first = i,
                         .count = 1,
                         .grouped = member[i].group != NULL};
    THAW_TRY(hash_unit(request->seed, next));
  }
  qsort(unit, (size_t)*units, sizeof *unit, compare_units);
  return THAW_OK;
}

/* Samples per part: largest remainders for fractions. */
static thaw_status part_totals(const import_split *request, int64_t total[PARTS]) {
  const double sum = request->share[0] + request->share[1] + request->share[2];
  const bool fractions = fabs(sum - 1) < 1e-6;
  int64_t given = 0;
  double rest[IMPORT_PARTS];
  for (int s = 0; s < IMPORT_PARTS; s++) {
    const double exact = fractions ? request->share[s] * (double)request->count : request->share[s];
    if (!(exact >= 0) || exact > 1e15 || (!fractions && exact != floor(exact)))
      return thaw_fail(THAW_ERR_USAGE, "split %g,%g,%g: give fractions with sum 1, or whole numbers of samples",
                       request->share[0], request->share[1], request->share[2]);
    total[s] = (int64_t)floor(exact + 1e-9);
    rest[s] = exact - (double)total[s];
    given += total[s];
  }
  while (fractions && given < request->count) {
    int best = 0;
    for (int s = 1; s < IMPORT_PARTS; s++)
      if (rest[s] > rest[best]) best = s;
    total[best]++;
    rest[best] = -1;
    given++;
  }
  if (given > request->count)
    return thaw_fail(THAW_ERR_USAGE, "split %g,%g,%g: asks for %lld samples, there are %lld", request->share[0],
                     request->share[1], request->share[2], (long long)given, (long long)request->count);
  total[IMPORT_UNUSED] = request->count - given;
  return THAW_OK;
}

/* Part `s` takes want of the left[classes] samples that no earlier part took, in proportion, by largest remainders. */
static void take_quota(int64_t *left, int32_t classes, int64_t want, int s, int64_t (*quota)[PARTS]) {
  int64_t available = 0, taken = 0;
  for (int32_t k = 0; k < classes; k++) available += left[k];
  if (!available) return;
  for (int32_t k = 0; k < classes; k++) {
    quota[k][s] = (int64_t)((__int128)left[k] * want / available);
    taken += quota[k][s];
  }
  for (; taken < want; taken++) {
    int32_t best = -1;
    __int128 largest = 0;
    for (int32_t k = 0; k < classes; k++) {
      const __int128 rest = (__int128)left[k] * want - (__int128)quota[k][s] * available;
      if (rest > largest) {
        largest = rest;
        best = k;
      }
    }
    if (best < 0) break;
    quota[best][s]++;
  }
  for (int32_t k = 0; k < classes; k++) left[k] -= quota[k][s];
}

static thaw_status make_quotas(const import_split *request, int32_t classes, int64_t (*quota)[PARTS]) {
  int64_t total[PARTS];
  THAW_TRY(part_totals(request, total));
  int64_t *left = thaw_new((size_t)classes, sizeof *left);
  if (!left) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < request->count; i++) left[request->class_index ? request->class_index[i] : 0]++;
  for (int s = 0; s < PARTS; s++) take_quota(left, classes, total[s], s, quota);
  thaw_free(left);
  return THAW_OK;
}

static void assign(const import_split *request, const split_member *member, const split_unit *unit, int64_t units,
                   int64_t (*quota)[PARTS], uint8_t *part) {
  for (int64_t u = 0; u < units; u++) {
    int best = 0;
    int64_t need[PARTS] = {0};
    for (int64_t m = unit[u].first; m < unit[u].first + unit[u].count; m++) {
      const int32_t k = request->class_index ? request->class_index[member[m].sample] : 0;
      for (int s = 0; s < PARTS; s++) need[s] += quota[k][s];
    }
    for (int s = 1; s < PARTS; s++)
      if (need[s] > need[best]) best = s;
    for (int64_t m = unit[u].first; m < unit[u].first + unit[u].count; m++) {
      part[member[m].sample] = (uint8_t)best;
      quota[request->class_index ? request->class_index[member[m].sample] : 0][best]--;
    }
  }
}

thaw_status thaw_import__split(const import_split *request, uint8_t *part) {
  const int32_t classes = request->class_index && request->classes > 0 ? request->classes : 1;
  if (thaw_import__undivided(request->share)) {
    memset(part, 0, (size_t)request->count);
    return THAW_OK;
  }
  split_member *member = thaw_new((size_t)request->count, sizeof *member);
  split_unit *unit = thaw_new((size_t)request->count, sizeof *unit);
  int64_t(*quota)[PARTS] = thaw_new((size_t)classes, sizeof *quota);
  int64_t units = 0;
  thaw_status status = member && unit && quota ? make_quotas(request, classes, quota) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = make_units(request, member, unit, &units);
  if (status == THAW_OK) assign(request, member, unit, units, quota, part);
  thaw_free(quota);
  thaw_free(unit);
  thaw_free(member);
  return status;
}
