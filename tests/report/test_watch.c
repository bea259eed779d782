/* What thaw watch says about run folders in every state, at times that the test sets. */
#include "thaw_test.h"

#include "report/report_private.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-watch-XXXXXX";
static const char *const files[] = {"job.yaml", "log.jsonl", "metrics.csv", "progress.json"};
static const double noon = 1767268800; /* 2026-01-01T12:00:00Z */

static void remove_files(void) {
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *path = thaw_path_join(folder, files[i]);
    unlink(path);
    thaw_free(path);
  }
}

static int setup(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  remove_files();
  return rmdir(folder);
}

static void write_file(const char *name, const char *text) {
  char *path = thaw_path_join(folder, name);
  assert_thaw_ok(thaw_file_write(path, text, strlen(text)));
  thaw_free(path);
}

/* The lines at `now` in `text`; the state is returned. */
static thaw_run_state look(double now, thaw_text *text) {
  thaw_run_state state;
  const thaw_watch_options options = {.now = now, .columns = 100, .ascii = true};
  thaw_text_clear(text);
  assert_thaw_ok(thaw_run_watch(folder, &options, text, &state));
  return state;
}

static void assert_says(const thaw_text *text, const char *part) {
  if (!strstr(text->data, part)) fail_msg("'%s' is not in:\n%s", part, text->data);
}

static const char job[] = "name: chest\ntraining:\n  phases:\n    - {epochs: 10}\n    - {epochs: 30}\n";
static const char begun[] = "{\"time\": \"2026-01-01T11:59:00Z\", \"event\": \"start\", \"ranks\": 4, \"steps\": 0}\n";

static void write_progress(const char *host, long pid, double time) {
  char *text = thaw_format("{\"time\": %.3f, \"host\": \"%s\", \"pid\": %ld, \"title\": \"epoch 3/10\", \"unit\": "
                           "\"samples\", \"done\": 3000, \"total\": 12000, \"elapsed\": 6.0, \"note\": \"loss 0.5\"}\n",
                           time, host, pid);
  write_file("progress.json", text);
  thaw_free(text);
}

static void test_states(void **unused) {
  (void)unused;
  thaw_text text = {0};
  remove_files();
  assert_int_equal(look(noon, &text), THAW_RUN_NONE);
  assert_says(&text, "not started");
  write_file("job.yaml", job);
  write_file("log.jsonl", begun);
  assert_int_equal(look(noon, &text), THAW_RUN_ACTIVE);
  assert_says(&text, "chest: running, ranks 4, since 2026-01-01T11:59:00Z, last sign of life 1 min 00 s ago");
  assert_int_equal(look(noon + 3600, &text), THAW_RUN_SILENT);
  write_progress("elsewhere", 1, noon);
  assert_int_equal(look(noon + 100, &text), THAW_RUN_ACTIVE);
  assert_says(&text, "epoch 3/10         [######..................] 3,000/12,000 samples, 500/s, 18 s left, loss 0.5");
  assert_int_equal(look(noon + 1000, &text), THAW_RUN_SILENT);
  assert_null(strstr(text.data, "left")); /* no promises for the dead */
  char *log = thaw_format("%s{\"time\": \"2026-01-01T12:00:00Z\", \"event\": \"stop\", \"steps\": 7}\n", begun);
  write_file("log.jsonl", log);
  assert_int_equal(look(noon + 1000, &text), THAW_RUN_STOPPED);
  assert_says(&text, "--resume");
  char *more =
      thaw_format("%s{\"time\": \"2026-01-01T12:10:00Z\", \"event\": \"resume\", \"ranks\": 2}\n{\"time\": \"20", log);
  write_file("log.jsonl", more); /* the last line is being written */
  assert_int_equal(look(noon + 601, &text), THAW_RUN_ACTIVE);
  assert_says(&text, "ranks 2, since 2026-01-01T12:10:00Z, resumed 1 time,");
  thaw_free(more);
  more = thaw_format("%s{\"time\": \"2026-01-01T12:20:00Z\", \"event\": \"fail\", \"message\": \"rank 1: "
                     "\\u001b[2Jdisk \\u009bfull\"}\n",
                     log);
  write_file("log.jsonl", more);
  assert_int_equal(look(noon + 7200, &text), THAW_RUN_FAILED);
  assert_says(&text, "error: rank 1:  [2Jdisk   full\n"); /* what would command the terminal is blank */
  thaw_free(more);
  more = thaw_format("%s{\"time\": \"2026-01-01T12:20:00Z\", \"event\": \"end\", \"steps\": 9}\n", log);
  write_file("log.jsonl", more);
  assert_int_equal(look(noon + 7200, &text), THAW_RUN_COMPLETE);
  thaw_free(more);
  thaw_free(log);
  thaw_text_clear(&text);
}

