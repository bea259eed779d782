/* step.c: the reduction of a training step by the program's own code (src/comm), for SimGrid's simulator: each rank
 * computes for a given time, then takes part in the exact sum. Prints ranks and simulated seconds per step.
 *
 *     step SECONDS STEPS SIZE...    seconds of computation per step; number of steps; values of each tensor
 */
#include "thaw/comm.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <smpi/smpi.h>
#include <stdio.h>

/* Stands in for MPI_Init_thread: the simulator promises no threads, and there are none here. */
int step_init_thread(int *argc, char ***argv, int required, int *provided);
int step_init_thread(int *argc, char ***argv, int required, int *provided) {
  *provided = required;
  return MPI_Init(argc, argv);
}

static thaw_status one_step(thaw_comm *comm, thaw_exact *exact, double seconds) {
  int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
  thaw_verdict verdict;
  size_t tensor;
  thaw_exact_begin(exact, thaw_comm_size(comm));
  smpi_execute_flops(seconds * 1e9); /* the platform's processors do 1e9 a second */
  return thaw_exact_reduce(exact, comm, flags, &verdict, &tensor, &slice);
}

static thaw_status run(thaw_comm *comm, double seconds, int64_t steps, const size_t *size, size_t tensors) {
  thaw_exact *exact;
  THAW_TRY(thaw_exact_create(size, tensors, &exact));
  double start = MPI_Wtime();
  thaw_status status = THAW_OK;
  for (int64_t i = 0; i < steps && status == THAW_OK; i++) status = one_step(comm, exact, seconds);
  if (thaw_comm_rank(comm) == 0)
    printf("%d %zu %.9f\n", thaw_comm_size(comm), thaw_exact_bytes(exact), (MPI_Wtime() - start) / (double)steps);
  thaw_exact_destroy(exact);
  return status;
}

int main(int argc, char **argv) {
  enum { MOST_TENSORS = 64 };
  size_t size[MOST_TENSORS];
  double seconds;
  int64_t steps, value;
  thaw_comm *comm;
  if (argc < 4 || argc > 3 + MOST_TENSORS || thaw_parse_double(argv[1], &seconds) != THAW_OK ||
      thaw_parse_int(argv[2], &steps) != THAW_OK || steps < 1)
    return 2;
  for (int i = 3; i < argc; i++) {
    if (thaw_parse_int(argv[i], &value) != THAW_OK || value < 1) return 2;
    size[i - 3] = (size_t)value;
  }
  thaw_status status = thaw_comm_create(&argc, &argv, &comm);
  if (status != THAW_OK) {
    fprintf(stderr, "%s\n", thaw_message());
    return thaw_exit_code(status);
  }
  status = run(comm, seconds, steps, size, (size_t)argc - 3);
  thaw_comm_destroy(comm);
  return thaw_exit_code(status);
}
