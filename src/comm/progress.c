/* A thread that moves a sum on while the rank computes. MPI libraries make progress in calls only, and a rank that
 * computes makes none. It holds comm->gate while it works, as the main thread does in every MPI call, so that MPI is
 * called by one thread at a time (MPI_THREAD_SERIALIZED), and it sleeps between two looks. */
#include "comm/pipeline_private.h"
#include "thaw/memory.h"

#include <signal.h>
#include <time.h>

struct comm_progress {
  pthread_t thread;
  pthread_cond_t wake;
  bool end;
};

static void *work(void *context) {
  enum { NANOSECONDS = 200000 };
  comm_pipeline *p = context;
  pthread_mutex_t *gate = &p->comm->gate;
  sigset_t all; /* signals are for the main thread */
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  pthread_setname_np(pthread_self(), "thaw-sum"); /* seen in top -H */
  pthread_mutex_lock(gate);
  while (!p->progress->end) {
    if (!pipeline_has_work(p)) {
      pthread_cond_wait(&p->progress->wake, gate);
      continue;
    }
    pipeline_poll(p);
    pthread_mutex_unlock(gate);
    nanosleep(&(struct timespec){.tv_nsec = NANOSECONDS}, NULL);
    pthread_mutex_lock(gate);
  }
  pthread_mutex_unlock(gate);
  return NULL;
}

void comm_progress_start(comm_pipeline *p) {
  comm_progress *progress = thaw_new(1, sizeof *progress);
  if (!progress) return;
  pthread_mutex_lock(&p->comm->gate);
  p->progress = progress;
  bool made = pthread_cond_init(&progress->wake, NULL) == 0;
  if (made && pthread_create(&progress->thread, NULL, work, p) != 0) {
    pthread_cond_destroy(&progress->wake);
    made = false;
  }
  if (!made) {
    p->progress = NULL;
    thaw_free(progress);
  }
  pthread_mutex_unlock(&p->comm->gate);
}

void comm_progress_stop(comm_pipeline *p) {
  comm_progress *progress = p->progress;
  if (!progress) return;
  pthread_mutex_lock(&p->comm->gate);
  progress->end = true;
  pthread_cond_signal(&progress->wake);
  pthread_mutex_unlock(&p->comm->gate);
  pthread_join(progress->thread, NULL);
  pthread_cond_destroy(&progress->wake);
  thaw_free(progress);
  p->progress = NULL;
}

void comm_progress_wake(comm_pipeline *p) {
  pthread_cond_signal(&p->progress->wake);
}
