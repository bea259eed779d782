/* Exact sums against sums in 128-bit integers, dealt to 1, 2, 3 and 5 ranks: every rank count must reproduce a digest
 * that depends on the inputs alone, computed here by one rank from all slices. */
#include "thaw_mpi_test.h"

#include "thaw/memory.h"
#include "thaw/rng.h"

#include <math.h>
#include <stdlib.h>

enum { TENSORS = 3, MOST = 1003 };
static const size_t sizes[TENSORS] = {1003, 1, 64};

/* Slice `slice` of tensor `tensor` in step `step`: uniform numbers in -0.5 .. 0.5 times 2^scale, spread over 2^spread.
 */
static void make_slice(float *out, size_t tensor, int64_t slice, uint32_t step, int scale, int spread) {
  thaw_draw at = {
      .seed = 5, .purpose = THAW_RNG_TEST, .epoch = step, .sample = (uint64_t)slice, .lane = (uint32_t)tensor};
  thaw_random_uniform(&at, out, (uint32_t)sizes[tensor]);
  for (size_t i = 0; i < sizes[tensor]; i++)
    out[i] = ldexpf(out[i] - 0.5f, scale - (spread ? (int)((i + (size_t)slice) % (size_t)spread) : 0));
}

static bool mine(int64_t slice, int64_t slices) {
  int ranks = thaw_comm_size(test_comm);
  return slice * ranks / slices == thaw_comm_rank(test_comm);
}

/* As a kernel that rounds in registers: everything is added before the largest term is known, and wraps around where it
 * is far too large. */
static void add_as_kernel(thaw_exact *exact, size_t tensor, const float *gradient, int64_t slice) {
  double factor;
  bool fresh = false;
  int64_t *sums = thaw_exact_sums(exact, tensor, &factor, slice % 2 ? &fresh : NULL);
  uint32_t largest = 0;
  for (size_t i = 0; i < sizes[tensor]; i++) {
    double scaled = gradient[i] * factor;
    uint32_t bits;
    memcpy(&bits, &gradient[i], sizeof bits);
    bits &= INT32_MAX;
    if (bits > largest) largest = bits;
    uint64_t term = fabs(scaled) < 0x1p62 ? (uint64_t)llrint(scaled) : UINT64_C(0x8badf00d8badf00d);
    sums[i] = (int64_t)(fresh ? term : (uint64_t)sums[i] + term);
  }
  thaw_exact_note(exact, tensor, slice, largest);
}

typedef struct step_case {
  int64_t slices;
  int scale, spread;
} step_case;

static int run_step(thaw_exact *exact, step_case c, uint32_t step, bool *ok) {
  float gradient[MOST];
  thaw_verdict verdict = THAW_EXACT_AGAIN;
  int attempts = 0;
  size_t tensor;
  int64_t slice;
  while (verdict == THAW_EXACT_AGAIN && attempts < 5) {
    thaw_exact_begin(exact, c.slices);
    for (size_t t = 0; t < TENSORS; t++)
      for (int64_t s = 0; s < c.slices; s++)
        if (mine(s, c.slices)) {
          make_slice(gradient, t, s, step, c.scale, c.spread);
          (t == 1 || s % 3 == 1 ? add_as_kernel : thaw_exact_add)(exact, t, gradient, s);
        }
    int64_t flags[THAW_EXACT_FLAGS] = {1, thaw_comm_rank(test_comm), 0, INT64_C(1) << 40};
    *ok &= thaw_exact_reduce(exact, test_comm, flags, &verdict, &tensor, &slice) == THAW_OK;
    int ranks = thaw_comm_size(test_comm);
    *ok &= flags[0] == ranks && flags[1] == ranks * (ranks - 1) / 2 && flags[3] == ranks * (INT64_C(1) << 40);
    attempts++;
  }
  *ok &= verdict == THAW_EXACT_DONE;
  return attempts;
}

