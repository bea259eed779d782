/* Exact sums of gradients. src/comm/README.md has the argument; the numbers here are its constants. */
#include "comm/direct.h"
#include "comm/exact_private.h"
#include "comm/pipeline.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

enum {
  MOST_BITS = 51, /* |term| < 2^51, so that rounding by the 1.5 * 2^52 trick is exact */
  SUM_BITS = 62,  /* |sum of all terms| <= 2^62 */
  HEADROOM = 11,  /* a predicted slice maximum lies 2^11 below the limit */
  FINE_BITS = 24, /* a slice maximum below 2^24 keeps less than a float's precision */
  PADDING = 8     /* tensors start at multiples of 64 bytes */
};
static const uint32_t infinity_bits = 0x7f800000u;

/* What is summed over ranks beside the terms, per tensor: numbers of slices, and the sum of the slices' maxima. */
typedef struct tensor_info {
  int64_t not_finite, overflow, coarse, fine, largest;
} tensor_info;
enum { INFO_WORDS = sizeof(tensor_info) / sizeof(int64_t) };

struct thaw_exact {
  size_t tensors, words; /* words: of the whole message */
  size_t values;         /* words that are sums of gradients: the first ones */
  size_t *size, *offset; /* per tensor; offset in the message. The last tensor comes first, as in a backward pass */
  int32_t *predicted;    /* floor(log2(sum over slices of the slice's largest |term|)) or THAW_EXACT_UNKNOWN */
  int32_t *exponent;     /* terms are multiplied by 2^exponent in this attempt */
  uint32_t *largest;     /* bits of the largest finite |term| seen here in this attempt */
  bool *begun;           /* the tensor's sums hold a term of this attempt; if not, whatever was there before */
  int64_t *bad_slice;    /* lowest slice of this rank that was not finite, or -1 */
  int64_t *message;      /* sums, flags, infos */
  int64_t *own;          /* memory for it; NULL where it lies in shared memory of `direct` */
  thaw_comm *direct;     /* borrowed; NULL: no shared memory */
  tensor_info *info;     /* inside message */
  const float *floats;   /* after a reduction over several ranks: the sums as floats, at the tensors' offsets */
  int64_t slices;        /* in the global step */
  int32_t limit_bits;
  const exact_loops *loops;
};

static size_t padded(size_t words) {
  return (words + PADDING - 1) / PADDING * PADDING;
}

static int64_t *sums_of(const thaw_exact *exact, size_t tensor) {
  return exact->message + exact->offset[tensor];
}

/* Zero from value `first` on, padding included. */
static void clear_sums(thaw_exact *exact, size_t tensor, size_t first) {
  memset(sums_of(exact, tensor) + first, 0, (padded(exact->size[tensor]) - first) * sizeof(int64_t));
  exact->begun[tensor] = true;
}

/* Tensors from `tensor` on without any term of this rank. */
static void clear_unused(thaw_exact *exact, size_t tensor) {
  for (size_t t = tensor; t < exact->tensors; t++)
    if (!exact->begun[t]) clear_sums(exact, t, 0);
}

static void use_message(thaw_exact *exact, int64_t *message) {
  exact->message = message;
  exact->info = (tensor_info *)(message + exact->values + THAW_EXACT_FLAGS);
}

static thaw_status allocate(thaw_exact *x, const size_t *tensor_size, size_t tensors) {
  x->size = thaw_new(tensors, sizeof *x->size);
  x->offset = thaw_new(tensors, sizeof *x->offset);
  x->predicted = thaw_new(tensors, sizeof *x->predicted);
  x->exponent = thaw_new(tensors, sizeof *x->exponent);
  x->largest = thaw_new(tensors, sizeof *x->largest);
  x->bad_slice = thaw_new(tensors, sizeof *x->bad_slice);
  x->begun = thaw_new(tensors, sizeof *x->begun);
  if (!x->size || !x->offset || !x->predicted || !x->exponent || !x->largest || !x->bad_slice || !x->begun)
    return THAW_ERR_MEMORY;
  for (size_t t = tensors; t-- > 0;) {
    x->size[t] = tensor_size[t];
    x->offset[t] = x->values;
    x->values += padded(tensor_size[t]);
    x->predicted[t] = THAW_EXACT_UNKNOWN;
  }
  x->words = x->values + padded(THAW_EXACT_FLAGS + tensors * INFO_WORDS);
  x->own = thaw_new(x->words, sizeof *x->own);
  if (!x->own) return THAW_ERR_MEMORY;
  use_message(x, x->own);
  return THAW_OK;
}

