#include "kernel_testing.h"
#include "thaw/memory.h"
#include <math.h>
#include <string.h>

int testing_isas(const thaw_isa *isas[2]) {
  assert_int_equal(thaw_isa_select("avx2", &isas[0]), THAW_OK);
  return thaw_isa_select("avx512", &isas[1]) == THAW_OK ? 2 : 1;
}

float *testing_unwritten(size_t count) {
  float *p = thaw_new(count + 16, sizeof *p);
  assert_non_null(p);
  memset(p, 0xcd, (count + 16) * sizeof *p);
  return p;
}

float *testing_numbers(size_t count, uint32_t seed, float size) {
  float *p = testing_unwritten(count);
  uint32_t state = seed * 2654435761u + 12345u;
  for (size_t i = 0; i < count; i++) {
    state = state * 1664525u + 1013904223u;
    p[i] = ((float)(state >> 8) / 8388608.f - 1.f) * size;
  }
  return p;
}

void testing_close(const char *what, const float *a, const float *b, size_t count, double tolerance) {
  double largest = 0, worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    double error = fabs((double)a[i] - b[i]);
    largest = fmax(largest, fabs((double)b[i]));
    if (!(error <= worst)) worst = error, at = i;
  }
  if (worst <= tolerance * fmax(largest, 1e-30)) return;
  fail_msg("%s: element %zu is %.9g, expected %.9g (largest %.3g, tolerance %.1e)", what, at, (double)a[at],
           (double)b[at], largest, tolerance);
}

void testing_same(const char *what, const void *a, const void *b, size_t bytes) {
  if (memcmp(a, b, bytes) == 0) return;
  size_t at = 0;
  while (((const char *)a)[at] == ((const char *)b)[at]) at++;
  fail_msg("%s: byte %zu of %zu differs", what, at, bytes);
}
