/* kernel_testing.h: arrays of reproducible numbers, and both variants where the CPU has both. */
#ifndef THAW_KERNEL_TESTING_H
#define THAW_KERNEL_TESTING_H

#include "thaw/kernel.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* isas[0] is always there, isas[1] when the CPU has AVX-512. Returns how many. */
int testing_isas(const thaw_isa *isas[2]);

/* `count` floats within +-size, the same for the same seed; ends the test when memory is gone. Ended with thaw_free. */
float *testing_numbers(size_t count, uint32_t seed, float size);
/* `count` floats of a bit pattern that no kernel gives, to see what was written. */
float *testing_unwritten(size_t count);

/* Fails unless |a - b| <= tolerance * max |b| everywhere. */
void testing_close(const char *what, const float *a, const float *b, size_t count, double tolerance);
/* Fails unless every bit agrees. */
void testing_same(const char *what, const void *a, const void *b, size_t bytes);

#endif
