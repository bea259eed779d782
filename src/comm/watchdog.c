/* Heartbeats outside MPI: who has stopped answering, told by a thread that never calls MPI. The argument is
 * in README.md. */
#include "comm/watchdog.h"
#include "thaw/log.h"
#include "thaw/memory.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES = 6, CALL = 24 };

/* Where a rank listens. */
typedef struct endpoint {
  uint32_t address[ADDRESSES]; /* IPv4, network byte order */
  uint16_t port, count;
} endpoint;

typedef enum packet_kind { BEAT = 1, ANSWER, END } packet_kind;
typedef struct packet {
  uint64_t token; /* of this job: strangers are ignored */
  int32_t kind, rank;
  int64_t calls, cpu_ms;
  char call[CALL]; /* the MPI call under way, "" in own work */
} packet;

/* What is known of another rank. Times are this process's monotonic seconds. */
typedef struct peer {
  bool heard_ever;
  double heard, moved; /* last packet; last sign of progress */
  int64_t calls, cpu_ms;
  char call[CALL];
} peer;

struct comm_watchdog {
  thaw_comm *comm;
  pthread_t thread;
  int socket, wake[2];
  endpoint *endpoint; /* [size] */
  peer *peer;         /* [size]; other ranks than 0 use peer[0] only */
  uint64_t token;
  atomic_llong limit_ms; /* 0: off */
  atomic_bool stop;
  void (*report)(const char *message);
};

/* ------------------------------------------------------------------ packets */

/* CPU time of the process without this thread's. */
static int64_t own_cpu_ms(void) {
  struct timespec all, mine;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &all);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mine);
  return (int64_t)(all.tv_sec - mine.tv_sec) * 1000 + (all.tv_nsec - mine.tv_nsec) / 1000000;
}

static packet make_packet(const comm_watchdog *w, packet_kind kind) {
  packet p = {.token = w->token, .kind = kind, .rank = w->comm->rank, .cpu_ms = own_cpu_ms()};
  p.calls = atomic_load_explicit(&w->comm->calls, memory_order_relaxed);
  const char *inside = atomic_load_explicit(&w->comm->inside, memory_order_relaxed);
  if (inside) snprintf(p.call, sizeof p.call, "%s", inside);
  return p;
}

/* A lost packet is the next one's business, so results are not looked at. */
static void send_packet(const comm_watchdog *w, int rank, packet_kind kind) {
  packet p = make_packet(w, kind);
  const endpoint *to = &w->endpoint[rank];
  for (int i = 0; i < to->count; i++) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = to->port, .sin_addr = {to->address[i]}};
    (void)sendto(w->socket, &p, sizeof p, MSG_DONTWAIT, (struct sockaddr *)&address, sizeof address);
  }
}

/* ------------------------------------------------------------------ the end */

static void tell_all_to_end(const comm_watchdog *w) {
  for (int repeat = 0; repeat < 3; repeat++)
    for (int rank = 0; rank < w->comm->size; rank++)
      if (rank != w->comm->rank) send_packet(w, rank, END);
}

static void end_job(comm_watchdog *w, const char *message) {
  tell_all_to_end(w);
  w->report(message);
  _exit(thaw_exit_code(THAW_ERR_RUN));
}

static void name_ranks(const comm_watchdog *w, const bool *lost, char *out, size_t size) {
  size_t used = 0;
  int named = 0, more = 0;
  for (int rank = 0; rank < w->comm->size; rank++) {
    if (!lost[rank]) continue;
    if (named == 8 || used + COMM_HOST + 32 > size) {
      more++;
      continue;
    }
    used +=
        (size_t)snprintf(out + used, size - used, "%srank %d (%s)", named++ ? ", " : "", rank, w->comm->hosts[rank]);
  }
  if (more) snprintf(out + used, size - used, " and %d more", more);
}

/* ------------------------------------------------------------------ listening */

static void note(peer *from, const packet *p, double now) {
  /* Own work makes progress as long as it computes; an MPI call spins, so there only its return counts. */
  bool computes = !p->call[0] && p->cpu_ms >= from->cpu_ms + 5;
  bool moved = !from->heard_ever || p->calls != from->calls || computes || strcmp(p->call, from->call) != 0;
  from->heard = now;
  from->heard_ever = true;
  if (!moved) return;
  from->moved = now;
  from->calls = p->calls;
  from->cpu_ms = p->cpu_ms;
  memcpy(from->call, p->call, sizeof from->call);
  from->call[CALL - 1] = 0;
}

