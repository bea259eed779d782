/* Broadcast, gather and integer reductions of any size. */
#include "comm/comm_private.h"
#include "thaw/memory.h"

#include <limits.h>
#include <string.h>

static size_t chunk_of(size_t left) {
  return left < COMM_CHUNK ? left : COMM_CHUNK;
}

thaw_status comm_allreduce(thaw_comm *comm, void *values, size_t count, size_t size, MPI_Datatype type, MPI_Op op) {
  if (comm->size == 1) return THAW_OK;
  for (size_t done = 0, part; done < count; done += part) {
    part = chunk_of(count - done);
    comm_enter(comm, "MPI_Allreduce");
    int code = MPI_Allreduce(MPI_IN_PLACE, (char *)values + done * size, (int)part, type, op, comm->world);
    THAW_TRY(comm_check(comm, code, "MPI_Allreduce"));
  }
  return THAW_OK;
}

thaw_status thaw_comm_broadcast(thaw_comm *comm, int root, void *data, size_t size) {
  if (comm->size == 1) return THAW_OK;
  for (size_t done = 0, part; done < size; done += part) {
    part = chunk_of(size - done);
    comm_enter(comm, "MPI_Bcast");
    THAW_TRY(comm_check(comm, MPI_Bcast((char *)data + done, (int)part, MPI_BYTE, root, comm->world), "MPI_Bcast"));
  }
  return THAW_OK;
}

thaw_status thaw_comm_gather_all(thaw_comm *comm, const void *data, const size_t *sizes, void *all) {
  size_t ranks = (size_t)comm->size, total = 0;
  for (size_t r = 0; r < ranks; r++) total += sizes[r];
  if (total > INT_MAX) return thaw_fail(THAW_ERR_INTERNAL, "%zu bytes are too many to be gathered at once", total);
  if (ranks == 1) {
    memcpy(all, data, total);
    return THAW_OK;
  }
  int *count = thaw_new(2 * ranks, sizeof *count);
  THAW_TRY(thaw_agree(comm, count ? THAW_OK : THAW_ERR_MEMORY));
  for (size_t r = 0, at = 0; r < ranks; at += sizes[r++]) {
    count[r] = (int)sizes[r];
    count[ranks + r] = (int)at;
  }
  comm_enter(comm, "MPI_Allgatherv");
  int code = MPI_Allgatherv(data, count[comm->rank], MPI_BYTE, all, count, count + ranks, MPI_BYTE, comm->world);
  thaw_free(count);
  return comm_check(comm, code, "MPI_Allgatherv");
}

thaw_status thaw_comm_broadcast_new(thaw_comm *comm, int root, char **data, size_t *size) {
  uint64_t bytes = *size;
  THAW_TRY(thaw_comm_broadcast(comm, root, &bytes, sizeof bytes));
  char *copy = comm->rank == root ? *data : thaw_new(bytes + 1, 1);
  thaw_status status = thaw_agree(comm, copy || bytes == 0 ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = thaw_comm_broadcast(comm, root, copy, bytes);
  if (comm->rank == root) return status;
  if (status != THAW_OK) {
    thaw_free(copy);
    return status;
  }
  *data = copy;
  *size = bytes;
  return THAW_OK;
}

static thaw_status send_all(thaw_comm *comm, const char *data, size_t size) {
  for (size_t done = 0, part; done < size; done += part) {
    part = chunk_of(size - done);
    comm_enter(comm, "MPI_Send");
    THAW_TRY(comm_check(comm, MPI_Send(data + done, (int)part, MPI_BYTE, 0, 0, comm->world), "MPI_Send"));
  }
  return THAW_OK;
}

static thaw_status receive_all(thaw_comm *comm, int from, char *data, size_t size) {
  for (size_t done = 0, part; done < size; done += part) {
    part = chunk_of(size - done);
    comm_enter(comm, "MPI_Recv");
    THAW_TRY(comm_check(comm, MPI_Recv(data + done, (int)part, MPI_BYTE, from, 0, comm->world, MPI_STATUS_IGNORE),
                        "MPI_Recv"));
  }
  return THAW_OK;
}

/* [collective] sizes[ranks] on rank 0. */
static thaw_status gather_sizes(thaw_comm *comm, size_t size, size_t *sizes) {
  uint64_t mine = size;
  _Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes travel as 64-bit integers");
  comm_enter(comm, "MPI_Gather");
  int code = MPI_Gather(&mine, 1, MPI_UINT64_T, sizes, 1, MPI_UINT64_T, 0, comm->world);
  return comm_check(comm, code, "MPI_Gather");
}

static thaw_status collect(thaw_comm *comm, const void *data, const size_t *sizes, char *all) {
  if (sizes[0]) memcpy(all, data, sizes[0]);
  size_t at = sizes[0];
  for (int rank = 1; rank < comm->size; at += sizes[rank++]) THAW_TRY(receive_all(comm, rank, all + at, sizes[rank]));
  return THAW_OK;
}

thaw_status thaw_comm_gather(thaw_comm *comm, const void *data, size_t size, char **out, size_t **sizes_out) {
  bool root = comm->rank == 0;
  *out = NULL;
  *sizes_out = NULL;
  size_t *sizes = root ? thaw_new((size_t)comm->size, sizeof *sizes) : NULL, total = 0;
  char *all = NULL;
  thaw_status status = thaw_agree(comm, root && !sizes ? THAW_ERR_MEMORY : THAW_OK);
  if (status == THAW_OK) status = gather_sizes(comm, size, sizes);
  if (status == THAW_OK) {
    for (int rank = 0; root && rank < comm->size; rank++) total += sizes[rank];
    all = root ? thaw_new(total + 1, 1) : NULL;
    status = thaw_agree(comm, root && !all ? THAW_ERR_MEMORY : THAW_OK);
  }
  if (status == THAW_OK) status = root ? collect(comm, data, sizes, all) : send_all(comm, data, size);
  if (status == THAW_OK) {
    *out = all;
    *sizes_out = sizes;
  } else {
    thaw_free(all);
    thaw_free(sizes);
  }
  return status;
}

thaw_status thaw_comm_sum_int(thaw_comm *comm, int64_t *values, size_t count) {
  return comm_allreduce(comm, values, count, sizeof *values, MPI_INT64_T, MPI_SUM);
}

thaw_status thaw_comm_sum_float(thaw_comm *comm, float *values, size_t count) {
  return comm_allreduce(comm, values, count, sizeof *values, MPI_FLOAT, MPI_SUM);
}

thaw_status thaw_comm_max_int(thaw_comm *comm, int64_t *values, size_t count) {
  return comm_allreduce(comm, values, count, sizeof *values, MPI_INT64_T, MPI_MAX);
}

thaw_status thaw_comm_max_double(thaw_comm *comm, double *values, size_t count) {
  return comm_allreduce(comm, values, count, sizeof *values, MPI_DOUBLE, MPI_MAX);
}

thaw_status thaw_comm_barrier(thaw_comm *comm) {
  comm_enter(comm, "MPI_Barrier");
  return comm_check(comm, MPI_Barrier(comm->world), "MPI_Barrier");
}
