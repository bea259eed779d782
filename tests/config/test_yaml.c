/* The YAML tree: structure and lines, limits, and everything that is refused. */
#include "thaw_test.h"

#include "thaw/job.h"

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

static thaw_status parse(const char *text, thaw_yaml **out) {
  return thaw_yaml_parse("x.yaml", text, strlen(text), arena, out);
}

static void refuses(const char *text, const char *message) {
  thaw_yaml *tree;
  assert_int_equal(parse(text, &tree), THAW_ERR_USAGE);
  assert_string_equal(thaw_message(), message);
}

static void test_tree(void **state) {
  (void)state;
  thaw_yaml *tree;
  assert_thaw_ok(parse("a: 1\nb:\n  - x\n  - {k: 'v'}\nc: \"q\"\n", &tree));
  assert_int_equal(tree->kind, THAW_YAML_MAP);
  assert_int_equal(tree->count, 3);
  const thaw_yaml *b = thaw_yaml_get(tree, "b"), *c = thaw_yaml_get(tree, "c");
  assert_int_equal(b->kind, THAW_YAML_LIST);
  assert_int_equal(b->line, 2);
  assert_int_equal(b->count, 2);
  assert_string_equal(b->child->value, "x");
  assert_false(b->child->quoted);
  const thaw_yaml *v = thaw_yaml_get(b->child->next, "k");
  assert_string_equal(v->value, "v");
  assert_true(v->quoted);
  assert_int_equal(v->line, 4);
  assert_string_equal(c->value, "q");
  assert_int_equal(c->line, 5);
  assert_null(thaw_yaml_get(tree, "d"));
  assert_null(thaw_yaml_get(b, "d"));
  assert_null(thaw_yaml_get(NULL, "d"));
}

static void test_unicode_and_scalars(void **state) {
  (void)state;
  thaw_yaml *tree;
  assert_thaw_ok(parse("name: Gef\xc3\xa4\xc3\x9f\ntext: |\n  two\n  lines\nempty:\n", &tree));
  assert_string_equal(thaw_yaml_get(tree, "name")->value, "Gef\xc3\xa4\xc3\x9f");
  assert_string_equal(thaw_yaml_get(tree, "text")->value, "two\nlines\n");
  assert_string_equal(thaw_yaml_get(tree, "empty")->value, "");
}

static void test_refusals(void **state) {
  (void)state;
  refuses("", "x.yaml: the file is empty");
  refuses("# only a comment\n", "x.yaml: the file is empty");
  refuses("a: 1\nb: 2\na: 3\n", "x.yaml:3: duplicate key 'a' (first on line 1)");
  refuses("a: &x 1\nb: *x\n", "x.yaml:1: anchors ('&...') are not supported");
  refuses("a: *x\n", "x.yaml:1: aliases ('*x') are not supported");
  refuses("a: !!int 1\n", "x.yaml:1: tags ('!...') are not supported");
  refuses("a: !mine {b: 1}\n", "x.yaml:1: tags ('!...') are not supported");
  refuses("a: 1\n---\nb: 2\n", "x.yaml:2: more than one document in the file");
  refuses("[a, b]: 1\n", "x.yaml:1: a key must be a word, not a list or a map");
  refuses("a: \"x\\0y\"\n", "x.yaml:1: a zero byte in a value");
}

static void test_syntax_errors(void **state) {
  (void)state;
  thaw_yaml *tree;
  assert_thaw_fails(parse("a: 1\n\tb: 2\n", &tree), THAW_ERR_USAGE, "x.yaml:2: not YAML: ");
  assert_thaw_fails(parse("a: [1, 2\nb: 3\n", &tree), THAW_ERR_USAGE, "x.yaml:2: not YAML: ");
  assert_thaw_fails(parse("a: 1\nb: 'open\n", &tree), THAW_ERR_USAGE, "not YAML: ");
  assert_thaw_fails(parse("a: 1\nb: \xff\xfe\n", &tree), THAW_ERR_USAGE, "x.yaml:2: not YAML: invalid leading UTF-8");
  assert_thaw_fails(parse("a: 1\nb: \xc3\n", &tree), THAW_ERR_USAGE, "x.yaml:2: not YAML: ");
  assert_thaw_fails(parse("a: \x01\n", &tree), THAW_ERR_USAGE, "x.yaml:1: not YAML: control characters");
  assert_thaw_fails(thaw_yaml_parse("x.yaml", "a: \0b\n", 6, arena, &tree), THAW_ERR_USAGE, "x.yaml:1: not YAML: ");
}

static void test_depth(void **state) {
  (void)state;
  thaw_yaml *tree;
  char text[4096];
  memset(text, '[', 32);
  memset(text + 32, ']', 32);
  text[64] = 0;
  assert_thaw_ok(parse(text, &tree));
  memset(text, '[', sizeof text);
  text[sizeof text - 1] = 0;
  refuses(text, "x.yaml:1: nested deeper than 32 levels");
}

static void test_many_nodes(void **state) {
  (void)state;
  thaw_yaml *tree;
  thaw_text text = {0};
  for (int i = 0; i < 2000001; i++) thaw_text_add(&text, "- 1\n");
  assert_thaw_fails(thaw_yaml_parse("x.yaml", text.data, text.length, arena, &tree), THAW_ERR_USAGE,
                    "more than 2000000 values");
  thaw_text_clear(&text);
}

/* 100,000 keys are checked for duplicates in far less than quadratic time. */
static void test_many_keys(void **state) {
  (void)state;
  thaw_yaml *tree;
  thaw_text text = {0};
  for (int i = 0; i < 100000; i++) thaw_text_add(&text, "key%d: 1\n", i);
  assert_thaw_ok(thaw_yaml_parse("x.yaml", text.data, text.length, arena, &tree));
  assert_int_equal(tree->count, 100000);
  thaw_text_add(&text, "key77: 1\n");
  assert_thaw_fails(thaw_yaml_parse("x.yaml", text.data, text.length, arena, &tree), THAW_ERR_USAGE,
                    "x.yaml:100001: duplicate key 'key77' (first on line 78)");
  thaw_text_clear(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
      cmocka_unit_test_setup_teardown(test_unicode_and_scalars, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
      cmocka_unit_test_setup_teardown(test_syntax_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
      cmocka_unit_test_setup_teardown(test_many_nodes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_many_keys, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
