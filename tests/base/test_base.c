#include "thaw_test.h"

#include "thaw/digest.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <stdlib.h>

static void message_is_one_line(void **state) {
  (void)state;
  assert_int_equal(thaw_fail(THAW_ERR_DATA, "a\nb %d", 7), THAW_ERR_DATA);
  assert_string_equal(thaw_message(), "a b 7");
  assert_int_equal(thaw_fail_in(THAW_ERR_DATA, "epoch %d: ", 3), THAW_ERR_DATA);
  assert_string_equal(thaw_message(), "epoch 3: a b 7");
  thaw_fail(THAW_ERR_RUN, "again: %s", thaw_message());
  assert_string_equal(thaw_message(), "again: epoch 3: a b 7");
}

static void exit_codes_are_documented_ones(void **state) {
  (void)state;
  const int expected[] = {0, 1, 2, 3, 4, 1, 1, 75};
  for (int i = 0; i <= THAW_STOPPED; i++) assert_int_equal(thaw_exit_code((thaw_status)i), expected[i]);
}

static void allocation_is_zeroed_and_checked(void **state) {
  (void)state;
  unsigned char *block = thaw_new(1000, 3);
  assert_int_equal((uintptr_t)block % THAW_ALIGN, 0);
  for (int i = 0; i < 3000; i++) assert_int_equal(block[i], 0);
  thaw_free(block);
  assert_null(thaw_new(SIZE_MAX / 2, 3));
  assert_non_null(strstr(thaw_message(), "out of memory"));
}

static void a_block_larger_than_the_node_is_refused_untouched(void **state) {
  (void)state;
  int64_t available = thaw_memory_available();
  assert_true(available > 0);
  assert_null(thaw_new((size_t)available + ((size_t)1 << 30), 1));
  assert_non_null(strstr(thaw_message(), "are free on this node"));
}

static void arena_blocks_do_not_overlap(void **state) {
  (void)state;
  thaw_arena *arena = thaw_arena_create();
  unsigned char *block[200];
  for (int i = 0; i < 200; i++) {
    block[i] = thaw_arena_new(arena, (size_t)(i * 37 + 1), 17);
    assert_int_equal(block[i][0], 0);
    memset(block[i], i, (size_t)(i * 37 + 1) * 17);
  }
  for (int i = 0; i < 200; i++)
    for (int j = 0; j < (i * 37 + 1) * 17; j++) assert_int_equal(block[i][j], i);
  assert_null(thaw_arena_new(arena, SIZE_MAX, 2));
  thaw_arena_destroy(arena);
}

static void text_grows_and_escapes(void **state) {
  (void)state;
  thaw_text text = {0};
  for (int i = 0; i < 1000; i++) thaw_text_add(&text, "%d,", i);
  assert_int_equal(text.length, 3890);
  thaw_text_clear(&text);
  thaw_text_add_json(&text, "a\"b\\c\n");
  assert_string_equal(text.data, "\"a\\\"b\\\\c\\u000a\"");
  thaw_text_clear(&text);
  thaw_text_add_json(&text, "\x7f\xc2\x9f\xc2\xa0\xef\xbb\xbf\xef\xbf\xbe\xef\xbf\xbd\xc2");
  assert_string_equal(text.data, "\"\\u007f\\u009f\xc2\xa0\\ufeff\\ufffe\xef\xbf\xbd\xc2\"");
  thaw_text_clear(&text);
  thaw_text_add_html(&text, "<b a='1'>&\"");
  assert_string_equal(text.data, "&lt;b a=&#39;1&#39;&gt;&amp;&quot;");
  thaw_text_clear(&text);
}

static void numbers_are_strict(void **state) {
  (void)state;
  int64_t whole;
  double real;
  assert_thaw_ok(thaw_parse_int("-42", &whole));
  assert_int_equal(whole, -42);
  const char *bad_whole[] = {"", " 1", "1 ", "1.5", "x", "99999999999999999999"};
  for (int i = 0; i < 6; i++) assert_int_equal(thaw_parse_int(bad_whole[i], &whole), THAW_ERR_USAGE);
  assert_thaw_ok(thaw_parse_double("1e-4", &real));
  assert_true(real == 1e-4);
  const char *bad_real[] = {"", "nan", "inf", "1e999", "0.1x", " 1"};
  for (int i = 0; i < 6; i++) assert_int_equal(thaw_parse_double(bad_real[i], &real), THAW_ERR_USAGE);
}

static void nearest_word(void **state) {
  (void)state;
  const char *const words[] = {"learning_rate", "momentum", "nesterov"};
  assert_string_equal(thaw_nearest("learning_rte", words, 3), "learning_rate");
  assert_string_equal(thaw_nearest("momentun", words, 3), "momentum");
  assert_null(thaw_nearest("zzz", words, 3));
}

static void environment_in_a_path(void **state) {
  (void)state;
  char *out;
  assert_int_equal(setenv("THAW_TEST_A", "/tmp/x", 1), 0);
  assert_thaw_ok(thaw_expand_environment("$THAW_TEST_A/${THAW_TEST_A}y/5", &out));
  assert_string_equal(out, "/tmp/x//tmp/xy/5");
  thaw_free(out);
  assert_thaw_ok(thaw_expand_environment("", &out));
  assert_string_equal(out, "");
  thaw_free(out);
  static const char *const wrong[] = {"$THAW_TEST_NOT_SET/x", "a$", "$", "${THAW_TEST_A", "${}", "$1", "$/x"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(thaw_expand_environment(wrong[i], &out), THAW_ERR_USAGE);
}

static void human_units(void **state) {
  (void)state;
  char out[32];
  assert_string_equal(thaw_format_bytes(1500000, out), "1.5 MB");
  assert_string_equal(thaw_format_bytes(12, out), "12 B");
  assert_string_equal(thaw_format_bytes(999999, out), "1.0 MB");
  assert_string_equal(thaw_format_seconds(4.24, out), "4.2 s");
  assert_string_equal(thaw_format_seconds(200, out), "3 min 20 s");
  assert_string_equal(thaw_format_seconds(7500, out), "2 h 05 min");
  assert_string_equal(thaw_format_count(14714688, out), "14,714,688");
  assert_string_equal(thaw_format_count(-999, out), "-999");
}

static void sha256_is_that_of_fips_180(void **state) {
  (void)state;
  char out[THAW_DIGEST_TEXT];
  assert_thaw_ok(thaw_digest_bytes("abc", 3, out)); /* FIPS 180-2, appendix B.1 */
  assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(message_is_one_line),
                                     cmocka_unit_test(exit_codes_are_documented_ones),
                                     cmocka_unit_test(a_block_larger_than_the_node_is_refused_untouched),
                                     cmocka_unit_test(allocation_is_zeroed_and_checked),
                                     cmocka_unit_test(arena_blocks_do_not_overlap),
                                     cmocka_unit_test(text_grows_and_escapes),
                                     cmocka_unit_test(numbers_are_strict),
                                     cmocka_unit_test(nearest_word),
                                     cmocka_unit_test(environment_in_a_path),
                                     cmocka_unit_test(human_units),
                                     cmocka_unit_test(sha256_is_that_of_fips_180)};
  return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
