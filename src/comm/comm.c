/* Start and end of MPI, and agreement on errors. */
#include "comm/pipeline.h"
#include "comm/watchdog.h"
#include "thaw/log.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void comm_enter(thaw_comm *comm, const char *call) {
  comm->entered = thaw_seconds();
  pthread_mutex_lock(&comm->gate);
  atomic_store_explicit(&comm->inside, call, memory_order_relaxed);
}

static void leave(thaw_comm *comm) {
  if (!atomic_load_explicit(&comm->inside, memory_order_relaxed)) return;
  comm->waited += thaw_seconds() - comm->entered;
  atomic_store_explicit(&comm->inside, NULL, memory_order_relaxed);
  atomic_fetch_add_explicit(&comm->calls, 1, memory_order_relaxed);
  pthread_mutex_unlock(&comm->gate);
}

thaw_status comm_check(thaw_comm *comm, int code, const char *call) {
  if (comm) leave(comm);
  if (code == MPI_SUCCESS) return THAW_OK;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length;
  MPI_Error_string(code, text, &length);
  if (comm) comm->broken = true;
  return thaw_fail(THAW_ERR_RUN, "%s failed: %s", call, text);
}

/* The ranks that share memory with this one: of the machine, or of THAW_NODE_RANKS successive ranks on it (for
 * tests: several nodes on one machine). */
static thaw_status find_node(thaw_comm *comm) {
  MPI_Comm machine;
  int rank, code = MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &machine);
  THAW_TRY(comm_check(comm, code, "MPI_Comm_split_type"));
  const char *text = getenv("THAW_NODE_RANKS");
  int64_t ranks = 0;
  MPI_Comm_rank(machine, &rank);
  if (text && *text && (thaw_parse_int(text, &ranks) != THAW_OK || ranks < 1)) {
    MPI_Comm_free(&machine);
    return thaw_fail(THAW_ERR_USAGE, "THAW_NODE_RANKS is '%s', expected a number of ranks from 1 on", text);
  }
  int color = ranks > 0 ? (int)(rank / ranks) : 0;
  code = MPI_Comm_split(machine, color, comm->rank, &comm->node);
  MPI_Comm_free(&machine);
  return comm_check(comm, code, "MPI_Comm_split");
}

/* Once `world` is there. */
static thaw_status describe(thaw_comm *comm) {
  MPI_Comm_set_errhandler(comm->world, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm->world, &comm->rank);
  MPI_Comm_size(comm->world, &comm->size);
  THAW_TRY(find_node(comm));
  MPI_Comm_set_errhandler(comm->node, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm->node, &comm->node_rank);
  MPI_Comm_size(comm->node, &comm->node_size);
  if (gethostname(comm->host, sizeof comm->host - 1) != 0) snprintf(comm->host, sizeof comm->host, "unknown");
  comm->hosts = thaw_new((size_t)comm->size, sizeof *comm->hosts);
  if (!comm->hosts) thaw_comm_abort(comm, thaw_exit_code(THAW_ERR_MEMORY)); /* no agreement without it */
  return comm_check(comm, MPI_Allgather(comm->host, COMM_HOST, MPI_CHAR, comm->hosts, COMM_HOST, MPI_CHAR, comm->world),
                    "MPI_Allgather");
}