thaw_status thaw_exact_create(const size_t *tensor_size, size_t tensors, thaw_exact **out) {
  thaw_exact *exact = thaw_new(1, sizeof *exact);
  if (!exact) return THAW_ERR_MEMORY;
  exact->tensors = tensors;
  exact->loops = exact_loops_select();
  thaw_status status = allocate(exact, tensor_size, tensors);
  if (status == THAW_OK)
    *out = exact;
  else
    thaw_exact_destroy(exact);
  return status;
}

void thaw_exact_destroy(thaw_exact *exact) {
  if (!exact) return;
  thaw_free(exact->size);
  thaw_free(exact->offset);
  thaw_free(exact->predicted);
  thaw_free(exact->exponent);
  thaw_free(exact->largest);
  thaw_free(exact->bad_slice);
  thaw_free(exact->begun);
  if (exact->direct) comm_direct_release(exact->direct, exact);
  thaw_free(exact->own);
  thaw_free(exact);
}

static int32_t log2_floor(int64_t value) {
  return 63 - __builtin_clzll((unsigned long long)value);
}

/* The sum over slices of the slices' maxima is below 2^(predicted+1), so the mean maximum is below
 * 2^(predicted+1) / slices. It is put HEADROOM bits below the limit. */
static int32_t exponent_for(const thaw_exact *exact, int32_t predicted) {
  return exact->limit_bits - HEADROOM - (predicted + 1 - log2_floor(exact->slices));
}

void thaw_exact_begin(thaw_exact *exact, int64_t global_slices) {
  exact->slices = global_slices > 0 ? global_slices : 1;
  int32_t bits = exact->slices > 1 ? log2_floor(exact->slices - 1) + 1 : 0; /* ceil(log2) */
  exact->limit_bits = SUM_BITS - bits < MOST_BITS ? SUM_BITS - bits : MOST_BITS;
  for (size_t t = 0; t < exact->tensors; t++) {
    if (exact->predicted[t] != THAW_EXACT_UNKNOWN) exact->exponent[t] = exponent_for(exact, exact->predicted[t]);
    exact->largest[t] = 0;
    exact->bad_slice[t] = -1;
    exact->begun[t] = false;
  }
  memset(exact->message + exact->values, 0, (exact->words - exact->values) * sizeof *exact->message);
  exact->floats = NULL;
}

static void note_not_finite(thaw_exact *exact, size_t tensor, int64_t slice) {
  exact->info[tensor].not_finite++;
  if (exact->bad_slice[tensor] < 0 || slice < exact->bad_slice[tensor]) exact->bad_slice[tensor] = slice;
}

/* Counts the slice; returns true when its terms may be added. */
static bool classify(thaw_exact *exact, size_t tensor, int64_t slice, uint32_t bits) {
  tensor_info *info = &exact->info[tensor];
  if (bits >= infinity_bits) {
    note_not_finite(exact, tensor, slice);
    return false;
  }
  if (bits == 0) return false;
  if (bits > exact->largest[tensor]) exact->largest[tensor] = bits;
  if (exact->predicted[tensor] == THAW_EXACT_UNKNOWN) {
    info->coarse++;
    return false;
  }
  float largest;
  memcpy(&largest, &bits, sizeof largest);
  double scaled = ldexp((double)largest, exact->exponent[tensor]);
  if (!(scaled < (double)((INT64_C(1) << exact->limit_bits) - 1))) { /* its rounding stays below the limit too */
    info->overflow++;
    return false;
  }
  int64_t rounded = llrint(scaled);
  info->largest += rounded;
  if (rounded >> FINE_BITS)
    info->fine++;
  else
    info->coarse++;
  return true;
}