/* Whoever sent END tells why. A launcher kills all others as soon as one rank has ended, so he is let go first. */
static void obey(void) {
  poll(NULL, 0, 1000);
  _exit(thaw_exit_code(THAW_ERR_RUN));
}

static void receive(comm_watchdog *w, double now) {
  packet p;
  ssize_t got;
  while ((got = recv(w->socket, &p, sizeof p, MSG_DONTWAIT)) > 0) {
    if (got != sizeof p || p.token != w->token || p.rank < 0 || p.rank >= w->comm->size) continue;
    if (p.kind == END) obey();
    note(&w->peer[p.rank], &p, now);
    if (p.kind == BEAT && w->comm->rank == 0) send_packet(w, p.rank, ANSWER);
  }
}

/* ------------------------------------------------------------------ judging */

/* This process itself was stopped, or the machine slept: nobody else can be blamed. */
static void forgive(comm_watchdog *w, double now) {
  for (int rank = 0; rank < w->comm->size; rank++) w->peer[rank].heard = w->peer[rank].moved = now;
}

static void judge_silence(comm_watchdog *w, double now, double limit, bool *lost) {
  bool any = false;
  for (int rank = 0; rank < w->comm->size; rank++) {
    const peer *other = &w->peer[rank];
    lost[rank] = rank != w->comm->rank && other->heard_ever && now - other->heard > limit;
    any |= lost[rank];
  }
  if (!any) return;
  char names[1536] = "", message[2048];
  name_ranks(w, lost, names, sizeof names);
  snprintf(message, sizeof message,
           "%s: no sign of life for %.0f seconds: the process is stopped, or its node or network is down; the last "
           "checkpoint is intact",
           names, limit);
  end_job(w, message);
}

/* Rank 0 knows all: who stands still in his own work while others wait, or that nothing moves at all. */
static void judge_progress(comm_watchdog *w, double now, double limit, bool *lost) {
  int waiting = 0, still = 0, size = w->comm->size;
  for (int rank = 0; rank < size; rank++) {
    const peer *other = &w->peer[rank];
    bool stands = other->heard_ever && now - other->moved > limit;
    lost[rank] = stands && !other->call[0];
    waiting += stands && other->call[0];
    still += lost[rank];
  }
  if (waiting == 0 || (still == 0 && waiting < size)) return;
  char names[1536] = "", message[2048];
  name_ranks(w, lost, names, sizeof names);
  if (still)
    snprintf(
        message, sizeof message,
        "%s: neither computing nor communicating for %.0f seconds while others wait: hanging input or output?; the "
        "last checkpoint is intact",
        names, limit);
  else
    snprintf(
        message, sizeof message,
        "all ranks have waited in %s for %.0f seconds: the network between them does not work; the last checkpoint "
        "is intact",
        w->peer[0].call, limit);
  end_job(w, message);
}

static void judge(comm_watchdog *w, double now, double limit, bool *lost) {
  const thaw_comm *comm = w->comm;
  if (comm->rank == 0) {
    packet own = make_packet(w, BEAT);
    note(&w->peer[0], &own, now);
    judge_silence(w, now, limit, lost);
    judge_progress(w, now, limit, lost);
  } else {
    /* All of them miss rank 0 at once; the lowest speaks first and ends the others. */
    int turn = comm->rank < 16 ? comm->rank : 16;
    judge_silence(w, now, limit + 0.25 * turn, lost);
  }
}

static double interval_of(double limit) {
  double interval = limit / 8;
  return interval < 0.1 ? 0.1 : interval > 10 ? 10 : interval;
}

static void *watch(void *argument) {
  comm_watchdog *w = argument;
  double before = thaw_seconds(), next = 0, watched = 0;
  bool *lost = thaw_new((size_t)w->comm->size, sizeof *lost);
  while (lost && !atomic_load(&w->stop)) {
    double limit = (double)atomic_load(&w->limit_ms) / 1000, interval = interval_of(limit > 0 ? limit : 80);
    struct pollfd wait[2] = {{.fd = w->socket, .events = POLLIN}, {.fd = w->wake[0], .events = POLLIN}};
    poll(wait, 2, (int)(1000 * interval));
    double now = thaw_seconds();
    if (wait[1].revents & POLLIN) {
      char byte;
      if (read(w->wake[0], &byte, 1) < 0) continue;
    }
    if (limit != watched || now - before > interval + limit / 4) forgive(w, now);
    watched = limit;
    before = now;
    receive(w, now);
    if (w->comm->rank != 0 && now >= next) {
      send_packet(w, 0, BEAT);
      next = now + interval * 0.9;
    }
    if (limit > 0) judge(w, now, limit, lost);
  }
  thaw_free(lost);
  return NULL;
}

