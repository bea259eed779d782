/* Style transfer against Keras (make_golden.py, real VGG16), windows against the whole picture, ranks against each
 * other, the gradient against finite differences. */
#include "thaw_mpi_test.h"

#include "thaw/digest.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/memory.h"
#include "thaw/style.h"

#include <stdlib.h>

static const thaw_isa *isa;

/* The pictures of make_golden.py. */
static thaw_image picture(int32_t h, int32_t w, int32_t a, int32_t b, int32_t c) {
  thaw_image out = {.h = h, .w = w, .c = 3, .bits = 8, .pixels = thaw_new((size_t)h * (size_t)w, 3)};
  uint8_t *to = out.pixels;
  assert_non_null(to);
  for (int32_t y = 0; y < h; y++)
    for (int32_t x = 0; x < w; x++)
      for (int32_t k = 0; k < 3; k++) *to++ = (uint8_t)((a * y * y + b * x * (k + 1) + c * x * y) % 256);
  return out;
}

typedef struct trial {
  thaw_style *style;
  double *x, *gradient;
  size_t n;
} trial;

static trial trial_create(const char *weights, int32_t h, int32_t w, int32_t window) {
  thaw_image content = picture(h, w, 3, 5, 1), style = picture(80, 112, 1, 7, 2), start = picture(h, w, 2, 3, 1);
  thaw_style_config config = thaw_style_defaults("vgg16");
  trial t = {.n = (size_t)h * (size_t)w * 3};
  config.weights = weights;
  config.window = window;
  if (!weights) config.style_weight = 1e4; /* random networks have small outputs */
  assert_thaw_ok(thaw_style_create(test_comm, &config, isa, &content, &style, NULL, &t.style));
  t.x = thaw_new(t.n, sizeof *t.x);
  t.gradient = thaw_new(t.n, sizeof *t.gradient);
  assert_true(t.x && t.gradient);
  thaw_style_encode(&start, t.x);
  for (size_t i = 0; i < t.n; i++) t.x[i] *= 0.5;
  thaw_image_clear(&content);
  thaw_image_clear(&style);
  thaw_image_clear(&start);
  return t;
}

static void trial_clear(trial *t) {
  thaw_style_destroy(t->style);
  thaw_free(t->x);
  thaw_free(t->gradient);
}

