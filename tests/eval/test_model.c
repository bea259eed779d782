/* thaw/predict.h: models that Keras wrote, with Keras' predictions, from several threads at once. */
#include "thaw_test.h"

#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/predict.h"

#include <pthread.h>

#define MODELS THAW_TEST_DATA "/../weights/models/"

enum { N = 3, H = 12, OUTPUTS = 3, THREADS = 4, COPIES = 20 };

typedef struct work {
  thaw_model *model;
  const float *x, *y;
  double difference;
} work;

/* More images than one batch holds, again and again. */
static void *predict_many(void *argument) {
  work *w = argument;
  size_t values = (size_t)N * H * H * 3;
  float *x = thaw_new(COPIES * values, sizeof *x), y[COPIES * N * OUTPUTS];
  for (int i = 0; x && i < COPIES; i++) memcpy(x + (size_t)i * values, w->x, values * sizeof *x);
  w->difference = x ? 0 : INFINITY;
  for (int repeat = 0; x && repeat < 3; repeat++) {
    if (thaw_model_predict(w->model, x, COPIES * N, y) != THAW_OK) w->difference = INFINITY;
    for (int i = 0; i < COPIES; i++)
      w->difference = fmax(w->difference, thaw_test_max_difference(y + i * N * OUTPUTS, w->y, N * OUTPUTS));
  }
  thaw_free(x);
  return NULL;
}

static void check(const char *path, const float *x, const float *y) {
  thaw_model *model;
  pthread_t thread[THREADS];
  work share[THREADS];
  int32_t h, w, c;
  assert_thaw_ok(thaw_model_load(path, &model));
  thaw_model_input(model, &h, &w, &c);
  assert_true(h == H && w == H && c == 3);
  assert_int_equal(thaw_model_outputs(model), OUTPUTS);
  assert_string_equal(thaw_model_class(model, 0), "");
  for (int i = 0; i < THREADS; i++) {
    share[i] = (work){.model = model, .x = x, .y = y};
    assert_int_equal(pthread_create(&thread[i], NULL, predict_many, &share[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    assert_true(share[i].difference <= 1e-6);
  }
  assert_thaw_fails(thaw_model_predict(model, NULL, 1, NULL), THAW_ERR_USAGE, "images");
  thaw_model_free(model);
}

static void test_predictions(void **state) {
  (void)state;
  thaw_h5 *h5;
  float x[N * H * H * 3], y[N * OUTPUTS];
  assert_thaw_ok(thaw_h5_open(MODELS "expected.h5", &h5));
  assert_thaw_ok(thaw_h5_read(h5, "/nested/x", THAW_H5_F32, N * H * H * 3, x));
  assert_thaw_ok(thaw_h5_read(h5, "/nested/y", THAW_H5_F32, N * OUTPUTS, y));
  thaw_h5_close(h5);
  check(MODELS "nested.keras", x, y);
  check(MODELS "nested.h5", x, y);
}

static void test_refusals(void **state) {
  (void)state;
  thaw_model *model;
  assert_thaw_fails(thaw_model_load(MODELS "missing.h5", &model), THAW_ERR_DATA, "missing.h5");
  assert_thaw_fails(thaw_model_load(MODELS, &model), THAW_ERR_DATA, "thaw export");
  assert_thaw_fails(thaw_model_load(MODELS "unsupported.h5", &model), THAW_ERR_DATA, "Conv2DTranspose");
  assert_null(model);
  thaw_model_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_predictions),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