/* ------------------------------------------------------------------ start and stop */

/* [local] The addresses under which this node may be reached. */
static void list_addresses(endpoint *own) {
  struct ifaddrs *list = NULL;
  own->address[own->count++] = htonl(INADDR_LOOPBACK);
  if (getifaddrs(&list) != 0) return;
  for (struct ifaddrs *i = list; i && own->count < ADDRESSES; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
      continue;
    struct sockaddr_in address;
    memcpy(&address, i->ifa_addr, sizeof address);
    own->address[own->count++] = address.sin_addr.s_addr;
  }
  freeifaddrs(list);
}

/* [local] */
static thaw_status open_socket(comm_watchdog *w, endpoint *own) {
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_ANY)}};
  socklen_t length = sizeof any;
  w->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (w->socket < 0 || bind(w->socket, (struct sockaddr *)&any, sizeof any) != 0 ||
      getsockname(w->socket, (struct sockaddr *)&any, &length) != 0 || pipe(w->wake) != 0)
    return thaw_fail(THAW_ERR_RUN, "the watchdog cannot open a socket; THAW_WATCHDOG_SECONDS=0 goes without it");
  own->port = any.sin_port;
  list_addresses(own);
  return THAW_OK;
}

static void release(comm_watchdog *w) {
  int file[] = {w->socket, w->wake[0], w->wake[1]};
  for (int i = 0; i < 3; i++)
    if (file[i] >= 0) close(file[i]);
  thaw_free(w->endpoint);
  thaw_free(w->peer);
  thaw_free(w);
}

/* [local] Signals stay with the main thread. */
static thaw_status start_thread(comm_watchdog *w) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return code == 0 ? THAW_OK : thaw_fail(THAW_ERR_RUN, "the watchdog's thread does not start: %s", strerror(code));
}

/* [local] */
static thaw_status make_watchdog(thaw_comm *comm, comm_watchdog **out, endpoint *own) {
  comm_watchdog *w = thaw_new(1, sizeof *w);
  if (!w) return THAW_ERR_MEMORY;
  w->comm = comm;
  w->socket = w->wake[0] = w->wake[1] = -1;
  w->endpoint = thaw_new((size_t)comm->size, sizeof *w->endpoint);
  w->peer = thaw_new((size_t)comm->size, sizeof *w->peer);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now); /* unlikely to be another job's */
  w->token = ((uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec) * 0x9E3779B97F4A7C15u + (uint64_t)getpid();
  *out = w;
  return w->endpoint && w->peer ? open_socket(w, own) : THAW_ERR_MEMORY;
}

/* [collective] */
static thaw_status create(thaw_comm *comm, double seconds, void (*report)(const char *), comm_watchdog **out) {
  endpoint own = {0};
  THAW_TRY(thaw_agree(comm, make_watchdog(comm, out, &own)));
  comm_watchdog *w = *out;
  comm_enter(comm, "MPI_Allgather");
  int code = MPI_Allgather(&own, (int)sizeof own, MPI_BYTE, w->endpoint, (int)sizeof own, MPI_BYTE, comm->world);
  THAW_TRY(comm_check(comm, code, "MPI_Allgather"));
  THAW_TRY(thaw_comm_broadcast(comm, 0, &w->token, sizeof w->token));
  w->report = report;
  atomic_store(&w->limit_ms, (int64_t)(1000 * seconds));
  thaw_status status = start_thread(w);
  if (status == THAW_OK) comm->watchdog = w;
  return thaw_agree(comm, status);
}

thaw_status thaw_comm_watch(thaw_comm *comm, double seconds, void (*report)(const char *message)) {
  comm_watchdog *w = comm->watchdog;
  if (comm->size == 1 || (seconds <= 0 && !w)) return THAW_OK;
  if (w) {
    atomic_store(&w->limit_ms, (int64_t)(1000 * seconds));
    return write(w->wake[1], "", 1) == 1 ? THAW_OK : thaw_fail(THAW_ERR_INTERNAL, "the watchdog cannot be woken");
  }
  thaw_status status = create(comm, seconds, report, &w);
  if (status != THAW_OK && comm->watchdog)
    comm_watchdog_stop(comm->watchdog);
  else if (status != THAW_OK && w)
    release(w);
  if (status != THAW_OK) comm->watchdog = NULL;
  return status;
}

void comm_watchdog_stop(comm_watchdog *w) {
  if (!w) return;
  atomic_store(&w->stop, true);
  while (write(w->wake[1], "", 1) < 0) {
  } /* interrupted: again */
  pthread_join(w->thread, NULL);
  release(w);
}