/* The sum of the slices in long double with exact inputs: its own error is below 2^-60 of the largest partial sum. */
static bool close_to_reference(thaw_exact *exact, step_case c, uint32_t step) {
  float got[MOST], gradient[MOST];
  bool ok = true;
  for (size_t t = 0; t < TENSORS; t++) {
    long double sum[MOST] = {0}, largest = 0;
    for (int64_t s = 0; s < c.slices; s++) {
      make_slice(gradient, t, s, step, c.scale, c.spread);
      for (size_t i = 0; i < sizes[t]; i++) {
        sum[i] += gradient[i];
        if (fabsl(gradient[i]) > largest) largest = fabsl(gradient[i]);
      }
    }
    thaw_exact_get(exact, t, got);
    for (size_t i = 0; i < sizes[t]; i++) {
      long double bound = fabsl(sum[i]) * 0x1p-24L + largest * (long double)c.slices * 0x1p-24L + 0x1p-149L;
      ok &= fabsl(got[i] - sum[i]) <= bound;
    }
  }
  return ok;
}

/* FNV-1a over the results of all steps. */
static uint64_t add_digest(thaw_exact *exact, uint64_t digest) {
  float got[MOST];
  for (size_t t = 0; t < TENSORS; t++) {
    thaw_exact_get(exact, t, got);
    const unsigned char *byte = (const unsigned char *)got;
    for (size_t i = 0; i < sizes[t] * sizeof *got; i++) digest = (digest ^ byte[i]) * UINT64_C(1099511628211);
  }
  return digest;
}

/* A history with short batches, slow and sudden growth and decline, and a wide spread inside tensors. */
static const step_case history[] = {{8, 0, 0},     {8, -1, 0},   {8, 0, 30},  {1, 3, 0},    {8, 0, 0},
                                    {8, 40, 0},    {8, 40, 0},   {8, 0, 0},   {7, -30, 3},  {13, -100, 0},
                                    {13, -140, 4}, {8, -149, 0}, {8, 100, 8}, {129, 0, 20}, {8, 0, 0}};
enum { STEPS = sizeof history / sizeof *history };

static uint64_t run_history(thaw_exact *exact, size_t first, size_t last, uint64_t digest, bool *ok) {
  for (size_t i = first; i < last; i++) {
    int attempts = run_step(exact, history[i], (uint32_t)i, ok);
    *ok &= attempts <= 2;
    if (i == 1 || i == 4 || i == 6) *ok &= attempts == 1; /* like the step before, or a short batch */
    if (i == 0 || i == 5 || i == 7) *ok &= attempts == 2; /* no prediction; 2^40 up; 2^40 down */
    *ok &= close_to_reference(exact, history[i], (uint32_t)i);
    digest = add_digest(exact, digest);
  }
  return digest;
}

static void bits_do_not_depend_on_ranks(void **state) {
  (void)state;
  thaw_exact *exact;
  bool ok = thaw_exact_create(sizes, TENSORS, &exact) == THAW_OK;
  assert_all_ranks(ok);
  uint64_t digest = run_history(exact, 0, STEPS, UINT64_C(14695981039346656037), &ok);
  thaw_exact_destroy(exact);
  /* The same constant under 1, 2, 3 and 5 ranks. */
  if (digest != UINT64_C(0x68e1bb58744209c4)) fprintf(stderr, "digest %llx\n", (unsigned long long)digest);
  ok &= digest == UINT64_C(0x68e1bb58744209c4);
  assert_all_ranks(ok);
}

/* Messages of one node lie in shared memory, which one thaw_exact at a time can have; the next gets it when that
 * is gone, also one that needs more. */
static void bits_do_not_depend_on_connections(void **state) {
  (void)state;
  static const size_t larger[1] = {70001};
  thaw_exact *first, *second, *third;
  bool ok = thaw_exact_create(sizes, TENSORS, &first) == THAW_OK && thaw_exact_connect(first, test_comm) == THAW_OK;
  ok &= thaw_exact_create(sizes, TENSORS, &second) == THAW_OK && thaw_exact_connect(second, test_comm) == THAW_OK;
  assert_all_ranks(ok);
  uint64_t one = UINT64_C(14695981039346656037), two = one;
  for (size_t i = 0; i < STEPS; i++) {
    one = run_history(first, i, i + 1, one, &ok);
    two = run_history(second, i, i + 1, two, &ok);
  }
  ok &= one == UINT64_C(0x68e1bb58744209c4) && two == one;
  thaw_exact_destroy(first);
  ok &= thaw_exact_create(larger, 1, &third) == THAW_OK && thaw_exact_connect(third, test_comm) == THAW_OK;
  thaw_exact_destroy(third);
  thaw_exact_destroy(second);
  ok &= thaw_exact_create(sizes, TENSORS, &third) == THAW_OK && thaw_exact_connect(third, test_comm) == THAW_OK;
  ok &= run_history(third, 0, STEPS, UINT64_C(14695981039346656037), &ok) == one;
  thaw_exact_destroy(third);
  assert_all_ranks(ok);
}

