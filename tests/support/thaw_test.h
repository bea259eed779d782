/* thaw_test.h: what every cmocka test includes. */
#ifndef THAW_TEST_H
#define THAW_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "thaw/status.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Fails the test with thaw_message() when `expression` is not THAW_OK. */
#define assert_thaw_ok(expression)                                                                                     \
  do {                                                                                                                 \
    thaw_status test_status = (expression);                                                                            \
    if (test_status != THAW_OK) fail_msg("%s: status %d: %s", #expression, (int)test_status, thaw_message());          \
  } while (0)

/* Expects the failure `code` with a message that contains `part`. */
#define assert_thaw_fails(expression, code, part)                                                                      \
  do {                                                                                                                 \
    thaw_status test_status = (expression);                                                                            \
    if (test_status != (code)) fail_msg("%s: status %d, expected %d", #expression, (int)test_status, (int)(code));     \
    if (!strstr(thaw_message(), (part))) fail_msg("message '%s' lacks '%s'", thaw_message(), (part));                  \
  } while (0)

/* Largest |a - b| over `count` elements, and the L2 norm of a - b relative to that of b. */
static inline double thaw_test_max_difference(const float *a, const float *b, size_t count) {
  double worst = 0;
  for (size_t i = 0; i < count; i++) {
    double difference = fabs((double)a[i] - (double)b[i]);
    if (!(difference <= worst)) worst = difference; /* NaN sticks */
  }
  return worst;
}

static inline double thaw_test_relative_l2(const float *a, const float *b, size_t count) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < count; i++) {
    difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    norm += (double)b[i] * b[i];
  }
  return sqrt(difference / (norm > 0 ? norm : 1));
}

#endif