void thaw_exact_add(thaw_exact *exact, size_t tensor, const float *gradient, int64_t slice) {
  size_t count = exact->size[tensor];
  if (!classify(exact, tensor, slice, exact->loops->largest(gradient, count))) return;
  double factor = ldexp(1.0, exact->exponent[tensor]);
  if (exact->begun[tensor]) {
    exact->loops->add(gradient, count, factor, sums_of(exact, tensor));
  } else {
    exact->loops->set(gradient, count, factor, sums_of(exact, tensor));
    clear_sums(exact, tensor, count);
  }
}

int64_t *thaw_exact_sums(thaw_exact *exact, size_t tensor, double *factor_out, bool *fresh_out) {
  *factor_out = exact->predicted[tensor] == THAW_EXACT_UNKNOWN ? 0 : ldexp(1.0, exact->exponent[tensor]);
  if (fresh_out) *fresh_out = !exact->begun[tensor];
  if (!exact->begun[tensor]) clear_sums(exact, tensor, fresh_out ? exact->size[tensor] : 0);
  return sums_of(exact, tensor);
}

/* A refused slice means another attempt, or the end: what was added to the sums is of no use, and must not overflow
 * them. */
void thaw_exact_note(thaw_exact *exact, size_t tensor, int64_t slice, uint32_t largest) {
  if (!classify(exact, tensor, slice, largest) && largest != 0) clear_sums(exact, tensor, 0);
}

/* [collective] The lowest tensor and slice that was not finite on any rank: MIN as the MAX of negatives. */
static thaw_status find_offender(const thaw_exact *exact, thaw_comm *comm, size_t *tensor_out, int64_t *slice_out) {
  int64_t worst[2] = {INT64_MIN, INT64_MIN};
  size_t tensor = 0;
  while (tensor < exact->tensors && exact->info[tensor].not_finite == 0) tensor++;
  if (exact->bad_slice[tensor] >= 0) worst[0] = -exact->bad_slice[tensor];
  THAW_TRY(thaw_comm_max_int(comm, worst, 1));
  *tensor_out = tensor;
  *slice_out = -worst[0];
  return THAW_OK;
}

static bool does_not_fit(const tensor_info *info) {
  return info->overflow || (info->coarse && !info->fine);
}

/* [collective] Predictions that fit the largest term of this very step, for the tensors that did not fit. */
static thaw_status predict_again(thaw_exact *exact, thaw_comm *comm) {
  int64_t *largest = thaw_new(exact->tensors, sizeof *largest);
  THAW_TRY(thaw_agree(comm, largest ? THAW_OK : THAW_ERR_MEMORY));
  for (size_t t = 0; t < exact->tensors; t++) largest[t] = exact->largest[t];
  thaw_status status = thaw_comm_max_int(comm, largest, exact->tensors);
  for (size_t t = 0; t < exact->tensors && status == THAW_OK; t++) {
    if (!does_not_fit(&exact->info[t])) continue;
    uint32_t bits = (uint32_t)largest[t];
    float value;
    memcpy(&value, &bits, sizeof value);
    exact->predicted[t] = ilogbf(value) + log2_floor(exact->slices);
  }
  thaw_free(largest);
  return status;
}

/* Predictions for the next step from the sum of the slices' maxima in the reduced message, falling by at most one bit
 * per step. */
static void predict_next(thaw_exact *exact) {
  for (size_t t = 0; t < exact->tensors; t++) {
    int64_t most = exact->info[t].largest;
    if (most == 0) continue;
    int32_t now = log2_floor(most) - exact->exponent[t];
    exact->predicted[t] = now < exact->predicted[t] ? exact->predicted[t] - 1 : now;
  }
}

/* For words of the message that are sums of gradients, padding included. */
static void convert(const void *context, size_t first, size_t count, const int64_t *sums, float *out) {
  const thaw_exact *exact = context;
  size_t t = exact->tensors - 1, end = first + count;
  while (t > 0 && exact->offset[t - 1] <= first) t--;
  for (size_t at = first, next; at < end; at = next, t--) {
    next = t > 0 && exact->offset[t - 1] < end ? exact->offset[t - 1] : end;
    exact->loops->get(sums + (at - first), next - at, ldexp(1.0, -exact->exponent[t]), out + (at - first));
  }
}

