/* PaDiM and PatchCore against numpy, scipy, scikit-learn and torch on features of Keras (make_golden.py); model files;
 * the greedy selection against a plain one; what cannot be learnt from. */
#include "thaw_mpi_test.h"

#include "thaw/anomaly.h"
#include "thaw/h5.h"
#include "thaw/kernel.h"
#include "thaw/memory.h"
#include "thaw/rng.h"

#include <stdlib.h>

enum { NORMAL = 20, TEST = 3, H = 12, W = 10, PIXELS = H * W };
static const char model_path[] = THAW_TEST_DATA "/../explain/model.h5";

static void read_golden(const char *name, thaw_h5_type type, int64_t count, void *out) {
  thaw_h5 *file;
  assert_thaw_ok(thaw_h5_open(THAW_TEST_DATA "/anomaly.h5", &file));
  assert_thaw_ok(thaw_h5_read(file, name, type, count, out));
  thaw_h5_close(file);
}

typedef struct pictures {
  int32_t value[NORMAL * PIXELS * 3];
  int64_t count;
  int32_t bright; /* factor, to be undone by value_max */
} pictures;

static thaw_status give(void *context, int64_t index, thaw_image *out, double *value_max) {
  const pictures *p = context;
  *out = (thaw_image){.h = H, .w = W, .c = 3, .bits = 16, .pixels = thaw_new(PIXELS * 3, 2)};
  if (!out->pixels) return THAW_ERR_MEMORY;
  for (size_t i = 0; i < PIXELS * 3; i++)
    ((uint16_t *)out->pixels)[i] = (uint16_t)(p->value[(size_t)index * PIXELS * 3 + i] * p->bright);
  *value_max = 255.0 * p->bright;
  return THAW_OK;
}

static const char *call(void *context, int64_t index) {
  static char name[32];
  (void)context;
  snprintf(name, sizeof name, "picture %d", (int)index);
  return name;
}

static thaw_anomaly_config small_config(thaw_anomaly_method method) {
  thaw_anomaly_config config = thaw_anomaly_defaults();
  config.method = method;
  config.weights = model_path;
  config.layer[0] = "first";
  config.layer[1] = "last";
  config.layers = 2;
  config.scale = false;
  config.dimensions = 0;
  config.coreset = 1;
  config.projection = 0;
  config.neighbours = 5;
  config.smooth = 0;
  config.held_out = 0;
  return config;
}

static thaw_anomaly *fit(const thaw_anomaly_config *config) {
  static pictures normal;
  const thaw_isa *isa;
  thaw_anomaly *model;
  normal.count = NORMAL;
  normal.bright = 16;
  read_golden("/normal", THAW_H5_I32, NORMAL * PIXELS * 3, normal.value);
  const thaw_anomaly_source source = {.count = NORMAL, .context = &normal, .image = give, .name = call};
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_ok(thaw_anomaly_fit(test_comm, config, isa, &source, NULL, &model));
  return model;
}

/* Maps and scores of the test pictures; expected may be NULL. */
static void check(thaw_anomaly *model, const char *maps_name, const char *scores_name, double tolerance) {
  static pictures test;
  float maps[TEST * PIXELS], scores[TEST];
  test.bright = 1;
  read_golden("/test", THAW_H5_I32, TEST * PIXELS * 3, test.value);
  read_golden(maps_name, THAW_H5_F32, TEST * PIXELS, maps);
  if (scores_name) read_golden(scores_name, THAW_H5_F32, TEST, scores);
  bool ok = true;
  for (int64_t i = 0; i < TEST; i++) {
    thaw_image picture;
    thaw_anomaly_map map;
    double value_max = 0;
    assert_thaw_ok(give(&test, i, &picture, &value_max));
    assert_thaw_ok(thaw_anomaly_score(model, &picture, value_max, &map));
    assert_int_equal(map.h, H);
    assert_int_equal(map.w, W);
    for (size_t k = 0; k < PIXELS; k++) {
      double expected = maps[(size_t)i * PIXELS + k], difference = fabs(map.value[k] - expected);
      if (difference <= tolerance * (expected + 1)) continue;
      fprintf(stderr, "%s[%d][%zu]: %g, expected %g\n", maps_name, (int)i, k, (double)map.value[k], expected);
      ok = false;
      break;
    }
    if (scores_name && !(fabs(map.score - (double)scores[i]) <= tolerance * (1 + (double)scores[i]))) {
      fprintf(stderr, "%s[%d]: %g, expected %g\n", scores_name, (int)i, map.score, (double)scores[i]);
      ok = false;
    }
    thaw_free(map.value);
    thaw_image_clear(&picture);
  }
  assert_all_ranks(ok);
}

