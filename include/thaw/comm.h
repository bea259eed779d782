/* comm.h: the only door to MPI: ranks, agreement on errors, and exact sums.
 *
 * [collective] functions are entered by every rank of the communicator and return the same status on every rank.
 */
#ifndef THAW_COMM_H
#define THAW_COMM_H

#include "thaw/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct thaw_comm thaw_comm;

/* [collective] MPI_Init_thread (SERIALIZED where there is such), a private duplicate of MPI_COMM_WORLD with errors
 * returned. */
thaw_status thaw_comm_create(int *argc, char ***argv, thaw_comm **out) THAW_CHECKED;
/* [collective] MPI_Finalize; of a part, its end. Accepts NULL. */
void thaw_comm_destroy(thaw_comm *comm);
/* [collective] The ranks with the same `colour` (at least 0) as a communicator of their own, in the order of their
 * ranks; destroyed before `comm`. While ranks work in parts, only `comm` is watched. */
thaw_status thaw_comm_split(thaw_comm *comm, int colour, thaw_comm **out) THAW_CHECKED;
/* [local] ends every rank at once with `code`: only where agreement is impossible. Does not return. */
void thaw_comm_abort(thaw_comm *comm, int code);

int thaw_comm_rank(const thaw_comm *comm);         /* [local] 0 .. size-1 */
int thaw_comm_size(const thaw_comm *comm);         /* [local] */
const char *thaw_comm_host(const thaw_comm *comm); /* [local] this rank's host name; borrowed */

const char *thaw_comm_host_of(const thaw_comm *comm, int rank); /* [local] the host name of any rank; borrowed */
/* [local] 0 on one rank of each node, the one that does what is to be done once per node. */
int thaw_comm_node_rank(const thaw_comm *comm);
/* [collective] The text of the node's rank 0 for the other ranks of its node, where *text is new (thaw_free); NULL is
 * shared as NULL. */
thaw_status thaw_comm_node_share_text(thaw_comm *comm, char **text) THAW_CHECKED;
/* [local] Seconds that this rank has spent in MPI calls so far, waiting for others and moving data. */
double thaw_comm_waited(const thaw_comm *comm);

/* ------------------------------------------------------------------ a rank that stops answering
 * A thread per rank, outside MPI: each rank sends a heartbeat by UDP to rank 0, which answers. Only the receiver's
 * monotonic clock counts. The job ends (every rank with exit code 1, without cleaning up: files are whole or absent)
 * when for the set time
 *   - rank 0 heard nothing of a rank, or a rank nothing of rank 0: a stopped process, a dead node, a cut link;
 *   - a rank did neither compute nor return from an MPI call while others waited for it: hanging input or output;
 *   - all ranks waited inside MPI.
 * `report` is called once, from the watchdog's thread of the rank that found out, with a line that names rank and host.
 * A rank that was never heard, as behind a firewall, is not judged by its silence.
 * [collective] Starts it with `seconds` (0: off, as with one rank), or changes the time of the one that runs. */
thaw_status thaw_comm_watch(thaw_comm *comm, double seconds, void (*report)(const char *message)) THAW_CHECKED;

/* [collective] Every rank brings its own status; all return the worst one (highest code, ties to the lowest rank), with
 * that rank's message, prefixed by "rank 2 (node7): " when size > 1, as everybody's thaw_message(). */
thaw_status thaw_agree(thaw_comm *comm, thaw_status mine) THAW_CHECKED;
/* [collective] THAW_ERR_RUN naming `what` and two ranks unless `text` is the same on all ranks (digests of job, binary,
 * weights). */
thaw_status thaw_agree_same(thaw_comm *comm, const char *what, const char *text) THAW_CHECKED;

/* [collective] Rank `root` brings `size` bytes in `data` (others: capacity of exactly that size). */
thaw_status thaw_comm_broadcast(thaw_comm *comm, int root, void *data, size_t size) THAW_CHECKED;
/* [collective] Rank `root`'s bytes of any length; on the other ranks *data is newly allocated (thaw_free) and one zero
 * byte is appended. On `root`, *data and *size are read only. */