/* Random tensors of up to half a million values in shared memory, some ranks without a slice; the digest is that of one
 * rank. */
static void parts_of_all_sizes(void **state) {
  (void)state;
  enum { SLICES = 3, ROUNDS = 7 };
  static const size_t lengths[ROUNDS] = {1, 15, 17, 2048, 6161, 70001, 524000};
  uint64_t digest = UINT64_C(14695981039346656037);
  float *gradient = thaw_new(lengths[ROUNDS - 1], sizeof *gradient);
  bool ok = gradient != NULL;
  assert_all_ranks(ok);
  for (int round = 0; round < ROUNDS; round++) {
    thaw_exact *exact;
    ok &= thaw_exact_create(&lengths[round], 1, &exact) == THAW_OK && thaw_exact_connect(exact, test_comm) == THAW_OK;
    for (int step = 0; step < 3; step++) {
      thaw_verdict verdict = THAW_EXACT_AGAIN;
      for (int attempt = 0; attempt < 2 && verdict == THAW_EXACT_AGAIN; attempt++) {
        int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
        size_t tensor;
        thaw_exact_begin(exact, SLICES);
        for (int64_t s = 0; s < SLICES; s++) {
          thaw_draw at = {.seed = 7, .purpose = THAW_RNG_TEST, .epoch = (uint32_t)step, .sample = (uint64_t)s};
          if (!mine(s, SLICES)) continue;
          thaw_random_uniform(&at, gradient, (uint32_t)lengths[round]);
          thaw_exact_add(exact, 0, gradient, s);
        }
        ok &= thaw_exact_reduce(exact, test_comm, flags, &verdict, &tensor, &slice) == THAW_OK;
      }
      ok &= verdict == THAW_EXACT_DONE;
      thaw_exact_get(exact, 0, gradient);
      const unsigned char *byte = (const unsigned char *)gradient;
      for (size_t i = 0; i < lengths[round] * sizeof *gradient; i++)
        digest = (digest ^ byte[i]) * UINT64_C(1099511628211);
    }
    thaw_exact_destroy(exact);
  }
  thaw_free(gradient);
  if (digest != UINT64_C(0xe8a8f34b2a464d43)) fprintf(stderr, "digest %llx\n", (unsigned long long)digest);
  assert_all_ranks(ok && digest == UINT64_C(0xe8a8f34b2a464d43));
}

static void exponents_carry_over_a_restart(void **state) {
  (void)state;
  thaw_exact *whole, *part;
  bool ok = thaw_exact_create(sizes, TENSORS, &whole) == THAW_OK;
  assert_all_ranks(ok);
  uint64_t expected = run_history(whole, 0, STEPS, 1, &ok);
  for (size_t stop = 1; stop < STEPS; stop++) {
    int32_t exponents[TENSORS];
    ok &= thaw_exact_create(sizes, TENSORS, &part) == THAW_OK;
    uint64_t digest = run_history(part, 0, stop, 1, &ok);
    thaw_exact_get_exponents(part, exponents);
    thaw_exact_destroy(part);
    ok &= thaw_exact_create(sizes, TENSORS, &part) == THAW_OK;
    thaw_exact_set_exponents(part, exponents);
    for (size_t i = stop; i < STEPS; i++) {
      run_step(part, history[i], (uint32_t)i, &ok);
      digest = add_digest(part, digest);
    }
    thaw_exact_destroy(part);
    ok &= digest == expected;
  }
  thaw_exact_destroy(whole);
  assert_all_ranks(ok);
}