/* On its own host a process that is gone is known to be. */
static void test_killed(void **unused) {
  (void)unused;
  thaw_text text = {0};
  char host[256] = "";
  remove_files();
  gethostname(host, sizeof host - 1);
  write_file("log.jsonl", begun);
  write_progress(host, (long)getpid(), noon);
  assert_int_equal(look(noon + 60, &text), THAW_RUN_ACTIVE);
  pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, NULL, 0);
  write_progress(host, (long)child, noon);
  assert_int_equal(look(noon + 1, &text), THAW_RUN_ACTIVE); /* it may have been written by another host's namespace */
  assert_int_equal(look(noon + 60, &text), THAW_RUN_KILLED);
  assert_says(&text, "killed");
  write_progress("elsewhere", (long)child, noon);
  assert_int_equal(look(noon + 60, &text), THAW_RUN_ACTIVE);
  thaw_text_clear(&text);
}

static void test_lines(void **unused) {
  (void)unused;
  thaw_text text = {0};
  remove_files();
  write_file("job.yaml", job);
  write_file(
      "log.jsonl",
      "{\"time\": \"2026-01-01T11:50:00Z\", \"event\": \"start\", \"ranks\": 2}\n"
      "not JSON: {{{\n"
      "{\"time\": \"2026-01-01T11:59:00Z\", \"event\": \"waiting\", \"epoch\": 3, \"seconds\": 10, \"slowest\": 1, "
      "\"slowest_host\": \"node7\", \"waited\": [5.0, 0.1]}\n"
      "{\"time\": \"2026-01-01T11:59:00Z\", \"event\": \"checkpoint\", \"file\": \"best.h5\", \"steps\": 20}\n"
      "{\"time\": \"2026-01-01T11:59:30Z\", \"event\": \"checkpoint\", \"file\": \"step-000000030.h5\", \"steps\": "
      "30}\n");
  write_file("metrics.csv", "phase,epoch,step,learning_rate,loss,val_accuracy,seconds\n1,1,10,0.1,8,0.5,10\n"
                            "1,2,20,0.1,4,0.75,12\n1,3,30,0.1,1,,14\n");
  assert_int_equal(look(noon, &text), THAW_RUN_ACTIVE);
  assert_says(&text,
              "all epochs         [##......................] 3/40, phase 1 of 2, 12 s each, at most 7 min 24 s left\n");
  assert_says(&text, "loss                        8 #:_ 1  (best 1 in epoch 3)\n");
  assert_says(&text, "val_accuracy              0.5 _#  0.75  (best 0.75 in epoch 2)\n");
  assert_says(&text, "waiting            #_ epoch 3: ranks 0 to 1 waited 50% 1% of 10.00 s; slowest: 1 (node7)\n");
  assert_says(
      &text,
      "checkpoint         step-000000030.h5, step 30, 30 s ago\nbest               best.h5, step 20, 1 min 00 s ago\n");
  thaw_text_clear(&text);
}

static void test_sparkline(void **unused) {
  (void)unused;
  thaw_text text = {0};
  const double rising[] = {0, 1, 2, 3, 4, 5, 6, 7}, flat[] = {3, 3}, gap[] = {0, NAN, 1};
  report_add_sparkline(&text, rising, 8, 20, false);
  assert_string_equal(
      text.data, "\xe2\x96\x81\xe2\x96\x82\xe2\x96\x83\xe2\x96\x84\xe2\x96\x85\xe2\x96\x86\xe2\x96\x87\xe2\x96\x88");
  thaw_text_clear(&text);
  report_add_sparkline(&text, rising, 8, 4, true); /* means of two */
  assert_string_equal(text.data, ".:+#");
  thaw_text_clear(&text);
  report_add_sparkline(&text, flat, 2, 4, true);
  report_add_sparkline(&text, gap, 3, 4, true);
  assert_string_equal(text.data, "==_ #");
  thaw_text_clear(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_states), cmocka_unit_test(test_killed),
                                     cmocka_unit_test(test_lines), cmocka_unit_test(test_sparkline)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