static double norm(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

static void read_golden(const char *name, int64_t count, float *out) {
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/style.h5", &file));
  assert_thaw_ok(thaw_h5_read(file, name, THAW_H5_F32, count, out));
  thaw_h5_close(file);
}

enum { KEPT = 381, APART = 97 };

static void test_keras(void **state) {
  (void)state;
  const char *weights = THAW_SHARED_DATA "/weights/vgg16_imagenet_notop.h5";
  if (!thaw_file_exists(weights)) {
    print_message("%s is not there: the comparison with Keras is skipped\n", weights);
    skip();
  }
  float losses[3], gradient[KEPT], length;
  thaw_style_loss loss;
  trial t = trial_create(weights, 96, 128, 512);
  read_golden("/losses", 3, losses);
  read_golden("/gradient", KEPT, gradient);
  read_golden("/gradient_norm", 1, &length);
  assert_thaw_ok(thaw_style_evaluate(t.style, t.x, t.gradient, &loss));
  assert_true(fabs(loss.content / losses[0] - 1) < 1e-5);
  assert_true(fabs(loss.style / losses[1] - 1) < 1e-5);
  assert_true(fabs(loss.variation / losses[2] - 1) < 1e-5);
  assert_true(fabs(norm(t.gradient, t.n) / length - 1) < 1e-4);
  float found[KEPT];
  for (int i = 0; i < KEPT; i++) found[i] = (float)t.gradient[(size_t)i * APART];
  double difference = thaw_test_relative_l2(found, gradient, KEPT);
  if (!(difference < 1e-3)) fail_msg("gradient: relative L2 difference %g", difference);
  trial_clear(&t);
}

/* Windows of 208 pixels over 224 x 240 in place of one: the same losses and gradient up to rounding. */
static void test_windows(void **state) {
  (void)state;
  thaw_style_loss whole_loss, loss;
  trial whole = trial_create(NULL, 224, 240, 512), t = trial_create(NULL, 224, 240, 208);
  assert_int_equal(thaw_style_windows(whole.style), 1);
  assert_true(thaw_style_windows(t.style) == 4);
  assert_thaw_ok(thaw_style_evaluate(whole.style, whole.x, whole.gradient, &whole_loss));
  assert_thaw_ok(thaw_style_evaluate(t.style, t.x, t.gradient, &loss));
  assert_true(whole_loss.style > 0 && whole_loss.content > 0);
  assert_true(fabs(loss.style / whole_loss.style - 1) < 1e-5);
  assert_true(fabs(loss.content / whole_loss.content - 1) < 1e-5);
  double length = norm(whole.gradient, whole.n);
  for (size_t i = 0; i < t.n; i++) t.gradient[i] -= whole.gradient[i];
  if (!(norm(t.gradient, t.n) < 1e-4 * length)) fail_msg("%g of %g", norm(t.gradient, t.n), length);
  trial_clear(&whole);
  trial_clear(&t);
}

/* Along one direction, where the loss is smooth enough. */
static void test_gradient(void **state) {
  (void)state;
  thaw_style_loss low, high;
  trial t = trial_create(NULL, 48, 64, 512);
  double *direction = thaw_new(t.n, sizeof *direction), *moved = thaw_new(t.n, sizeof *moved), slope = 0;
  assert_true(direction && moved);
  assert_thaw_ok(thaw_style_evaluate(t.style, t.x, t.gradient, &low));
  double length = norm(t.gradient, t.n);
  memcpy(direction, t.gradient, t.n * sizeof *direction);
  for (size_t i = 0; i < t.n; i++) slope += direction[i] * t.gradient[i] / length;
  for (int side = -1; side <= 1; side += 2) {
    for (size_t i = 0; i < t.n; i++) moved[i] = t.x[i] + side * direction[i] / length;
    assert_thaw_ok(thaw_style_evaluate(t.style, moved, t.gradient, side < 0 ? &low : &high));
  }
  double measured = (high.content + high.style + high.variation - low.content - low.style - low.variation) / 2;
  if (!(fabs(measured / slope - 1) < 0.01)) fail_msg("finite differences %g, gradient %g", measured, slope);
  thaw_free(direction);
  thaw_free(moved);
  trial_clear(&t);
}

/* A few steps end in the same bits on every number of ranks: the digest of one rank's run, which comes first, is kept
 * in a file for the others. */
static void run_to_digest(thaw_style_optimizer optimizer, char out[65]) {
  trial t = trial_create(NULL, 224, 240, 208);
  thaw_style_loss first, last;
  const thaw_style_run run = {.optimizer = optimizer, .learning_rate = 2, .steps = 3};
  int32_t steps;
  assert_thaw_ok(thaw_style_evaluate(t.style, t.x, t.gradient, &first));
  assert_thaw_ok(thaw_style_minimize(t.style, &run, t.x, &steps));
  assert_int_equal(steps, 3);
  assert_thaw_ok(thaw_style_evaluate(t.style, t.x, t.gradient, &last));
  /* Adam's first steps may overshoot; a line search does not. */
  if (optimizer == THAW_STYLE_LBFGS)
    assert_true(last.style + last.content + last.variation < first.style + first.content + first.variation);
  thaw_digest *digest;
  assert_thaw_ok(thaw_digest_create(&digest));
  thaw_digest_add(digest, t.x, t.n * sizeof *t.x);
  thaw_digest_finish(digest, out);
  assert_thaw_ok(thaw_agree_same(test_comm, "picture", out));
  trial_clear(&t);
}

static void test_same_bits(void **state) {
  (void)state;
  static const char *const name[] = {"lbfgs", "adam"};
  for (int i = 0; i < 2; i++) {
    char digest[65], *kept = NULL;
    size_t size;
    run_to_digest(i ? THAW_STYLE_ADAM : THAW_STYLE_LBFGS, digest);
    if (thaw_comm_rank(test_comm) != 0) continue;
    char path[64];
    snprintf(path, sizeof path, "style-%s.digest", name[i]);
    if (thaw_comm_size(test_comm) == 1) {
      assert_thaw_ok(thaw_file_write(path, digest, 64));
    } else {
      assert_thaw_ok(thaw_file_read(path, 100, &kept, &size));
      assert_string_equal(kept, digest);
      thaw_free(kept);
    }
  }
}

static void test_errors(void **state) {
  (void)state;
  thaw_image content = picture(64, 64, 1, 2, 3), odd = picture(64, 50, 1, 2, 3);
  thaw_style_config config = thaw_style_defaults("vgg16");
  thaw_style *style;
  assert_thaw_fails(thaw_style_create(test_comm, &config, isa, &content, &odd, NULL, &style), THAW_ERR_INTERNAL,
                    "64 x 50");
  config.content_layer = "block9_conv1";
  assert_thaw_fails(thaw_style_create(test_comm, &config, isa, &content, &content, NULL, &style), THAW_ERR_USAGE,
                    "block9_conv1");
  config = thaw_style_defaults("resnet50");
  assert_thaw_fails(thaw_style_create(test_comm, &config, isa, &content, &content, NULL, &style), THAW_ERR_USAGE,
                    "resnet50");
  assert_null(style);
  thaw_image_clear(&content);
  thaw_image_clear(&odd);
}

/* Grey keeps the brightness and takes the hue. */
static void test_colours(void **state) {
  (void)state;
  uint8_t grey[3] = {90, 90, 90}, red[3] = {200, 50, 50};
  thaw_image picture_grey = {.h = 1, .w = 1, .c = 3, .bits = 8, .pixels = grey};
  const thaw_image picture_red = {.h = 1, .w = 1, .c = 3, .bits = 8, .pixels = red};
  thaw_style_keep_colours(&picture_grey, &picture_red);
  double y = 0.299 * grey[0] + 0.587 * grey[1] + 0.114 * grey[2];
  assert_true(fabs(y - 90) < 1 && grey[0] > grey[1] + 100);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_keras),    cmocka_unit_test(test_windows),
                                     cmocka_unit_test(test_gradient), cmocka_unit_test(test_same_bits),
                                     cmocka_unit_test(test_errors),   cmocka_unit_test(test_colours)};
  if (thaw_isa_select(NULL, &isa) != THAW_OK) return 1;
  thaw_mpi_main(tests, argc, argv);
}