thaw_status thaw_comm_broadcast_new(thaw_comm *comm, int root, char **data, size_t *size) THAW_CHECKED;
/* [collective] Each rank brings `size` bytes; rank 0 gets all of them in rank order in *out (new, thaw_free; NULL
 * elsewhere) and the byte counts per rank in *sizes_out (new; NULL elsewhere). Works above 2 GiB. */
thaw_status thaw_comm_gather(thaw_comm *comm, const void *data, size_t size, char **out,
                             size_t **sizes_out) THAW_CHECKED;
/* [collective] Rank r brings sizes[r] bytes in `data`; every rank gets all of them in rank order in `all`. The sizes
 * are known everywhere and add up to less than 2 GiB. */
thaw_status thaw_comm_gather_all(thaw_comm *comm, const void *data, const size_t *sizes, void *all) THAW_CHECKED;
/* [collective] */
thaw_status thaw_comm_sum_int(thaw_comm *comm, int64_t *values, size_t count) THAW_CHECKED;
thaw_status thaw_comm_max_int(thaw_comm *comm, int64_t *values, size_t count) THAW_CHECKED;
thaw_status thaw_comm_max_double(thaw_comm *comm, double *values, size_t count) THAW_CHECKED;
/* [collective] MPI's own sum: its last bits depend on the number of ranks. For comparisons only. */
thaw_status thaw_comm_sum_float(thaw_comm *comm, float *values, size_t count) THAW_CHECKED;
thaw_status thaw_comm_barrier(thaw_comm *comm) THAW_CHECKED;

/* ------------------------------------------------------------------ node-shared memory
 * A block that exists once per node. Rank 0 of the node fills it between create and publish; the others then read it.
 * Falls back to private memory (filled by every rank) when shared memory is too small. */
typedef struct thaw_shared thaw_shared;
thaw_status thaw_shared_create(thaw_comm *comm, size_t bytes, thaw_shared **out) THAW_CHECKED; /* [collective] */
void *thaw_shared_data(thaw_shared *shared);                       /* [local] aligned to 64 bytes */
bool thaw_shared_must_fill(const thaw_shared *shared);             /* [local] true on the rank that has to fill it */
bool thaw_shared_is_private(const thaw_shared *shared);            /* [local] the fall-back is in use */
thaw_status thaw_shared_publish(thaw_shared *shared) THAW_CHECKED; /* [collective] after filling */
void thaw_shared_destroy(thaw_shared *shared);                     /* [collective] */

/* ------------------------------------------------------------------ exact sums of doubles
 * For losses, metrics and batch-norm statistics: each term is rounded once to a multiple of 2^-60, and the 128-bit
 * integers are added, so the result does not depend on order or ranks. |term| < 2^50 and |sum| < 2^75 are safe for any
 * number of terms and up to 2^26 ranks. */
typedef struct thaw_wide {
  int64_t limb[3]; /* value = limb[0] * 2^-60 + limb[1] * 2^-24 + limb[2] * 2^12, limbs added independently */
} thaw_wide;
/* [local] Returns false and adds nothing when `term` is not finite or too large. */
bool thaw_wide_add(thaw_wide *sum, double term);
double thaw_wide_value(const thaw_wide *sum); /* [local] correctly rounded to double */
/* [collective] In place over ranks; `failed` (0 or 1 per rank, e.g. a refused term) rides along and comes back as the
 * number of ranks that brought 1. */
thaw_status thaw_wide_reduce(thaw_comm *comm, thaw_wide *sums, size_t count, int64_t *failed) THAW_CHECKED;

/* ------------------------------------------------------------------ exact sums of gradients
 * One thaw_exact serves one set of live tensors. Per step:
 *
 *     do {
 *       thaw_exact_begin(x, slices_in_global_step);
 *       for each tensor t, for each slice of this rank: thaw_exact_add(x, t, slice_gradient, slice);
 *       THAW_TRY(thaw_exact_reduce(x, comm, flags, &verdict));   // one sum over all ranks
 *     } while (verdict == THAW_EXACT_AGAIN);                     // scale was too small or too coarse: recompute
 *
 * Each slice gradient is rounded once to a multiple of a power of two chosen per tensor and added as int64:
 * associative, so any number of ranks in any order gives the same bits. The scale is predicted from the reduced sums of
 * the step before (the same on every rank) with 2^11 of headroom; a slice that exceeds it, or a tensor that the scale
 * would represent with less than 24 bits, makes every rank repeat the step with the scale that then fits. The
 * predictions are part of the checkpoint (get/set_exponents). src/comm/README.md argues why int64 cannot overflow. */
