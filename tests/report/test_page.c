/* metrics.csv, the learning curve, and report.html of run folders in every state. */
#include "thaw_test.h"

#include "report/report_private.h"
#include "thaw/image.h"
#include "thaw/memory.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/thaw-page-XXXXXX";

static const char *const files[] = {"metrics.csv", "job.yaml",    "environment.json",   "evaluation.json",
                                    "summary.txt", "report.html", "learning_curve.png", "confusion.png"};

static char *in_folder(const char *name) {
  char *path = thaw_path_join(folder, name);
  assert_non_null(path);
  return path;
}

static void clear_folder(void) {
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char *path = in_folder(files[i]);
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
  clear_folder();
  return rmdir(folder);
}

static int each(void **state) {
  (void)state;
  clear_folder();
  return 0;
}

static void write_file(const char *name, const char *text) {
  char *path = in_folder(name);
  assert_thaw_ok(thaw_file_write(path, text, strlen(text)));
  thaw_free(path);
}

static bool exists(const char *name) {
  char *path = in_folder(name);
  bool there = thaw_file_exists(path);
  thaw_free(path);
  return there;
}

static char *read_page(void) {
  char *path = in_folder("report.html"), *text;
  size_t size;
  assert_thaw_ok(thaw_file_read(path, 1 << 26, &text, &size));
  thaw_free(path);
  return text;
}

static const char metrics_csv[] = "phase,epoch,step,learning_rate,loss,accuracy,val_loss,val_accuracy,seconds\n"
                                  "1,1,10,0.001,2.0,0.25,2.1,0.2,1.5\n"
                                  "1,2,20,0.001,1.5,0.5,nan,,1.5\n"
                                  "2,3,30,1e-05,1.25,0.6,1.75,0.55,2\n";

static void test_metrics_file(void **state) {
  (void)state;
  write_file("metrics.csv", metrics_csv);
  char *path = in_folder("metrics.csv");
  report_metrics metrics;
  assert_thaw_ok(report_metrics_read(path, &metrics));
  assert_int_equal(metrics.rows, 3);
  assert_int_equal(metrics.columns.count, 9);
  int32_t loss = report_metrics_column(&metrics, "loss"), other = report_metrics_column(&metrics, "val_accuracy");
  assert_true(report_metrics_at(&metrics, 2, loss) == 1.25);
  assert_true(isnan(report_metrics_at(&metrics, 1, other)));
  assert_int_equal(report_metrics_column(&metrics, "val"), -1);
  report_metrics_clear(&metrics);
  write_file("metrics.csv", "a,b\r\n1,2\r\n\r\n3,4");
  assert_thaw_ok(report_metrics_read(path, &metrics));
  assert_int_equal(metrics.rows, 2);
  assert_true(report_metrics_at(&metrics, 1, 1) == 4);
  report_metrics_clear(&metrics);
  write_file("metrics.csv", "a,b\n1\n");
  assert_thaw_fails(report_metrics_read(path, &metrics), THAW_ERR_DATA, "metrics.csv:2: 1 cells, expected 2");
  write_file("metrics.csv", "a,b\n1,2,3\n");
  assert_thaw_fails(report_metrics_read(path, &metrics), THAW_ERR_DATA, "metrics.csv:2: more than the 2 cells");
  write_file("metrics.csv", "a,b\n1,2\n1,x\n");
  assert_thaw_fails(report_metrics_read(path, &metrics), THAW_ERR_DATA, "metrics.csv:3: column 'b' holds 'x'");
  write_file("metrics.csv", "");
  assert_thaw_fails(report_metrics_read(path, &metrics), THAW_ERR_DATA, "metrics.csv: the file is empty");
  thaw_free(path);
}

static void test_curves(void **state) {
  (void)state;
  assert_thaw_fails(thaw_report_curves(folder), THAW_ERR_DATA, "metrics.csv");
  write_file("metrics.csv", "phase,epoch,loss\n");
  assert_thaw_fails(thaw_report_curves(folder), THAW_ERR_DATA, "holds no finished epoch");
  assert_false(exists("learning_curve.png"));
  write_file("metrics.csv", metrics_csv);
  assert_thaw_ok(thaw_report_curves(folder));
  char *path = in_folder("learning_curve.png");
  thaw_image image;
  assert_thaw_ok(thaw_image_read(path, &image));
  assert_int_equal(image.w, 1520);
  assert_int_equal(image.h, 460);
  thaw_image_clear(&image);
  write_file("metrics.csv", "epoch,loss\n1,0.5\n2,0.25\n");
  assert_thaw_ok(thaw_report_curves(folder));
  assert_thaw_ok(thaw_image_read(path, &image));
  assert_int_equal(image.w, 760);
  thaw_image_clear(&image);
  thaw_free(path);
}

