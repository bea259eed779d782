/* Freezing, the cut, parameter counts, the summary, the memory planner's promise. */
#include "graph_test.h"

#include "graph/graph_private.h"

static thaw_graph *vgg_with_head(void) {
  thaw_graph *g;
  int32_t last;
  assert_thaw_ok(thaw_zoo_build("vgg16", test_map(64, 64, 3), NULL, &g, &last));
  int32_t first = test_add(g, "global_average_pooling", NULL, NULL, last);
  int32_t at = test_dense(g, first, 128, THAW_RELU);
  at = test_add(g, "dropout", &(thaw_dropout_config){.rate = 0.5}, NULL, at);
  test_dense(g, at, 10, THAW_SOFTMAX);
  thaw_graph_mark_head(g, first);
  return g;
}

static void check_cut(const thaw_graph *g, const char *expected) {
  thaw_cut cut;
  thaw_text names = {0};
  assert_thaw_ok(thaw_graph_cut(g, &cut));
  size_t floats = 0;
  for (int32_t i = 0; i < cut.count; i++) {
    thaw_text_add(&names, "%s%s", i ? " " : "", thaw_graph_view(g, cut.node[i])->layer.name);
    floats += thaw_shape_count(thaw_graph_view(g, cut.node[i])->layer.output);
  }
  assert_string_equal(names.data, expected);
  assert_int_equal(floats, cut.floats);
  thaw_text_clear(&names);
  thaw_cut_clear(&cut);
}

static void test_unfreeze(void **state) {
  (void)state;
  thaw_graph *g = vgg_with_head();
  const int64_t head = 512 * 128 + 128 + 128 * 10 + 10, block5 = 3 * (9 * 512 * 512 + 512);
  assert_int_equal(thaw_graph_param_count(g, true), head);
  check_cut(g, "global_average_pooling2d");
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"block5"}, 1, false));
  assert_int_equal(thaw_graph_param_count(g, true), head + block5);
  check_cut(g, "block4_pool");
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"block5_conv3", "block1_conv1"}, 2, false));
  assert_int_equal(thaw_graph_param_count(g, true), head + block5 / 3 + 27 * 64 + 64);
  check_cut(g, "input_1");
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"all"}, 1, false));
  assert_int_equal(thaw_graph_param_count(g, true), head + 14714688);
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"none"}, 1, false));
  assert_int_equal(thaw_graph_param_count(g, true), head);
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"blok5_conv1"}, 1, false), THAW_ERR_USAGE, "block5_conv1");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"block5_pool"}, 1, false), THAW_ERR_USAGE,
                    "changes nothing");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"dense"}, 1, false), THAW_ERR_USAGE, "block5_conv3");
  thaw_graph_destroy(g);
}

static void test_unfreeze_with_batch_norm(void **state) {
  (void)state;
  thaw_graph *g;
  int32_t last;
  assert_thaw_ok(thaw_zoo_build("mobilenetv2", test_map(64, 64, 3), NULL, &g, &last));
  int32_t first = test_dense(g, test_add(g, "global_average_pooling", NULL, NULL, last), 2, THAW_SOFTMAX) - 1;
  thaw_graph_mark_head(g, first);
  /* block_1 is not block_10 .. block_16. */
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"block_1"}, 1, false));
  int64_t head = 1280 * 2 + 2, convolutions = 16 * 96 + 9 * 96 + 96 * 24;
  assert_int_equal(thaw_graph_param_count(g, true), head + convolutions);
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"block_1"}, 1, true));
  assert_int_equal(thaw_graph_param_count(g, true), head + convolutions + 2 * (96 + 96 + 24));
  /* A residual block is cut at both tensors that its live part reads. */
  assert_thaw_ok(thaw_graph_unfreeze(g, (const char *[]){"block_15_project"}, 1, false));
  check_cut(g, "block_14_add block_15_depthwise_relu");
  thaw_graph_destroy(g);
}

static void test_summary(void **state) {
  (void)state;
  thaw_graph *g = vgg_with_head();
  thaw_text text = {0};
  thaw_graph_summary(g, "chest", &text);
  assert_non_null(strstr(text.data, "Model: \"chest\""));
  assert_non_null(strstr(text.data, "block1_conv1 (Conv2D)"));
  assert_non_null(strstr(text.data, "(None, 64, 64, 64)"));
  assert_non_null(strstr(text.data, "1,792 frozen"));
  assert_non_null(strstr(text.data, "65,664 trainable"));
  assert_non_null(strstr(text.data, "Total params: 14,781,642 (56.39 MB)"));
  assert_non_null(strstr(text.data, "Trainable params: 66,954 (261.54 KB)"));
  assert_non_null(strstr(text.data, "Non-trainable params: 14,714,688 (56.13 MB)"));
  for (const char *line = text.data; *line; line = strchr(line, '\n') + 1) assert_true(strchr(line, '\n') - line <= 96);
  thaw_text_clear(&text);
  thaw_graph_destroy(g);
}

/* Blocks alive at once never overlap, whatever their sizes and lifetimes. */
static void test_memory_planner(void **state) {
  (void)state;
  enum { COUNT = 60 };
  for (uint32_t round = 0; round < 50; round++) {
    thaw_interval block[COUNT];
    int32_t order[COUNT];
    thaw_draw position = {.seed = 5, .purpose = THAW_RNG_TEST, .sample = round};
    for (uint32_t i = 0; i < COUNT; i++) {
      uint32_t word[4];
      thaw_random4(&position, i, word);
      int32_t first = (int32_t)(word[0] % 40);
      block[i] = (thaw_interval){.bytes = word[1] % 5000, .first = first, .last = first + (int32_t)(word[2] % 6)};
    }
    size_t end = thaw_plan_offsets(block, COUNT, order);
    assert_true(end >= thaw_plan_bound(block, COUNT, 50));
    for (int32_t i = 0; i < COUNT; i++) {
      assert_true(block[i].offset + block[i].bytes <= end && block[i].offset % THAW_ALIGN == 0);
      for (int32_t j = 0; j < i; j++) {
        bool together = block[i].first <= block[j].last && block[j].first <= block[i].last;
        bool apart =
            block[i].offset + block[i].bytes <= block[j].offset || block[j].offset + block[j].bytes <= block[i].offset;
        assert_true(!together || apart);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_unfreeze),
      cmocka_unit_test(test_unfreeze_with_batch_norm),
      cmocka_unit_test(test_summary),
      cmocka_unit_test(test_memory_planner),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
