/* Identification against a gallery: cumulative match characteristic, and found probes at few false alarms. */
#include "match/match_private.h"
#include "thaw/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct identifier {
  const thaw_embeddings *gallery, *probe;
  const uint8_t *gallery_role, *probe_role;
  int64_t *gallery_person, *probe_person, persons; /* numbers from match_number_persons */
  float *best;                                     /* [persons] highest score of a probe; -2: not in the gallery */
  int64_t *hits;                                   /* [ranks] mated probes by rank */
  float *stranger;                                 /* [strangers] highest score */
  float *first;                                    /* [mated at rank 1] score */
  int64_t firsts;
} identifier;

static bool takes_part(const uint8_t *role, int64_t row, uint8_t wanted, int64_t person) {
  return person >= 0 && (!role || role[row] == wanted);
}

static const float absent = -2; /* below every cosine */

static void score_probe(identifier *d, int64_t probe) {
  for (int64_t p = 0; p < d->persons; p++) d->best[p] = absent;
  for (int64_t g = 0; g < d->gallery->count; g++) {
    if (!takes_part(d->gallery_role, g, THAW_GALLERY, d->gallery_person[g])) continue;
    float score = thaw_match_score(d->gallery, g, d->probe, probe), *best = &d->best[d->gallery_person[g]];
    if (score > *best) *best = score;
  }
}

static void count_probe(identifier *d, int64_t probe, thaw_identification *out) {
  int64_t own = d->probe_person[probe], rank = 0;
  float highest = absent;
  score_probe(d, probe);
  for (int64_t p = 0; p < d->persons; p++) {
    if (d->best[p] > highest) highest = d->best[p];
    rank += p != own && d->best[p] > absent && d->best[p] >= d->best[own];
  }
  if (d->best[own] == absent) {
    d->stranger[out->strangers++] = highest;
    return;
  }
  out->probes++;
  if (rank < out->ranks) d->hits[rank]++;
  if (rank == 0) d->first[d->firsts++] = d->best[own];
}

static int falling(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x > y ? -1 : x < y;
}

/* Somebody is named from the threshold on. At most floor(rate * strangers) of them may be: the threshold lies just
 * above the next one. */
static void find_open_set(identifier *d, thaw_identification *out) {
  qsort(d->stranger, (size_t)out->strangers, sizeof *d->stranger, falling);
  for (int i = 0; i < THAW_MATCH_RATES; i++) {
    int64_t allowed = (int64_t)floor((double)out->strangers * thaw_match_rates[i] + 1e-9), found = 0;
    out->found[i] = out->threshold[i] = NAN;
    if (allowed < 1 || out->probes == 0) continue;
    float threshold = allowed < out->strangers ? nextafterf(d->stranger[allowed], 2) : absent;
    for (int64_t k = 0; k < d->firsts; k++) found += d->first[k] >= threshold;
    out->found[i] = (double)found / (double)out->probes;
    out->threshold[i] = threshold;
  }
}

static void count_gallery(identifier *d, thaw_identification *out) {
  for (int64_t p = 0; p < d->persons; p++) d->best[p] = absent;
  for (int64_t g = 0; g < d->gallery->count; g++) {
    if (!takes_part(d->gallery_role, g, THAW_GALLERY, d->gallery_person[g])) continue;
    out->gallery++;
    if (d->best[d->gallery_person[g]] == absent) out->persons++;
    d->best[d->gallery_person[g]] = 0;
  }
}

static thaw_status run(identifier *d, thaw_identification *out) {
  enum { MOST_RANKS = 100 };
  count_gallery(d, out);
  if (out->persons < 1) return thaw_fail(THAW_ERR_DATA, "the gallery has no image of a person with a name");
  out->ranks = out->persons < MOST_RANKS ? (int32_t)out->persons : MOST_RANKS;
  out->cmc = thaw_new((size_t)out->ranks, sizeof *out->cmc);
  d->hits = thaw_new((size_t)out->ranks, sizeof *d->hits);
  if (!out->cmc || !d->hits) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < d->probe->count; i++)
    if (takes_part(d->probe_role, i, THAW_PROBE, d->probe_person[i])) count_probe(d, i, out);
  int64_t sum = 0;
  for (int32_t r = 0; r < out->ranks; r++) {
    sum += d->hits[r];
    out->cmc[r] = out->probes ? (double)sum / (double)out->probes : NAN;
  }
  find_open_set(d, out);
  return THAW_OK;
}

static thaw_status prepare(identifier *d) {
  const thaw_embeddings *list[] = {d->gallery, d->probe};
  if (d->gallery->width != d->probe->width)
    return thaw_fail(THAW_ERR_DATA,
                     "the gallery's embeddings have %d numbers, those of the probes %d: they are of two "
                     "networks",
                     d->gallery->width, d->probe->width);
  d->gallery_person = thaw_new((size_t)d->gallery->count, sizeof *d->gallery_person);
  d->probe_person = thaw_new((size_t)d->probe->count, sizeof *d->probe_person);
  if (!d->gallery_person || !d->probe_person) return THAW_ERR_MEMORY;
  int64_t *number[] = {d->gallery_person, d->probe_person};
  THAW_TRY(match_number_persons(list, 2, number, &d->persons));
  d->best = thaw_new((size_t)d->persons, sizeof *d->best);
  d->stranger = thaw_new((size_t)d->probe->count, sizeof *d->stranger);
  d->first = thaw_new((size_t)d->probe->count, sizeof *d->first);
  return d->best && d->stranger && d->first ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status thaw_identify(const thaw_embeddings *gallery, const uint8_t *gallery_role, const thaw_embeddings *probe,
                          const uint8_t *probe_role, thaw_identification *out) {
  identifier d = {.gallery = gallery, .probe = probe, .gallery_role = gallery_role, .probe_role = probe_role};
  *out = (thaw_identification){0};
  thaw_status status = prepare(&d);
  if (status == THAW_OK) status = run(&d, out);
  thaw_free(d.gallery_person);
  thaw_free(d.probe_person);
  thaw_free(d.best);
  thaw_free(d.hits);
  thaw_free(d.stranger);
  thaw_free(d.first);
  if (status != THAW_OK) thaw_identification_clear(out);
  return status;
}

void thaw_identification_clear(thaw_identification *identification) {
  thaw_free(identification->cmc);
  *identification = (thaw_identification){0};
}
