/* Whole .keras archives: the network in config.json, the weights in model.weights.h5, thaw.json. */
#include "fuzz.h"
#include "weights/weights_private.h"

enum { MOST_VALUES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *path = fuzz_file(data, size, ".keras");
  thaw_graph *graph = NULL;
  thaw_model_facts facts;
  thaw_text text = {0};
  char digest[65];
  int32_t last;
  thaw_status status = thaw_weights_read_model(path, NULL, NULL, &graph, &last);
  fuzz_expect(status);
  if (status == THAW_OK && thaw_graph_param_count(graph, true) <= MOST_VALUES) {
    status = thaw_graph_bind(graph);
    fuzz_expect(status);
    if (status == THAW_OK) fuzz_expect(thaw_weights_load(graph, path, NULL, digest));
  }
  thaw_graph_destroy(graph);
  fuzz_expect(thaw_weights_read_facts(path, &facts));
  thaw_model_facts_clear(&facts);
  fuzz_expect(thaw_weights_describe(path, &text));
  thaw_text_clear(&text);
  return 0;
}
