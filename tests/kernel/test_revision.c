/* The bits of the frozen kernels, pinned: a feature cache made by other kernels must not be used, and its key contains
 * THAW_KERNEL_REVISION for that. */
#include "kernel_testing.h"
#include "thaw/digest.h"
#include "thaw/memory.h"

#include <string.h>

static const char expected[] = "b08754757f155bb7ceae9a0980bc7084dcee1c055279a3ec7f00b83c844c0d04";

static void add_conv(const thaw_isa *isa, thaw_conv_desc desc, thaw_digest *digest) {
  enum { IMAGES = 3 };
  thaw_conv *conv;
  int32_t h, w;
  if (thaw_conv_create(isa, &desc, &conv) != THAW_OK) fail_msg("%s", thaw_message());
  thaw_conv_output(&desc, &h, &w);
  size_t depth = (size_t)(desc.kh * desc.kw) * (size_t)(desc.depthwise ? 1 : desc.c);
  size_t count = (size_t)IMAGES * (size_t)(h * w) * (size_t)desc.k;
  float *kernel = testing_numbers(depth * (size_t)desc.k, 1, .2f), *bias = testing_numbers((size_t)desc.k, 2, .5f);
  float *x = testing_numbers((size_t)IMAGES * (size_t)(desc.h * desc.w) * (size_t)desc.c, 3, 1);
  float *scale = testing_numbers((size_t)desc.c, 4, 1), *y = testing_unwritten(count);
  float *residual = desc.residual ? testing_numbers(count, 5, 1) : NULL;
  void *packed = thaw_new(thaw_conv_packed_bytes(conv), 1), *scratch = thaw_new(thaw_conv_scratch_bytes(conv), 1);
  thaw_conv_pack(conv, kernel, bias, desc.prologue ? scale : NULL, desc.prologue ? scale : NULL, packed);
  thaw_conv_run(conv, packed, x, IMAGES, residual, y, scratch);
  thaw_digest_add(digest, y, count * sizeof *y);
  thaw_conv_destroy(conv);
  thaw_free(kernel), thaw_free(bias), thaw_free(x), thaw_free(scale), thaw_free(y), thaw_free(residual);
  thaw_free(packed), thaw_free(scratch);
}

static void add_others(const thaw_isa *isa, thaw_digest *digest) {
  enum { IMAGES = 2, SIDE = 9, CHANNELS = 21, PIXELS = SIDE * SIDE };
  size_t count = (size_t)IMAGES * PIXELS * CHANNELS;
  float *x = testing_numbers(count, 6, 3), *y = testing_unwritten(count);
  thaw_pool_desc pool = {.h = SIDE, .w = SIDE, .c = CHANNELS, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2};
  for (int average = 0; average < 2; average++) {
    int32_t h, w;
    pool.average = average;
    thaw_pool_output(&pool, &h, &w);
    thaw_pool(isa, &pool, x, IMAGES, y);
    thaw_digest_add(digest, y, (size_t)IMAGES * (size_t)(h * w) * CHANNELS * sizeof *y);
    thaw_global_pool(isa, average, x, IMAGES, PIXELS, CHANNELS, 0, y);
    thaw_digest_add(digest, y, (size_t)IMAGES * CHANNELS * sizeof *y);
  }
  for (int a = THAW_LINEAR; a <= THAW_SWISH; a++) {
    thaw_activate(isa, (thaw_activation)a, x, (size_t)IMAGES * PIXELS, CHANNELS, y);
    thaw_digest_add(digest, y, count * sizeof *y);
  }
  thaw_free(x), thaw_free(y);
}

static void bits_belong_to_the_revision(void **state) {
  (void)state;
  const thaw_conv_desc descs[] = {
      {.h = 14,
       .w = 14,
       .c = 19,
       .k = 37,
       .kh = 3,
       .kw = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1,
       .activation = THAW_RELU,
       .pool = true},
      {.h = 7, .w = 9, .c = 32, .k = 16, .kh = 3, .kw = 3, .activation = THAW_RELU6},
      {.h = 13, .w = 13, .c = 3, .k = 24, .kh = 7, .kw = 7, .stride_h = 2, .stride_w = 2},
      {.h = 12,
       .w = 12,
       .c = 3,
       .k = 16,
       .kh = 3,
       .kw = 3,
       .pad_top = 1,
       .pad_left = 1,
       .pad_bottom = 1,
       .pad_right = 1},
      {.h = 8, .w = 8, .c = 40, .k = 24, .kh = 1, .kw = 1, .activation = THAW_RELU, .residual = true},
      {.h = 8, .w = 8, .c = 20, .k = 40, .kh = 1, .kw = 1, .prologue = true},
      {.h = 11, .w = 11, .c = 18, .k = 18, .kh = 5, .kw = 5, .depthwise = true, .activation = THAW_SWISH}};
  const thaw_isa *isas[2];
  int count = testing_isas(isas);
  for (int v = 0; v < count; v++) {
    char text[THAW_DIGEST_TEXT];
    thaw_digest *digest;
    assert_int_equal(thaw_digest_create(&digest), THAW_OK);
    for (size_t i = 0; i < sizeof descs / sizeof *descs; i++) {
      thaw_conv_desc desc = descs[i];
      if (desc.stride_h == 0) desc.stride_h = desc.stride_w = 1;
      add_conv(isas[v], desc, digest);
    }
    add_others(isas[v], digest);
    thaw_digest_finish(digest, text);
    if (strcmp(text, expected) != 0)
      fail_msg("%s: the frozen kernels' bits are %s: raise THAW_KERNEL_REVISION, and put this digest here",
               thaw_isa_name(isas[v]), text);
  }
  assert_int_equal(THAW_KERNEL_REVISION, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(bits_belong_to_the_revision)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