thaw_status thaw_comm_create(int *argc, char ***argv, thaw_comm **out) {
  thaw_comm *comm = thaw_new(1, sizeof *comm);
  if (!comm) return THAW_ERR_MEMORY;
  comm->world = comm->node = MPI_COMM_NULL;
  int provided = MPI_THREAD_SINGLE;
  if (pthread_mutex_init(&comm->gate, NULL) != 0) {
    thaw_free(comm);
    return THAW_ERR_MEMORY;
  }
  /* The main thread calls MPI, and in turn with it the thread of progress.c, where MPI allows that. */
  thaw_status status =
      comm_check(comm, MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
  if (status == THAW_OK && provided < MPI_THREAD_FUNNELED)
    status = thaw_fail(THAW_ERR_RUN, "this MPI library does not support MPI_THREAD_FUNNELED");
  comm->serialized = provided >= MPI_THREAD_SERIALIZED;
  if (status == THAW_OK) {
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    status = comm_check(comm, MPI_Comm_dup(MPI_COMM_WORLD, &comm->world), "MPI_Comm_dup");
  }
  if (status == THAW_OK) status = describe(comm);
  if (status == THAW_OK)
    *out = comm;
  else
    thaw_free(comm);
  return status;
}

thaw_status thaw_comm_split(thaw_comm *comm, int colour, thaw_comm **out) {
  thaw_comm *part = thaw_new(1, sizeof *part);
  bool ready = part && pthread_mutex_init(&part->gate, NULL) == 0;
  *out = NULL;
  thaw_status status = thaw_agree(comm, ready ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) {
    part->part = true;
    part->serialized = comm->serialized;
    part->world = part->node = MPI_COMM_NULL;
    comm_enter(comm, "MPI_Comm_split");
    status = comm_check(comm, MPI_Comm_split(comm->world, colour, comm->rank, &part->world), "MPI_Comm_split");
  }
  if (status == THAW_OK) status = describe(part);
  if (status == THAW_OK) {
    *out = part;
    return THAW_OK;
  }
  if (ready) pthread_mutex_destroy(&part->gate);
  thaw_free(part);
  return status;
}

void thaw_comm_destroy(thaw_comm *comm) {
  if (!comm) return;
  comm_watchdog_stop(comm->watchdog);
  if (comm->broken) thaw_comm_abort(comm, thaw_exit_code(THAW_ERR_RUN));
  comm_pipeline_destroy(comm);
  MPI_Comm_free(&comm->node);
  MPI_Comm_free(&comm->world);
  if (!comm->part) MPI_Finalize();
  pthread_mutex_destroy(&comm->gate);
  thaw_free(comm->hosts);
  thaw_free(comm);
}

void thaw_comm_abort(thaw_comm *comm, int code) {
  MPI_Abort(comm ? comm->world : MPI_COMM_WORLD, code);
  _exit(code); /* MPI_Abort is allowed to return */
}

int thaw_comm_rank(const thaw_comm *comm) {
  return comm->rank;
}

int thaw_comm_size(const thaw_comm *comm) {
  return comm->size;
}

const char *thaw_comm_host(const thaw_comm *comm) {
  return comm->host;
}

const char *thaw_comm_host_of(const thaw_comm *comm, int rank) {
  return comm->hosts[rank];
}

double thaw_comm_waited(const thaw_comm *comm) {
  return comm->waited;
}

/* [collective] The failing rank's message becomes everybody's. */
static thaw_status share_failure(thaw_comm *comm, int from, thaw_status code) {
  enum { SIZE = 2048 };
  char text[SIZE] = "";
  if (comm->rank == from) snprintf(text, sizeof text, "rank %d (%s): %s", from, comm->host, thaw_message());
  comm_enter(comm, "MPI_Bcast");
  THAW_TRY(comm_check(comm, MPI_Bcast(text, SIZE, MPI_CHAR, from, comm->world), "MPI_Bcast"));
  text[SIZE - 1] = 0;
  return thaw_fail(code, "%s", text);
}

thaw_status thaw_agree(thaw_comm *comm, thaw_status mine) {
  if (comm->broken) return mine == THAW_OK ? thaw_fail(THAW_ERR_RUN, "communication has failed before") : mine;
  if (comm->size == 1) return mine;
  struct {
    int code, rank;
  } in = {(int)mine, comm->rank}, worst = {0, 0};
  /* MPI_MAXLOC takes the lowest rank among equals. */
  comm_enter(comm, "MPI_Allreduce");
  THAW_TRY(comm_check(comm, MPI_Allreduce(&in, &worst, 1, MPI_2INT, MPI_MAXLOC, comm->world), "MPI_Allreduce"));
  return worst.code == THAW_OK ? THAW_OK : share_failure(comm, worst.rank, (thaw_status)worst.code);
}

thaw_status thaw_agree_same(thaw_comm *comm, const char *what, const char *text) {
  char host[COMM_HOST], *first = (char *)(uintptr_t)text;
  size_t size = strlen(text);
  memcpy(host, comm->host, sizeof host);
  THAW_TRY(thaw_comm_broadcast(comm, 0, host, sizeof host));
  THAW_TRY(thaw_comm_broadcast_new(comm, 0, &first, &size));
  thaw_status status = THAW_OK;
  if (strcmp(first, text) != 0)
    status = thaw_fail(THAW_ERR_RUN, "%s is '%.200s' here, but '%.200s' on rank 0 (%s)", what, text, first, host);
  if (first != text) thaw_free(first);
  return thaw_agree(comm, status);
}