static void test_padim(void **state) {
  (void)state;
  thaw_anomaly_config config = small_config(THAW_ANOMALY_PADIM);
  thaw_anomaly *model = fit(&config);
  check(model, "/padim_map", NULL, 2e-4);
  thaw_anomaly_destroy(model);
  config.smooth = 2;
  model = fit(&config);
  check(model, "/padim_smooth", "/padim_score", 2e-4);
  thaw_anomaly_destroy(model);
}

static void test_coarse(void **state) {
  (void)state;
  thaw_anomaly_config config = small_config(THAW_ANOMALY_PADIM);
  config.layer[0] = "last";
  config.layers = 1;
  config.shrinkage = 0.5;
  thaw_anomaly *model = fit(&config);
  check(model, "/coarse_map", NULL, 2e-4);
  thaw_anomaly_destroy(model);
}

static void test_patchcore(void **state) {
  (void)state;
  thaw_anomaly_config config = small_config(THAW_ANOMALY_PATCHCORE);
  thaw_anomaly *model = fit(&config);
  check(model, "/patchcore_map", "/patchcore_score", 1e-4);
  thaw_anomaly_destroy(model);
}

/* A saved model scores as the one that was saved; a picture of one window is the picture. */
static void test_file(void **state) {
  (void)state;
  const thaw_isa *isa;
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  for (int method = 0; method < 2; method++) {
    thaw_anomaly_config config = small_config((thaw_anomaly_method)method);
    config.tile = 100; /* larger than the picture */
    config.stride = 50;
    char path[64];
    snprintf(path, sizeof path, "anomaly-%d-of-%d.h5", method, thaw_comm_size(test_comm));
    thaw_anomaly *model = fit(&config), *loaded;
    assert_all_ranks(thaw_comm_rank(test_comm) != 0 || thaw_anomaly_save(model, path) == THAW_OK);
    thaw_anomaly_destroy(model);
    assert_thaw_ok(thaw_anomaly_load(test_comm, path, NULL, isa, NULL, &loaded));
    check(loaded, method ? "/patchcore_map" : "/padim_map", method ? "/patchcore_score" : NULL, 2e-4);
    thaw_anomaly_destroy(loaded);
    assert_thaw_ok(thaw_comm_barrier(test_comm));
    if (thaw_comm_rank(test_comm) == 0) remove(path);
  }
}

static double square_distance(const float *a, const float *b, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; i++) sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
  return sum;
}

static int64_t row_of(const float *bank, int64_t rows, const float *x, int64_t width) {
  for (int64_t i = 0; i < rows; i++)
    if (memcmp(bank + i * width, x, (size_t)width * sizeof *x) == 0) return i;
  return -1;
}

static float *read_bank(const thaw_anomaly_config *config, int64_t *rows) {
  char path[64];
  thaw_h5 *file;
  thaw_h5_info info;
  thaw_anomaly *model = fit(config);
  snprintf(path, sizeof path, "bank-%d-of-%d.h5", thaw_comm_rank(test_comm), thaw_comm_size(test_comm));
  assert_thaw_ok(thaw_anomaly_save(model, path));
  thaw_anomaly_destroy(model);
  assert_thaw_ok(thaw_h5_open(path, &file));
  assert_thaw_ok(thaw_h5_describe(file, "/bank", &info));
  *rows = info.dim[0];
  float *bank = thaw_new((size_t)info.count, sizeof *bank);
  assert_non_null(bank);
  assert_thaw_ok(thaw_h5_read(file, "/bank", THAW_H5_F32, info.count, bank));
  thaw_h5_close(file);
  remove(path);
  return bank;
}

