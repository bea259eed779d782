/* The ranks that share memory with this one. */
#include "comm/comm_private.h"
#include "thaw/memory.h"

#include <string.h>

int thaw_comm_node_rank(const thaw_comm *comm) {
  return comm->node_rank;
}

thaw_status thaw_comm_node_share_text(thaw_comm *comm, char **text) {
  uint64_t size = comm->node_rank == 0 && *text ? strlen(*text) + 1 : 0;
  comm_enter(comm, "MPI_Bcast");
  THAW_TRY(comm_check(comm, MPI_Bcast(&size, 1, MPI_UINT64_T, 0, comm->node), "MPI_Bcast"));
  if (comm->node_rank != 0) *text = size ? thaw_new(size, 1) : NULL;
  THAW_TRY(thaw_agree(comm, size && !*text ? THAW_ERR_MEMORY : THAW_OK));
  if (size == 0) return THAW_OK;
  comm_enter(comm, "MPI_Bcast");
  return comm_check(comm, MPI_Bcast(*text, (int)size, MPI_CHAR, 0, comm->node), "MPI_Bcast");
}
