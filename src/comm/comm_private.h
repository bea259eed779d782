/* What the files of this folder share. The only header of the project that includes mpi.h. */
#ifndef COMM_PRIVATE_H
#define COMM_PRIVATE_H

#include "thaw/comm.h"

#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>

enum { COMM_HOST = 128 };

typedef struct comm_watchdog comm_watchdog;
typedef struct comm_pipeline comm_pipeline;
typedef struct comm_progress comm_progress;
typedef struct comm_direct comm_direct;

struct thaw_comm {
  MPI_Comm world; /* private duplicate of MPI_COMM_WORLD, errors returned */
  MPI_Comm node;  /* the ranks that share memory with this one */
  int rank, size, node_rank, node_size;
  bool part;   /* made by thaw_comm_split */
  bool broken; /* an MPI call failed: no further agreement is possible */
  char host[COMM_HOST];
  char (*hosts)[COMM_HOST]; /* [size] */
  /* What this rank is doing, read by its watchdog thread. */
  _Atomic(const char *) inside; /* the MPI call under way, NULL: own work */
  atomic_llong calls;           /* MPI calls that returned */
  double entered, waited;       /* seconds: when `inside` began; in MPI calls so far */
  comm_watchdog *watchdog;      /* NULL: none */
  comm_pipeline *pipeline;      /* NULL: no sum of gradients yet */
  comm_direct *direct;          /* NULL: none whose message is shared memory */
  pthread_mutex_t gate;         /* held in MPI calls: between comm_enter and comm_check, and by progress.c */
  bool serialized;              /* several threads may call MPI in turn */
};

/* One message carries at most this many elements, because MPI counts are int. */
#define COMM_CHUNK ((size_t)1 << 27)

/* [local] Before a blocking MPI call; `call` is a literal. comm_check ends it. Keeps other threads out of MPI. */
void comm_enter(thaw_comm *comm, const char *call);
/* [local] THAW_OK, or THAW_ERR_RUN naming the call when `code` is an MPI error; the communicator is then broken. */
thaw_status comm_check(thaw_comm *comm, int code, const char *call);

/* [collective] In place over all ranks, any count. */
thaw_status comm_allreduce(thaw_comm *comm, void *values, size_t count, size_t size, MPI_Datatype type, MPI_Op op);

#endif