typedef struct thaw_exact thaw_exact;
typedef enum thaw_verdict { THAW_EXACT_DONE, THAW_EXACT_AGAIN, THAW_EXACT_NOT_FINITE } thaw_verdict;
enum { THAW_EXACT_FLAGS = 4, THAW_EXACT_UNKNOWN = INT32_MIN };

thaw_status thaw_exact_create(const size_t *tensor_size, size_t tensors, thaw_exact **out) THAW_CHECKED; /* [local] */
void thaw_exact_destroy(thaw_exact *exact);                                                              /* [local] */
void thaw_exact_begin(thaw_exact *exact, int64_t global_slices);                                         /* [local] */
/* [local] Adds gradient[tensor_size[tensor]] of one slice; not finite or too large is remembered, not fatal. */
void thaw_exact_add(thaw_exact *exact, size_t tensor, const float *gradient, int64_t slice);
/* [local] For kernels that quantise in registers: the accumulator of `tensor`, and the power of two by which a term is
 * multiplied before it is rounded to nearest, ties to even; 0 while there is no prediction: nothing is to be added.
 * `fresh_out`: the sums hold no terms yet, and are to be overwritten instead of added to; NULL: then they are zero. The
 * kernel adds the terms of some slices, whatever their size, then calls note for each of these slices with its largest
 * |term| as the bits of a float (0x7f800000 or more: not finite); a slice that does not fit clears the sums. */
int64_t *thaw_exact_sums(thaw_exact *exact, size_t tensor, double *factor_out, bool *fresh_out);
void thaw_exact_note(thaw_exact *exact, size_t tensor, int64_t slice, uint32_t largest);
/* [collective] Once, after create: what makes sums over `comm` cheaper. Between nodes they go on during the backward
 * pass; on one node a short message lies in memory that the ranks share, for one thaw_exact at a time, which is then
 * destroyed before `comm`. Without it all is summed by reduce, with the same result. */
thaw_status thaw_exact_connect(thaw_exact *exact, thaw_comm *comm) THAW_CHECKED;
/* [local] Tensors from `tensor` on have all terms of this rank's slices. Called or not, with whatever tensors, reduce
 * completes the sum: a rank that failed calls it with what it has. */
void thaw_exact_final(thaw_exact *exact, thaw_comm *comm, size_t tensor);
/* [local] Lets the sum under way go on, where MPI allows no thread for that. */
void thaw_exact_poll(thaw_comm *comm);
/* [collective] `flags` (each 0..2^40, summed over ranks in the same message: stop requested, local failure, ...). After
 * THAW_EXACT_DONE the sums are read with thaw_exact_get. After NOT_FINITE, *tensor_out and *slice_out name the first
 * offender (lowest tensor, then lowest slice), the same on every rank. */
thaw_status thaw_exact_reduce(thaw_exact *exact, thaw_comm *comm, int64_t flags[THAW_EXACT_FLAGS],
                              thaw_verdict *verdict_out, size_t *tensor_out, int64_t *slice_out) THAW_CHECKED;
/* [local] out[tensor_size] = float(sum), one rounding to double and one to float per element. */
void thaw_exact_get(const thaw_exact *exact, size_t tensor, float *out);
/* [local] The same to be read only, until the next sum begins: where they lie already, otherwise in
 * scratch[tensor_size]. */
const float *thaw_exact_view(const thaw_exact *exact, size_t tensor, float *scratch);
/* [local] One int32 per tensor, for checkpoints: floor(log2) of the sum over slices of the slice's largest |term|;
 * THAW_EXACT_UNKNOWN before the first step. */
void thaw_exact_get_exponents(const thaw_exact *exact, int32_t *out);
void thaw_exact_set_exponents(thaw_exact *exact, const int32_t *exponents);
/* [local] Bytes that a rank brings into one reduce. */
size_t thaw_exact_bytes(const thaw_exact *exact);

#endif