static comm_sum sum_of(thaw_exact *exact) {
  return (comm_sum){
      .words = exact->message, .count = exact->words, .values = exact->values, .convert = convert, .context = exact};
}

static void begin_sum(thaw_exact *exact, thaw_comm *comm) {
  comm_sum sum = sum_of(exact);
  comm_pipeline_begin(comm, &sum);
}

thaw_status thaw_exact_connect(thaw_exact *exact, thaw_comm *comm) {
  int64_t *message;
  THAW_TRY(comm_pipeline_prepare(comm));
  THAW_TRY(comm_direct_connect(comm, exact, exact->words, exact->words - exact->values, &message));
  if (!message) return THAW_OK;
  use_message(exact, message);
  thaw_free(exact->own);
  exact->own = NULL;
  exact->direct = comm;
  return THAW_OK;
}

void thaw_exact_final(thaw_exact *exact, thaw_comm *comm, size_t tensor) {
  if (!comm_pipeline_pays_early(comm, exact->words)) return;
  clear_unused(exact, tensor);
  if (!comm_pipeline_under_way(comm)) begin_sum(exact, comm);
  comm_pipeline_ready(comm, exact->offset[tensor] + padded(exact->size[tensor]));
}

void thaw_exact_poll(thaw_comm *comm) {
  comm_pipeline_poll(comm);
}

/* [collective] */
static thaw_status sum_over_ranks(thaw_exact *exact, thaw_comm *comm) {
  if (exact->direct) {
    comm_sum sum = sum_of(exact);
    return comm_direct_sum(comm, &sum, &exact->floats);
  }
  THAW_TRY(comm_pipeline_prepare(comm));
  if (!comm_pipeline_under_way(comm)) begin_sum(exact, comm);
  THAW_TRY(comm_pipeline_finish(comm));
  exact->floats = (const float *)exact->message;
  return THAW_OK;
}

thaw_status thaw_exact_reduce(thaw_exact *exact, thaw_comm *comm, int64_t flags[THAW_EXACT_FLAGS],
                              thaw_verdict *verdict_out, size_t *tensor_out, int64_t *slice_out) {
  int64_t *mine = exact->message + exact->values;
  clear_unused(exact, 0);
  if (thaw_comm_size(comm) > 1) {
    memcpy(mine, flags, THAW_EXACT_FLAGS * sizeof *flags);
    THAW_TRY(sum_over_ranks(exact, comm));
    memcpy(flags, mine, THAW_EXACT_FLAGS * sizeof *flags);
  }
  bool not_finite = false, again = false;
  for (size_t t = 0; t < exact->tensors; t++) {
    not_finite |= exact->info[t].not_finite != 0;
    again |= does_not_fit(&exact->info[t]);
  }
  *verdict_out = not_finite ? THAW_EXACT_NOT_FINITE : again ? THAW_EXACT_AGAIN : THAW_EXACT_DONE;
  if (not_finite) return find_offender(exact, comm, tensor_out, slice_out);
  if (again) return predict_again(exact, comm);
  predict_next(exact);
  return THAW_OK;
}

void thaw_exact_get(const thaw_exact *exact, size_t tensor, float *out) {
  if (exact->floats)
    memcpy(out, exact->floats + exact->offset[tensor], exact->size[tensor] * sizeof *out);
  else
    exact->loops->get(sums_of(exact, tensor), exact->size[tensor], ldexp(1.0, -exact->exponent[tensor]), out);
}

const float *thaw_exact_view(const thaw_exact *exact, size_t tensor, float *scratch) {
  if (exact->floats) return exact->floats + exact->offset[tensor];
  thaw_exact_get(exact, tensor, scratch);
  return scratch;
}

void thaw_exact_get_exponents(const thaw_exact *exact, int32_t *out) {
  memcpy(out, exact->predicted, exact->tensors * sizeof *out);
}

void thaw_exact_set_exponents(thaw_exact *exact, const int32_t *exponents) {
  memcpy(exact->predicted, exponents, exact->tensors * sizeof *exponents);
}

size_t thaw_exact_bytes(const thaw_exact *exact) {
  return exact->words * sizeof *exact->message;
}