/* The kept patches are those of a plain farthest-first traversal over all patches. */
static void test_coreset(void **state) {
  (void)state;
  thaw_anomaly_config config = small_config(THAW_ANOMALY_PATCHCORE);
  int64_t all_rows, rows, width = 16;
  float *all = read_bank(&config, &all_rows);
  assert_int_equal(all_rows, NORMAL * PIXELS);
  config.coreset = 0.02;
  config.seed = 3;
  float *bank = read_bank(&config, &rows);
  assert_int_equal(rows, 48);
  double *distance = thaw_new((size_t)all_rows, sizeof *distance);
  assert_non_null(distance);
  int64_t next = (int64_t)thaw_permute(3, 1, (uint64_t)all_rows, 0);
  for (int64_t i = 0; i < all_rows; i++) distance[i] = INFINITY;
  bool ok = true;
  for (int64_t taken = 0; taken < rows; taken++) {
    ok = ok && row_of(bank, rows, all + next * width, width) >= 0;
    int64_t farthest = 0;
    for (int64_t i = 0; i < all_rows; i++) {
      double d = square_distance(all + i * width, all + next * width, width);
      if (d < distance[i]) distance[i] = d;
      if (distance[i] > distance[farthest]) farthest = i;
    }
    next = farthest;
  }
  assert_all_ranks(ok);
  thaw_free(all);
  thaw_free(bank);
  thaw_free(distance);
}

/* A power of two per layer changes PatchCore's distances of one layer by just that. */
static void test_scale(void **state) {
  (void)state;
  thaw_anomaly_config config = small_config(THAW_ANOMALY_PATCHCORE);
  config.layers = 1;
  int64_t rows, scaled_rows;
  float *plain = read_bank(&config, &rows);
  config.scale = true;
  float *scaled = read_bank(&config, &scaled_rows);
  assert_int_equal(rows, scaled_rows);
  double square = 0;
  float factor = 0;
  bool ok = true;
  for (int64_t i = 0; i < rows * 8; i++) {
    if (plain[i] != 0 && factor == 0) factor = scaled[i] / plain[i];
    ok = ok && scaled[i] == plain[i] * factor;
    square += (double)scaled[i] * (double)scaled[i];
  }
  int exponent;
  ok = ok && frexpf(factor, &exponent) == 0.5f && sqrt(square / (double)(rows * 8)) > 0.5 &&
       sqrt(square / (double)(rows * 8)) < 2;
  assert_all_ranks(ok);
  thaw_free(plain);
  thaw_free(scaled);
}

static void refused(const thaw_anomaly_config *config, const pictures *from, thaw_status code, const char *part) {
  const thaw_isa *isa;
  thaw_anomaly *model;
  const thaw_anomaly_source source = {.count = from->count, .context = (void *)from, .image = give, .name = call};
  assert_thaw_ok(thaw_isa_select(NULL, &isa));
  assert_thaw_fails(thaw_anomaly_fit(test_comm, config, isa, &source, NULL, &model), code, part);
  assert_null(model);
}

static void test_refused(void **state) {
  (void)state;
  static pictures from = {.count = 3, .bright = 1};
  thaw_anomaly_config config = small_config(THAW_ANOMALY_PADIM);
  refused(&config, &from, THAW_ERR_DATA, "3 normal images of which 0 are held out");
  from.count = 6;
  config.layer[1] = "lats";
  refused(&config, &from, THAW_ERR_USAGE, "did you mean 'last'");
  config.layer[1] = "hidden";
  refused(&config, &from, THAW_ERR_USAGE, "its output is no image");
  config.layer[1] = "first";
  refused(&config, &from, THAW_ERR_USAGE, "named twice");
  config.layer[1] = "last";
  config.shrinkage = 0; /* 6 equal pictures have no covariance */
  refused(&config, &from, THAW_ERR_DATA, "singular at position (0, 0)");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_padim),     cmocka_unit_test(test_coarse),
                                     cmocka_unit_test(test_patchcore), cmocka_unit_test(test_file),
                                     cmocka_unit_test(test_coreset),   cmocka_unit_test(test_scale),
                                     cmocka_unit_test(test_refused)};
  thaw_mpi_main(tests, argc, argv);
}
