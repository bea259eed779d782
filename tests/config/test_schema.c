/* Option tables: defaults, lookup by Keras' spellings, help, and echo. */
#include "thaw_test.h"

#include "test_registry.h"

static thaw_arena *arena;

static int setup(void **state) {
  (void)state;
  arena = thaw_arena_create();
  return arena ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  thaw_arena_destroy(arena);
  return 0;
}

static void test_defaults(void **state) {
  (void)state;
  const every_config *config = thaw_schema_defaults(&test_every_schema, arena);
  assert_non_null(config);
  assert_true(config->flag);
  assert_int_equal(config->number, 2);
  assert_int_equal(config->word, 0);
  assert_int_equal(config->large, 7);
  assert_true(config->real == 0.1);
  assert_true(config->range[0] == 0 && config->range[1] == 0);
  assert_string_equal(config->text, "some text");
  assert_null(config->kind);
  assert_int_equal(config->texts.count, 0);
}

static void test_find(void **state) {
  (void)state;
  thaw_job_schemas schemas = test_schemas();
  static const char *const spellings[] = {"global_average_pooling2d", "GlobalAveragePooling2D",
                                          "global_average_pooling", "global_average_pooling_2d"};
  for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
    const thaw_schema *schema = thaw_schema_find(&schemas.layers, spellings[i]);
    assert_non_null(schema);
    assert_string_equal(schema->name, "global_average_pooling2d");
  }
  assert_string_equal(thaw_schema_find(&schemas.layers, "Dense")->name, "dense");
  assert_string_equal(thaw_schema_find(&schemas.optimizers, "SGD")->name, "sgd");
  assert_string_equal(thaw_schema_find(&schemas.losses, "mse")->name, "mean_squared_error");
  assert_string_equal(thaw_schema_find(&schemas.losses, "CategoricalCrossentropy")->name, "categorical_crossentropy");
  assert_null(thaw_schema_find(&schemas.layers, "dens"));
  assert_null(thaw_schema_find(&schemas.layers, ""));
}

static void test_echo(void **state) {
  (void)state;
  every_config *config = thaw_schema_defaults(&test_every_schema, arena);
  thaw_text text = {0};
  thaw_schema_echo(&test_every_schema, config, &text);
  assert_string_equal(text.data, "{flag: true, number: 2, word: linear, large: 7, real: 0.1, range: [0, 0], "
                                 "text: \"some text\"}");
  thaw_text_clear(&text);
  const char *items[] = {"block5", "true", "a, b"};
  static char kind[] = "large";
  *config = (every_config){.number = -3, .word = 2, .large = 1LL << 40, .real = 1.0 / 3, .range = {-1e-7, 0.30000001}};
  config->kind = kind;
  config->texts = (thaw_text_list){.item = items, .count = 3};
  thaw_schema_echo(&test_every_schema, config, &text);
  assert_string_equal(text.data, "{flag: false, number: -3, word: softmax, large: 1099511627776, "
                                 "real: 0.3333333333333333, range: [-1e-07, 0.30000001], kind: large, "
                                 "texts: [block5, \"true\", \"a, b\"]}");
  thaw_text_clear(&text);
}

static void test_help(void **state) {
  (void)state;
  thaw_text text = {0};
  thaw_schema_help(&test_every_schema, &text);
  assert_non_null(strstr(text.data, "  flag (true or false, default true): a flag\n"));
  assert_non_null(strstr(text.data, "  number (integer -5..5, default 2): a number\n"));
  assert_non_null(strstr(text.data, "  word (one of linear | relu | softmax, default linear): \n"));
  assert_non_null(strstr(text.data, "  real (number above 0 to 1, default 0.1): \n"));
  thaw_text_clear(&text);
  thaw_job_schemas schemas = test_schemas();
  thaw_schema_help(schemas.layers.schemas[0], &text);
  assert_non_null(strstr(text.data, "  units (integer 1..1048576, required): width of the output\n"));
  thaw_text_clear(&text);
  thaw_job_help(&schemas, &text);
  assert_non_null(strstr(text.data, "early_stopping"));
  assert_non_null(strstr(text.data, "label_smoothing"));
  thaw_text_clear(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
      cmocka_unit_test_setup_teardown(test_find, setup, teardown),
      cmocka_unit_test_setup_teardown(test_echo, setup, teardown),
      cmocka_unit_test_setup_teardown(test_help, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
