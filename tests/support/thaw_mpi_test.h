/* thaw_mpi_test.h: cmocka under mpirun.
 *
 * A failed assertion jumps out of the test on one rank while the others sit in the next collective. So between
 * collectives a test only collects `ok`, and ends with assert_all_ranks(ok), which agrees first and then asserts
 * everywhere. An alarm ends a test that waits for ever.
 */
#ifndef THAW_MPI_TEST_H
#define THAW_MPI_TEST_H

#include "thaw_test.h"

#include "thaw/comm.h"

#include <unistd.h>

static thaw_comm *test_comm;

static inline void assert_all_ranks_at(bool ok, const char *text, int line) {
  int64_t failed = !ok;
  if (!ok) fprintf(stderr, "rank %d: line %d: %s\n", thaw_comm_rank(test_comm), line, text);
  if (thaw_comm_sum_int(test_comm, &failed, 1) != THAW_OK) failed = 1;
  if (failed) fail_msg("line %d: %s (on %d ranks)", line, text, (int)failed);
}
#define assert_all_ranks(ok) assert_all_ranks_at((ok), #ok, __LINE__)

/* Sanitizers make some tests five times as slow. */
static inline unsigned test_limit_seconds(void) {
#ifdef THAW_ADDRESS_SANITIZER
  return 280;
#else
  return 100;
#endif
}

/* Runs the group on every rank; the exit code is the same everywhere. */
#define thaw_mpi_main(tests, argc, argv)                                                                               \
  do {                                                                                                                 \
    alarm(test_limit_seconds());                                                                                       \
    if (thaw_comm_create(&(argc), &(argv), &test_comm) != THAW_OK) return 1;                                           \
    if (thaw_comm_rank(test_comm) != 0 && !freopen("/dev/null", "w", stdout)) return 1; /* rank 0 reports */           \
    int64_t test_failures = cmocka_run_group_tests(tests, NULL, NULL);                                                 \
    if (thaw_comm_max_int(test_comm, &test_failures, 1) != THAW_OK) test_failures = 1;                                 \
    thaw_comm_destroy(test_comm);                                                                                      \
    return test_failures != 0;                                                                                         \
  } while (0)

#endif