static void zeros_stay_zero_and_need_no_second_attempt(void **state) {
  (void)state;
  thaw_exact *exact;
  bool ok = thaw_exact_create(sizes, TENSORS, &exact) == THAW_OK;
  assert_all_ranks(ok);
  float gradient[MOST] = {0};
  for (int step = 0; step < 3; step++) {
    int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
    thaw_verdict verdict;
    size_t tensor;
    thaw_exact_begin(exact, 4);
    for (int64_t s = 0; s < 4; s++)
      for (size_t t = 0; t < TENSORS && mine(s, 4); t++) thaw_exact_add(exact, t, gradient, s);
    ok &= thaw_exact_reduce(exact, test_comm, flags, &verdict, &tensor, &slice) == THAW_OK;
    ok &= verdict == THAW_EXACT_DONE;
  }
  float got[MOST];
  thaw_exact_get(exact, 0, got);
  for (size_t i = 0; i < sizes[0]; i++) ok &= got[i] == 0;
  thaw_exact_destroy(exact);
  assert_all_ranks(ok);
}

static void not_finite_names_lowest_tensor_and_slice(void **state) {
  (void)state;
  const float bad[] = {NAN, INFINITY, -INFINITY};
  bool ok = true;
  for (int kind = 0; kind < 3; kind++)
    for (int warm = 0; warm < 2; warm++) {
      thaw_exact *exact;
      ok &= thaw_exact_create(sizes, TENSORS, &exact) == THAW_OK;
      if (warm) run_step(exact, history[0], 0, &ok);
      int64_t flags[THAW_EXACT_FLAGS] = {0}, slice = -1;
      size_t tensor = 99;
      thaw_verdict verdict;
      float gradient[MOST];
      thaw_exact_begin(exact, 10);
      for (int64_t s = 0; s < 10; s++)
        for (size_t t = 0; t < TENSORS && mine(s, 10); t++) {
          make_slice(gradient, t, s, 1, 0, 0);
          if ((t == 2 && s == 1) || (t == 1 && (s == 4 || s == 7 || s == 9))) gradient[sizes[t] / 2] = bad[kind];
          (s % 2 ? add_as_kernel : thaw_exact_add)(exact, t, gradient, s);
        }
      ok &= thaw_exact_reduce(exact, test_comm, flags, &verdict, &tensor, &slice) == THAW_OK;
      ok &= verdict == THAW_EXACT_NOT_FINITE && tensor == 1 && slice == 4;
      thaw_exact_destroy(exact);
    }
  assert_all_ranks(ok);
}

/* Tensors longer than a chunk of the sum, some final early as in a backward pass, one rank without slices from time to
 * time. */
static uint64_t long_digest(bool connected, bool *all_ok) {
  enum { LONG = 4, SLICES = 6 };
  static const size_t lengths[LONG] = {300001, 5, 131072, 200000};
  thaw_exact *exact;
  bool ok = thaw_exact_create(lengths, LONG, &exact) == THAW_OK;
  ok &= !connected || thaw_exact_connect(exact, test_comm) == THAW_OK;
  float *gradient = thaw_new(lengths[0], sizeof *gradient);
  uint64_t digest = UINT64_C(14695981039346656037);
  assert_all_ranks(ok && gradient);
  for (int step = 0; step < 5; step++) {
    thaw_verdict verdict = THAW_EXACT_AGAIN;
    for (int attempt = 0; attempt < 2 && verdict == THAW_EXACT_AGAIN; attempt++) {
      int64_t flags[THAW_EXACT_FLAGS] = {1}, slice;
      size_t tensor;
      thaw_exact_begin(exact, SLICES);
      for (size_t t = LONG; t-- > 0;) {
        for (int64_t s = 0; s < SLICES; s++) {
          if (!mine(s, SLICES)) continue;
          thaw_draw at = {.seed = 6, .purpose = THAW_RNG_TEST, .epoch = (uint32_t)step, .sample = (uint64_t)s};
          thaw_random_uniform(&at, gradient, (uint32_t)lengths[t]);
          thaw_exact_add(exact, t, gradient, s);
        }
        /* A rank that failed has told nothing, or not all. */
        if (step != 2 || (t > 1 && thaw_comm_rank(test_comm) != 1)) thaw_exact_final(exact, test_comm, t);
        thaw_exact_poll(test_comm);
      }
      ok &= thaw_exact_reduce(exact, test_comm, flags, &verdict, &tensor, &slice) == THAW_OK;
      ok &= flags[0] == thaw_comm_size(test_comm);
    }
    ok &= verdict == THAW_EXACT_DONE;
    for (size_t t = 0; t < LONG; t++) {
      thaw_exact_get(exact, t, gradient);
      const unsigned char *byte = (const unsigned char *)gradient;
      for (size_t i = 0; i < lengths[t] * sizeof *gradient; i++) digest = (digest ^ byte[i]) * UINT64_C(1099511628211);
    }
  }
  thaw_free(gradient);
  thaw_exact_destroy(exact);
  *all_ok &= ok;
  return digest;
}

