/* kill -9 at any moment of filling, again and again: what is left is whole, and a last run completes it to the bit. The
 * program starts itself: "fill FOLDER" fills and tells when it begins, "check FOLDER" compares everything. */
#include "thaw_test.h"

#include "fixture.h"
#include "thaw/memory.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VALUES = FIXTURE_SAMPLES * FIXTURE_FLOATS, KILLS = 24 };
static const char *program;

static int report(thaw_status status) {
  if (status != THAW_OK) fprintf(stderr, "%s\n", thaw_message());
  return status == THAW_OK ? 0 : 1;
}

static thaw_status fill(const char *folder, thaw_comm *comm, fixture *f, thaw_features **out) {
  THAW_TRY(fixture_open(folder, f));
  THAW_TRY(fixture_features(f, comm, out));
  if (write(STDOUT_FILENO, "x", 1) != 1) return thaw_fail(THAW_ERR_RUN, "nobody listens");
  return thaw_features_fill(*out, comm, 1, NULL);
}

static thaw_status compare(fixture *f, thaw_features *features) {
  float *expected = thaw_new(VALUES, sizeof *expected), *got = thaw_new(VALUES, sizeof *got);
  uint64_t sample[FIXTURE_SAMPLES];
  for (int i = 0; i < FIXTURE_SAMPLES; i++) sample[i] = (uint64_t)i;
  THAW_TRY(fixture_expected(f, 1, expected));
  THAW_TRY(thaw_features_read(features, sample, FIXTURE_SAMPLES, 1, got));
  bool same = memcmp(expected, got, VALUES * sizeof *got) == 0;
  thaw_free(expected), thaw_free(got);
  thaw_strings blocks = {0};
  THAW_TRY(fixture_blocks(f, &blocks));
  size_t count = blocks.count;
  thaw_strings_clear(&blocks);
  if (!same || count != 26) return thaw_fail(THAW_ERR_DATA, "features differ, or %zu blocks instead of 26", count);
  return THAW_OK;
}

static int child(int argc, char **argv) {
  thaw_comm *comm;
  fixture f = {0};
  thaw_features *features = NULL;
  char *what = argv[1], *folder = argv[2];
  if (thaw_comm_create(&argc, &argv, &comm) != THAW_OK) return report(THAW_ERR_RUN);
  thaw_status status = fill(folder, comm, &f, &features);
  if (status == THAW_OK && strcmp(what, "check") == 0) status = compare(&f, features);
  thaw_features_close(features);
  fixture_close(&f);
  thaw_comm_destroy(comm);
  return report(status);
}

/* Starts this program again; returns once it is about to fill. */
static pid_t start(const char *what, const char *folder) {
  int ends[2];
  char byte;
  assert_int_equal(pipe(ends), 0);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    execl(program, program, what, folder, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  assert_true(pid > 0 && read(ends[0], &byte, 1) == 1);
  close(ends[0]);
  return pid;
}

static void test_kill(void **context) {
  (void)context;
  char folder[] = "/tmp/thaw-kill-XXXXXX";
  uint32_t state = 9;
  int status, killed = 0;
  assert_non_null(mkdtemp(folder));
  assert_thaw_ok(fixture_write_shard(folder));
  for (int i = 0; i < KILLS; i++) {
    pid_t pid = start("fill", folder);
    state = state * 1664525u + 1013904223u;
    usleep(state % 4000);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    killed += WIFSIGNALED(status);
    if (i % 8 == 7) { /* a later run starts from nothing again */
      char *cache = thaw_path_join(folder, "cache");
      fixture_remove_tree(cache);
      thaw_free(cache);
    }
  }
  assert_true(killed > 0);
  pid_t pid = start("check", folder);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  fixture_remove_tree(folder);
}

int main(int argc, char **argv) {
  program = argv[0];
  if (argc == 3) return child(argc, argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_kill)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
