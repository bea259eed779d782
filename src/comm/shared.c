/* Memory that exists once per node. */
#include "comm/comm_private.h"
#include "thaw/file.h"
#include "thaw/memory.h"

struct thaw_shared {
  thaw_comm *comm;
  MPI_Win window; /* MPI_WIN_NULL: private memory */
  void *data, *owned;
  bool fallback; /* shared memory was wanted but too small */
};

/* MPI would map the segment gladly and the first touch beyond the space that is there would be a SIGBUS, so the space
 * is asked for beforehand. Containers often give 64 MB. */
static bool space_for(size_t bytes) {
  enum { MARGIN = 16 << 20 };
  return thaw_folder_exists("/dev/shm") && thaw_disk_free("/dev/shm") > (int64_t)(bytes + MARGIN);
}

/* [collective] over the node: the node's rank 0 decides for all. */
static thaw_status decide(thaw_comm *comm, size_t bytes, bool *share_out) {
  int share = comm->node_rank == 0 && space_for(bytes);
  comm_enter(comm, "MPI_Bcast");
  THAW_TRY(comm_check(comm, MPI_Bcast(&share, 1, MPI_INT, 0, comm->node), "MPI_Bcast"));
  *share_out = share != 0;
  return THAW_OK;
}

static thaw_status allocate_window(thaw_shared *shared, size_t bytes) {
  thaw_comm *comm = shared->comm;
  MPI_Aint mine = comm->node_rank == 0 ? (MPI_Aint)(bytes + THAW_ALIGN) : 0, size;
  void *base;
  comm_enter(comm, "MPI_Win_allocate_shared");
  int unit, code = MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, comm->node, &base, &shared->window);
  THAW_TRY(comm_check(comm, code, "MPI_Win_allocate_shared"));
  THAW_TRY(comm_check(comm, MPI_Win_shared_query(shared->window, 0, &size, &unit, &base), "MPI_Win_shared_query"));
  /* The offset inside the segment is the same everywhere, and pages are larger than THAW_ALIGN. */
  uintptr_t address = (uintptr_t)base;
  shared->data = (void *)((address + THAW_ALIGN - 1) / THAW_ALIGN * THAW_ALIGN);
  return THAW_OK;
}

static thaw_status allocate_private(thaw_shared *shared, size_t bytes) {
  shared->data = shared->owned = thaw_new(bytes, 1);
  return shared->data ? THAW_OK : THAW_ERR_MEMORY;
}

thaw_status thaw_shared_create(thaw_comm *comm, size_t bytes, thaw_shared **out) {
  thaw_shared *shared = thaw_new(1, sizeof *shared);
  THAW_TRY(thaw_agree(comm, shared ? THAW_OK : THAW_ERR_MEMORY));
  shared->comm = comm;
  shared->window = MPI_WIN_NULL;
  bool share = false;
  thaw_status status = THAW_OK;
  if (comm->node_size > 1) {
    status = decide(comm, bytes, &share);
    shared->fallback = !share;
  }
  if (status == THAW_OK) status = share ? allocate_window(shared, bytes) : allocate_private(shared, bytes);
  status = thaw_agree(comm, status);
  if (status == THAW_OK)
    *out = shared;
  else
    thaw_shared_destroy(shared);
  return status;
}

void *thaw_shared_data(thaw_shared *shared) {
  return shared->data;
}

bool thaw_shared_must_fill(const thaw_shared *shared) {
  return shared->window == MPI_WIN_NULL || shared->comm->node_rank == 0;
}

bool thaw_shared_is_private(const thaw_shared *shared) {
  return shared->fallback;
}

thaw_status thaw_shared_publish(thaw_shared *shared) {
  if (shared->window == MPI_WIN_NULL) return thaw_agree(shared->comm, THAW_OK);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  comm_enter(shared->comm, "MPI_Barrier");
  return thaw_agree(shared->comm, comm_check(shared->comm, MPI_Barrier(shared->comm->node), "MPI_Barrier"));
}

void thaw_shared_destroy(thaw_shared *shared) {
  if (!shared) return;
  if (shared->window != MPI_WIN_NULL && !shared->comm->broken) MPI_Win_free(&shared->window);
  thaw_free(shared->owned);
  thaw_free(shared);
}