/* In memory that the ranks share, and by way of the pipeline. The digest is that of one rank, which sums nothing. */
static void long_tensors_on_their_way_early(void **state) {
  (void)state;
  bool ok = true;
  for (int connected = 0; connected < 2; connected++) {
    uint64_t digest = long_digest(connected, &ok);
    if (digest != UINT64_C(0x756d03771542e70d)) fprintf(stderr, "digest %llx\n", (unsigned long long)digest);
    ok &= digest == UINT64_C(0x756d03771542e70d);
  }
  assert_all_ranks(ok);
}

/* The slowest and simplest statement of the format: each term rounded to a multiple of 2^-60, integers added. */
static void wide_sums_are_exact(void **state) {
  (void)state;
  enum { TERMS = 3000 };
  thaw_wide sum[2] = {0};
  __int128 reference = 0;
  bool ok = true;
  for (int64_t i = 0; i < TERMS; i++) {
    thaw_draw at = {.seed = 9, .purpose = THAW_RNG_TEST, .sample = (uint64_t)i};
    float normal[2];
    thaw_random_normal(&at, normal, 2);
    double term = ldexp(normal[0] + (double)normal[1] * 0x1p-30, (int)(i % 90) - 45);
    reference += (__int128)rint(term * 0x1p60);
    if (!mine(i, TERMS)) continue;
    ok &= thaw_wide_add(&sum[0], term);
    ok &= thaw_wide_add(&sum[1], -term);
  }
  int64_t failed = thaw_comm_rank(test_comm) == 0;
  ok &= thaw_wide_reduce(test_comm, sum, 2, &failed) == THAW_OK && failed == 1;
  ok &= thaw_wide_value(&sum[0]) == (double)reference * 0x1p-60;
  ok &= thaw_wide_value(&sum[1]) == -((double)reference * 0x1p-60);
  assert_all_ranks(ok);
}

static void wide_refuses_what_it_cannot_hold(void **state) {
  (void)state;
  thaw_wide sum = {0}, many[40] = {0};
  int64_t failed = 0;
  bool ok = !thaw_wide_add(&sum, NAN) && !thaw_wide_add(&sum, INFINITY) && !thaw_wide_add(&sum, -0x1p50);
  ok &= thaw_wide_value(&sum) == 0 && thaw_wide_add(&sum, 0x1p-1074) && thaw_wide_value(&sum) == 0;
  ok &= thaw_wide_add(&sum, -0x1.fffffffffffffp49) && thaw_wide_value(&sum) == -0x1.fffffffffffffp49;
  for (int i = 0; i < 40; i++) ok &= thaw_wide_add(&many[i], i + 0.25);
  ok &= thaw_wide_reduce(test_comm, many, 40, &failed) == THAW_OK && failed == 0;
  for (int i = 0; i < 40; i++) ok &= thaw_wide_value(&many[i]) == thaw_comm_size(test_comm) * (i + 0.25);
  /* Half way between two doubles: to the even one, unless the lowest limb breaks the tie. */
  thaw_wide tie = {{0, 0, (INT64_C(1) << 60) + 128}}, above = {{1, 0, (INT64_C(1) << 60) + 128}};
  ok &= thaw_wide_value(&tie) == 0x1p72 && thaw_wide_value(&above) == nextafter(0x1p72, 0x1p73);
  assert_all_ranks(ok);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bits_do_not_depend_on_ranks),
      cmocka_unit_test(bits_do_not_depend_on_connections),
      cmocka_unit_test(parts_of_all_sizes),
      cmocka_unit_test(exponents_carry_over_a_restart),
      cmocka_unit_test(zeros_stay_zero_and_need_no_second_attempt),
      cmocka_unit_test(not_finite_names_lowest_tensor_and_slice),
      cmocka_unit_test(long_tensors_on_their_way_early),
      cmocka_unit_test(wide_sums_are_exact),
      cmocka_unit_test(wide_refuses_what_it_cannot_hold),
  };
  thaw_mpi_main(tests, argc, argv);
}
