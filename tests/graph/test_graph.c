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
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"blok5"}, 1, false), THAW_ERR_USAGE, "'block5'");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"blok5_conv1"}, 1, false), THAW_ERR_USAGE, "block5_conv1");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"block5_pool"}, 1, false), THAW_ERR_USAGE,
                    "changes nothing");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"dense"}, 1, false), THAW_ERR_USAGE, "block5_conv3");
  thaw_graph_destroy(g);
}

static int64_t live_after(thaw_graph *g, const char *word) {
  assert_thaw_ok(thaw_graph_unfreeze(g, &word, 1, false));
  return thaw_graph_param_count(g, true) - (512 * 128 + 128 + 128 * 10 + 10);
}

static void test_unfreeze_from_the_top(void **state) {
  (void)state;
  thaw_graph *g = vgg_with_head();
  const int64_t layer = 9 * 512 * 512 + 512, all = 14714688;
  assert_int_equal(live_after(g, "1"), layer);
  assert_int_equal(live_after(g, "3"), 3 * layer);
  assert_int_equal(live_after(g, "13"), all);
  /* The fewest top layers with at least that share: 2 of 2.36 million hold 0.32 of 14.7, 1 holds 0.16. */
  assert_int_equal(live_after(g, "0.1"), layer);
  assert_int_equal(live_after(g, "0.3"), 2 * layer);
  assert_int_equal(live_after(g, "1.0"), all);
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"14"}, 1, false), THAW_ERR_USAGE, "1 .. 13");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"0"}, 1, false), THAW_ERR_USAGE, "1 .. 13");
  assert_thaw_fails(thaw_graph_unfreeze(g, (const char *[]){"-0.5"}, 1, false), THAW_ERR_USAGE, "above 0 to 1");
  thaw_graph_destroy(g);
}

static void test_refreeze(void **state) {
  (void)state;
  thaw_graph *g = vgg_with_head();
  const int64_t layer = 9 * 512 * 512 + 512;
  assert_int_equal(live_after(g, "block5"), 3 * layer);
  assert_thaw_ok(thaw_graph_refreeze(g, (const char *[]){"block5_conv1"}, 1));
  check_cut(g, "block5_conv1");
  assert_thaw_ok(thaw_graph_unfreeze_more(g, (const char *[]){"block5_conv1"}, 1, false));
  check_cut(g, "block4_pool");
  assert_thaw_ok(thaw_graph_refreeze(g, (const char *[]){"all"}, 1));
  check_cut(g, "global_average_pooling2d");
  assert_thaw_fails(thaw_graph_refreeze(g, (const char *[]){"blok5_conv1"}, 1), THAW_ERR_USAGE, "block5_conv1");
  thaw_graph_destroy(g);
}

static void check_blocks(const char *architecture, const char *const *expected, int32_t count) {
  thaw_graph *g;
  int32_t last;
  char name[64];
  assert_thaw_ok(thaw_zoo_build(architecture, test_map(64, 64, 3), NULL, &g, &last));
  for (int32_t i = 0; i < thaw_graph_count(g); i++) thaw_graph_node(g, i)->frozen = true;
  for (int32_t i = 0; i < count; i++) {
    assert_true(thaw_graph_unfreeze_next(g, false, name));
    assert_string_equal(name, expected[i]);
  }
  while (thaw_graph_unfreeze_next(g, false, name)) continue;
  for (int32_t i = 0; i < thaw_graph_count(g); i++) {
    const thaw_layer *layer = &thaw_graph_view(g, i)->layer;
    if (strcmp(layer->ops->schema->name, "conv2d") == 0) assert_false(thaw_graph_view(g, i)->frozen);
  }
  thaw_graph_destroy(g);
}

static void test_block_by_block(void **state) {
  (void)state;
  check_blocks("vgg16", (const char *[]){"block5", "block4", "block3", "block2", "block1"}, 5);
  check_blocks("resnet50", (const char *[]){"conv5", "conv4", "conv3", "conv2", "conv1"}, 5);
  check_blocks("mobilenetv2", (const char *[]){"Conv", "block_16", "block_15"}, 3);
  check_blocks("resnet18", (const char *[]){"layer4.1", "layer4.0", "layer3.1"}, 3);
  check_blocks("densenet121", (const char *[]){"conv5", "pool4", "conv4"}, 3);
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
      cmocka_unit_test(test_unfreeze_from_the_top),
      cmocka_unit_test(test_refreeze),
      cmocka_unit_test(test_block_by_block),
      cmocka_unit_test(test_unfreeze_with_batch_norm),
      cmocka_unit_test(test_summary),
      cmocka_unit_test(test_memory_planner),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
