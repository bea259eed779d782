/* cache_test.h: a cache, its right values and ways to read it, for the programs that test it under mpirun. */
#ifndef THAW_CACHE_TEST_H
#define THAW_CACHE_TEST_H

#include "thaw_test.h"

#include "feature/feature_private.h"
#include "fixture.h"

enum { VALUES = FIXTURE_SAMPLES * FIXTURE_FLOATS };

/* Made by cache_tests. */
extern thaw_comm *comm;
extern fixture f;
extern float *expected, *got; /* [VALUES] scratch */

/* Each test starts with an empty cache and the plain configuration. */
int empty_cache(void **context);
/* Reads everything in a scattered order, in lists of many lengths, and compares every bit. */
void check_all(thaw_features *features, int32_t view, const float *right);
/* How many samples all ranks together computed. */
int64_t total_computed(const thaw_features *features);
/* Opens, fills, checks, closes; returns total_computed. */
int64_t run(int32_t view, const float *right);
/* main: the tests with a communicator and a fixture. */
int cache_tests(int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t count);

#endif
