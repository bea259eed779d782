/* Grad-CAM against Keras (make_golden.py), overlays, nearest samples. */
#include "thaw_test.h"

#include "thaw/explain.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/weights.h"

#include <math.h>

enum { IMAGES = 3, PIXELS = 12 * 10 * 3, CLASSES = 4 };

static thaw_graph *read_model(void) {
  thaw_graph *graph;
  int32_t last;
  char digest[65];
  const char *path = THAW_TEST_DATA "/model.h5";
  assert_thaw_ok(thaw_weights_read_model(path, NULL, NULL, &graph, &last));
  assert_thaw_ok(thaw_graph_bind(graph));
  assert_thaw_ok(thaw_weights_load(graph, path, NULL, digest));
  return graph;
}

static void read_golden(const char *name, thaw_h5_type type, int64_t count, void *out) {
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/grad_cam.h5", &file));
  assert_thaw_ok(thaw_h5_read(file, name, type, count, out));
  thaw_h5_close(file);
}

static void check_layer(const char *name, const char *isa_name) {
  float x[IMAGES * PIXELS], y[IMAGES * CLASSES], expected_y[IMAGES * CLASSES], maps[IMAGES * 120],
      expected[IMAGES * 120];
  int32_t target[IMAGES], h, w;
  const thaw_isa *isa;
  thaw_grad_cam *cam;
  thaw_graph *graph = read_model();
  if (thaw_isa_select(isa_name, &isa) != THAW_OK) {
    thaw_graph_destroy(graph);
    return;
  }
  read_golden("/x", THAW_H5_F32, IMAGES * PIXELS, x);
  read_golden("/y", THAW_H5_F32, IMAGES * CLASSES, expected_y);
  read_golden("/target", THAW_H5_I32, IMAGES, target);
  target[0] = -1; /* the golden's is the largest output */
  assert_thaw_ok(thaw_grad_cam_create(graph, thaw_graph_find(graph, name), isa, IMAGES, &cam));
  thaw_grad_cam_size(cam, &h, &w);
  assert_thaw_ok(thaw_grad_cam_run(cam, x, IMAGES, target, y, maps));
  char dataset[32];
  snprintf(dataset, sizeof dataset, "/%s", name);
  read_golden(dataset, THAW_H5_F32, (int64_t)IMAGES * h * w, expected);
  for (int32_t i = 0; i < IMAGES * CLASSES; i++) assert_true(fabsf(y[i] - expected_y[i]) < 1e-6f);
  for (int32_t i = 0; i < IMAGES * h * w; i++)
    if (fabsf(maps[i] - expected[i]) > 2e-5f) fail_msg("%s[%d]: %g, Keras has %g", name, i, maps[i], expected[i]);
  thaw_grad_cam_destroy(cam);
  thaw_graph_destroy(graph);
}

static void test_grad_cam(void **state) {
  (void)state;
  static const char *const layers[] = {"first", "inner", "sum", "last"};
  for (int i = 0; i < 4; i++) {
    check_layer(layers[i], "avx2");
    check_layer(layers[i], "avx512");
  }
}

static void test_layers(void **state) {
  (void)state;
  thaw_graph *graph = read_model();
  thaw_grad_cam *cam;
  const thaw_isa *isa;
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_int_equal(thaw_grad_cam_layer(graph), thaw_graph_find(graph, "last"));
  assert_thaw_fails(thaw_grad_cam_create(graph, thaw_graph_find(graph, "hidden"), isa, 1, &cam), THAW_ERR_USAGE,
                    "hidden");
  assert_null(cam);
  thaw_graph_destroy(graph);
}

static void test_overlay(void **state) {
  (void)state;
  uint8_t pixels[4 * 4 * 3];
  memset(pixels, 100, sizeof pixels);
  const thaw_image picture = {.h = 4, .w = 4, .c = 3, .bits = 8, .pixels = pixels};
  const float none[4] = {0}, all[4] = {1, 1, 1, 1};
  thaw_image out;
  assert_thaw_ok(thaw_heat_overlay(&picture, none, 2, 2, 0.5, &out));
  assert_memory_equal(out.pixels, pixels, sizeof pixels);
  thaw_image_clear(&out);
  assert_thaw_ok(thaw_heat_overlay(&picture, all, 2, 2, 0.5, &out));
  const uint8_t *to = out.pixels; /* jet's dark red (127.5, 0, 0), half over 100 */
  assert_in_range(to[0], 113, 114);
  assert_int_equal(to[1], 50);
  assert_int_equal(to[2], 50);
  thaw_image_clear(&out);
}

static void test_nearest(void **state) {
  (void)state;
  const float query[2][2] = {{2, 0}, {1, 1}};
  const float candidate[5][2] = {{0, 3}, {1, 0}, {5, 5}, {2, 2}, {-1, 0}};
  thaw_nearest_samples nearest;
  assert_thaw_ok(thaw_nearest_create(query[0], 2, 2, 3, &nearest));
  for (int64_t i = 0; i < 5; i++) thaw_nearest_offer(&nearest, 10 + i, candidate[i]);
  const int64_t expected[] = {11, 12, 13, 12, 13, 10};
  for (int i = 0; i < 6; i++) assert_int_equal(nearest.sample[i], expected[i]);
  assert_true(fabs(nearest.similarity[0] - 1) < 1e-6 && fabs(nearest.similarity[1] - sqrt(0.5)) < 1e-6);
  thaw_nearest_clear(&nearest);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_grad_cam), cmocka_unit_test(test_layers),
                                     cmocka_unit_test(test_overlay), cmocka_unit_test(test_nearest)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
