/* features NETWORK WEIGHTS export MODEL.onnx HEIGHT WIDTH: writes the network as an ONNX model, and
 * features NETWORK WEIGHTS INPUT OUTPUT HEIGHT WIDTH [CUT]: what a network makes of one image, for scripts that compare
 * it with others. NETWORK: an architecture, or "-" for the model in WEIGHTS. INPUT and OUTPUT: raw float32. */
#include "thaw/memory.h"
#include "thaw/text.h"
#include "thaw/weights.h"
#include "thaw/zoo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static thaw_status read_input(const char *path, size_t count, float **out) {
  char *text;
  size_t size;
  THAW_TRY(thaw_file_read(path, (size_t)1 << 30, &text, &size));
  *out = (float *)(void *)text;
  return size == count * sizeof(float)
             ? THAW_OK
             : thaw_fail(THAW_ERR_DATA, "%s: %zu bytes, %zu expected", path, size, count * sizeof(float));
}

static thaw_status run(const thaw_graph *graph, int32_t last, const char *input, const char *output) {
  const thaw_isa *isa;
  thaw_plan *plan;
  float *x;
  THAW_TRY(thaw_isa_select(NULL, &isa));
  THAW_TRY(thaw_plan_create(graph, &last, 1, isa, &(thaw_plan_options){.batch = 1, .threads = 1}, &plan));
  void *packed = thaw_new(thaw_plan_packed_bytes(plan), 1);
  size_t count = thaw_plan_output_floats(plan);
  float *y = thaw_new(count, sizeof *y);
  if (!packed || !y) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(plan, packed));
  thaw_plan_use(plan, packed);
  THAW_TRY(read_input(input, thaw_shape_count(thaw_graph_view(graph, 0)->layer.output), &x));
  thaw_plan_run(plan, x, 1, y);
  thaw_status status = thaw_file_write(output, y, count * sizeof *y);
  thaw_free(x);
  thaw_free(y);
  thaw_free(packed);
  thaw_plan_destroy(plan);
  return status;
}

static thaw_status compute(char **argument, thaw_shape input, const char *cut) {
  thaw_graph *graph;
  int32_t last;
  char digest[65];
  bool model = strcmp(argument[1], "-") == 0;
  THAW_TRY(model ? thaw_weights_read_model(argument[2], &input, cut, &graph, &last)
                 : thaw_zoo_build(argument[1], input, cut, &graph, &last));
  thaw_status status = thaw_graph_bind(graph);
  if (status == THAW_OK) status = thaw_weights_load(graph, argument[2], NULL, digest);
  if (status == THAW_OK && strcmp(argument[3], "export") == 0)
    status = thaw_weights_export_onnx(graph, argument[4], &(thaw_export_options){.name = argument[1]});
  else if (status == THAW_OK)
    status = run(graph, last, argument[3], argument[4]);
  thaw_graph_destroy(graph);
  return status;
}

int main(int arguments, char **argument) {
  int64_t h, w;
  if (arguments < 7 || thaw_parse_int(argument[5], &h) != THAW_OK || thaw_parse_int(argument[6], &w) != THAW_OK) {
    fputs("usage: features NETWORK WEIGHTS INPUT OUTPUT HEIGHT WIDTH [CUT]\n", stderr);
    return 2;
  }
  thaw_shape input = {.rank = 3, .h = (int32_t)h, .w = (int32_t)w, .c = 3};
  thaw_status status = compute(argument, input, arguments > 7 ? argument[7] : NULL);
  if (status != THAW_OK) fprintf(stderr, "error: %s\n", thaw_message());
  return thaw_exit_code(status);
}
