/* Signals and deadlines: a wish to stop, which rides in the next reduction so that all ranks stop at the same step. */
#include "thaw/log.h"
#include "train/train_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A handler can reach nothing but this. */
static volatile sig_atomic_t caught;

static const int watched[] = {SIGTERM, SIGUSR1, SIGUSR2};
static const char *const watched_names[] = {"SIGTERM", "SIGUSR1", "SIGUSR2"};
enum { WATCHED = sizeof watched / sizeof *watched };

static void remember(int number) {
  caught = number;
}

/* Slurm tells when the job will be killed, in seconds since 1970; a minute is left for the checkpoint. */
static double slurm_deadline(void) {
  enum { MARGIN = 60 };
  const char *text = getenv("SLURM_JOB_END_TIME");
  int64_t end;
  if (!text || thaw_parse_int(text, &end) != THAW_OK) return 0;
  double left = (double)(end - (int64_t)time(NULL)) - MARGIN;
  return thaw_seconds() + (left > 0 ? left : 0);
}

static void watch(struct sigaction *before) {
  struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < WATCHED; i++) sigaction(watched[i], &action, before ? &before[i] : NULL);
}

static bool is_watching(void) {
  struct sigaction now;
  return sigaction(watched[0], NULL, &now) == 0 && now.sa_handler == remember;
}

void thaw_train_expect_signals(void) {
  watch(NULL);
}

void train_signals_begin(train_signals *signals, bool keeps_time, double max_minutes) {
  if (!is_watching()) caught = 0;
  watch(signals->before);
  signals->deadline = keeps_time ? slurm_deadline() : 0;
  if (keeps_time && max_minutes > 0) {
    double end = thaw_seconds() + 60 * max_minutes;
    if (signals->deadline == 0 || end < signals->deadline) signals->deadline = end;
  }
}

void train_signals_end(train_signals *signals) {
  for (int i = 0; i < WATCHED; i++) sigaction(watched[i], &signals->before[i], NULL);
}

const char *train_signals_reason(const train_signals *signals) {
  int number = caught;
  for (int i = 0; i < WATCHED; i++)
    if (number == watched[i]) return watched_names[i];
  return signals->deadline > 0 && thaw_seconds() >= signals->deadline ? "the time limit" : NULL;
}

bool train_signals_stop(const void *signals) {
  return train_signals_reason(signals) != NULL;
}