/* RFC 4648, section 10. */
static void test_base64(void **state) {
  (void)state;
  static const char *const vectors[][2] = {{"f", "Zg=="},        {"fo", "Zm8="},        {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    thaw_text text = {0};
    report_add_base64(&text, vectors[i][0], strlen(vectors[i][0]));
    assert_string_equal(text.data, vectors[i][1]);
    thaw_text_clear(&text);
  }
}

static void test_page(void **state) {
  (void)state;
  write_file("metrics.csv", metrics_csv);
  write_file("job.yaml", "name: \"A <i>name</i>\"\nseed: 7 # </pre><script>alert(1)</script>\n");
  write_file("summary.txt", "block1_conv1 (Conv2D)  (None, 224, 224, 64)\nTotal: 14,714,688\n");
  write_file("environment.json",
             "{\"thaw\": \"0.1.0\", \"hosts\": [\"n1\", \"<n2>\"], \"digests\": {\"w\": \"00ff\"}}");
  write_file("evaluation.json", "{\"count\": 20, \"loss\": 0.5, \"metrics\": {\"accuracy\": 0.7}, \"accuracy\": 0.7, "
                                "\"accuracy_interval_95\": [0.48, 0.85], \"classes\": [\"c<a>t\", \"d\\\"og\"], "
                                "\"confusion\": [[8, 2], [4, 6]]}");
  assert_thaw_ok(thaw_report_html(folder));
  assert_true(exists("learning_curve.png"));
  assert_true(exists("confusion.png"));
  char *page = read_page();
  static const char *const wanted[] = {"A &lt;i&gt;name&lt;/i&gt;</title>",
                                       "&lt;/pre&gt;&lt;script&gt;",
                                       "Total: 14,714,688\n",
                                       "<th>hosts</th><td>n1, &lt;n2&gt;</td>",
                                       "<th>digests.w</th><td>00ff</td>",
                                       "c&lt;a&gt;t</th><td>0.6667</td><td>0.8000</td><td>0.7273</td><td>10</td>",
                                       "d&quot;og</th>",
                                       "<b>70.00 %</b>",
                                       "95 % interval 48.00",
                                       "<b>1.7500</b><span>in epoch 3",
                                       "data:image/png;base64,iVBORw0KGgo",
                                       "name=viewport",
                                       "<td>0.25</td>"};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    if (!strstr(page, wanted[i])) fail_msg("the page lacks '%s'", wanted[i]);
  static const char *const unwanted[] = {"<script", "http:", "https:", "src=\"//", "<link", "@import", "<i>", "c<a>t"};
  for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
    if (strstr(page, unwanted[i])) fail_msg("the page holds '%s'", unwanted[i]);
  thaw_free(page);
}

/* Any part alone is enough for a page; none is an error. */
static void test_partial(void **state) {
  (void)state;
  assert_thaw_fails(thaw_report_html(folder), THAW_ERR_DATA, "not a run folder");
  assert_false(exists("report.html"));
  assert_thaw_fails(thaw_report_html("/nonexistent/run"), THAW_ERR_DATA, "/nonexistent/run: no such folder");
  static const char *const parts[][2] = {{"job.yaml", "not: [yaml"},
                                         {"summary.txt", "text"},
                                         {"environment.json", "[1, {\"a\": 2}]"},
                                         {"metrics.csv", "loss\n1\n"},
                                         {"evaluation.json", "{\"loss\": null, \"classes\": 3, \"confusion\": []}"}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    clear_folder();
    write_file(parts[i][0], parts[i][1]);
    assert_thaw_ok(thaw_report_html(folder));
    assert_true(exists("report.html"));
  }
}

static void test_broken(void **state) {
  (void)state;
  static const char *const parts[][3] = {
      {"evaluation.json", "{\"confusion\": [[1, 2], [3]]}", "evaluation.json:1: confusion is not square"},
      {"evaluation.json", "{\"confusion\": [[1, 2], [3, -4]]}", "something else than counts"},
      {"evaluation.json", "{\"confusion\": [[1, 2], [3, \"x\"]]}", "something else than counts"},
      {"evaluation.json", "{\"loss\": ", "evaluation.json:2: not YAML"},
      {"evaluation.json", "[1]", "not an evaluation"},
      {"environment.json", "{", "environment.json:2: not YAML"},
      {"metrics.csv", "a\nb\n", "metrics.csv:2: column 'a' holds 'b'"}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    clear_folder();
    write_file(parts[i][0], parts[i][1]);
    assert_thaw_fails(thaw_report_html(folder), THAW_ERR_DATA, parts[i][2]);
    assert_non_null(strstr(thaw_message(), folder));
    assert_false(exists("report.html"));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_metrics_file, each), cmocka_unit_test_setup(test_curves, each),
      cmocka_unit_test_setup(test_base64, each),       cmocka_unit_test_setup(test_page, each),
      cmocka_unit_test_setup(test_partial, each),      cmocka_unit_test_setup(test_broken, each),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
