/* Early stopping and ReduceLROnPlateau against the decisions of Keras 3.15.1's callbacks on the same series of values.
 */
#include "thaw_test.h"

#include "train/trainer_private.h"

enum { EPOCHS = 24 };
static char monitor[] = "val_loss";

typedef struct callback_case {
  thaw_early_stopping_config early;
  thaw_reduce_lr_config reduce;
  double value[EPOCHS];
  int64_t stop; /* epoch after which Keras stops */
  double rate[EPOCHS];
} callback_case;

static const callback_case cases[] = {
    {{.enabled = true, .monitor = monitor, .patience = 3, .min_delta = 0, .mode = 0, .start_from_epoch = 0},
     {.enabled = true,
      .monitor = monitor,
      .factor = 0.5,
      .patience = 2,
      .cooldown = 0,
      .min_delta = 0,
      .min_lr = 0,
      .mode = 0},
     {0.8797, 0.7813, 0.9227, 1.0031, 1.0904, 0.9165, 0.7971, 0.7423, 0.9523, 1.0652, 0.8409, 0.595,
      0.6163, 0.98,   0.7504, 0.4402, 0.6674, 0.4855, 0.5456, 0.5468, 0.493,  0.663,  0.5505, 0.4516},
     4,
     {0.01,     0.01,      0.01,      0.005,      0.005,      0.0025,     0.0025,     0.0025,
      0.0025,   0.00125,   0.00125,   0.00125,    0.00125,    0.000625,   0.000625,   0.000625,
      0.000625, 0.0003125, 0.0003125, 0.00015625, 0.00015625, 7.8125e-05, 7.8125e-05, 3.90625e-05}},
    {{.enabled = true, .monitor = monitor, .patience = 4, .min_delta = 0.05, .mode = 0, .start_from_epoch = 0},
     {.enabled = true,
      .monitor = monitor,
      .factor = 0.3,
      .patience = 1,
      .cooldown = 2,
      .min_delta = 0.02,
      .min_lr = 0.0001,
      .mode = 0},
     {1.0614, 1.1145, 0.7335, 0.9315, 0.8129, 0.924,  0.7466, 0.9331, 0.9143, 0.8643, 0.7428, 0.8306,
      0.7163, 0.6667, 0.8937, 0.6836, 1.0155, 0.9375, 0.5203, 0.8508, 0.6347, 0.795,  0.7865, 0.4717},
     6,
     {0.01,   0.003,  0.003,  0.0009, 0.0009, 0.00027, 0.00027, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001,
      0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001,  0.0001,  0.0001, 0.0001, 0.0001, 0.0001, 0.0001}},
    {{.enabled = true, .monitor = monitor, .patience = 0, .min_delta = 0, .mode = 0, .start_from_epoch = 0},
     {.enabled = true,
      .monitor = monitor,
      .factor = 0.1,
      .patience = 3,
      .cooldown = 1,
      .min_delta = 0.0001,
      .min_lr = 0,
      .mode = 0},
     {0.965,  0.9316, 1.0843, 0.7328, 0.9907, 0.6852, 0.7703, 0.6639, 0.9773, 0.8152, 1.0648, 0.7663,
      0.7667, 0.7361, 0.489,  0.5395, 0.7226, 0.4305, 0.4883, 0.4268, 0.4914, 0.3153, 0.3171, 0.3464},
     2,
     {0.01,  0.01,   0.01,   0.01,   0.01,   0.01,   0.01,   0.01,   0.01,   0.01,   0.001,  0.001,
      0.001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001, 0.0001}},
    {{.enabled = true, .monitor = monitor, .patience = 5, .min_delta = 0, .mode = 0, .start_from_epoch = 4},
     {.enabled = true,
      .monitor = monitor,
      .factor = 0.7,
      .patience = 2,
      .cooldown = 0,
      .min_delta = 0,
      .min_lr = 0.0005,
      .mode = 0},
     {1.0155, 0.8903, 1.1744, 0.8652, 0.8998, 0.9076, 1.265,  1.0859, 1.0143, 1.0096, 1.2632, 1.0618,
      1.0492, 1.3521, 1.1005, 1.2516, 1.319,  1.2732, 1.3519, 1.5808, 1.3225, 1.2311, 1.1645, 1.4293},
     9,
     {0.01,       0.01,        0.01,        0.01,       0.01,       0.007,     0.007,     0.0049,
      0.0049,     0.00343,     0.00343,     0.002401,   0.002401,   0.0016807, 0.0016807, 0.00117649,
      0.00117649, 0.000823543, 0.000823543, 0.00057648, 0.00057648, 0.0005,    0.0005,    0.0005}},
    {{.enabled = true, .monitor = monitor, .patience = 2, .min_delta = 0.01, .mode = 2, .start_from_epoch = 0},
     {.enabled = true,
      .monitor = monitor,
      .factor = 0.5,
      .patience = 2,
      .cooldown = 1,
      .min_delta = 0.01,
      .min_lr = 0,
      .mode = 2},
     {0.9472, 1.0498, 0.9504, 0.9582, 0.9318, 0.972,  1.084, 1.0129, 1.0951, 1.3752, 1.1719, 0.8736,
      1.38,   1.1822, 0.9988, 1.2861, 1.1626, 1.0777, 1.085, 1.041,  1.2072, 1.3703, 1.1712, 1.2931},
     3,
     {0.01,      0.01,       0.01,       0.005,      0.005,      0.0025,      0.0025,      0.0025,
      0.0025,    0.0025,     0.0025,     0.00125,    0.00125,    0.000625,    0.000625,    0.0003125,
      0.0003125, 0.00015625, 0.00015625, 7.8125e-05, 7.8125e-05, 3.90625e-05, 3.90625e-05, 1.95312e-05}},
};

static void decisions_are_keras(void **context) {
  (void)context;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    thaw_job job = {.training = {.early_stopping = cases[i].early, .reduce_lr = cases[i].reduce}};
    trainer t = {.job = &job, .best_monitor = monitor};
    int64_t stop = -1;
    t.state.rate = 0.01;
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
      bool best;
      t.state.epoch = epoch;
      assert_thaw_ok(trainer_callbacks(&t, &cases[i].value[epoch], &best));
      if (t.state.stop_phase && stop < 0) stop = epoch;
      assert_true(fabs(t.state.rate - cases[i].rate[epoch]) <= 1e-5 * cases[i].rate[epoch]);
    }
    assert_int_equal(stop, cases[i].stop);
  }
}

/* The best checkpoint is that of the lowest value so far. */
static void best_is_the_lowest(void **context) {
  (void)context;
  thaw_job job = {0};
  trainer t = {.job = &job, .best_monitor = monitor, .early_column = -1, .plateau_column = -1};
  const double value[] = {3, 2, 2, 2.5, 1}, expected[] = {1, 1, 0, 0, 1};
  for (int i = 0; i < 5; i++) {
    bool best;
    assert_thaw_ok(trainer_callbacks(&t, &value[i], &best));
    assert_true(best == (expected[i] != 0));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(decisions_are_keras), cmocka_unit_test(best_is_the_lowest)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
