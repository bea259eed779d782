/* A Keras model's JSON into a network; and a whole .keras archive, where the bytes are one. */
#include "fuzz.h"
#include "weights/weights_private.h"

static void read_text(const uint8_t *data, size_t size) {
  thaw_graph *graph;
  thaw_text text = {0};
  fuzz_expect(thaw_weight_parse_model("fuzz", (const char *)data, size, NULL, NULL, &graph));
  if (graph && thaw_graph_param_count(graph, true) < 1 << 20)
    fuzz_expect(thaw_weight_model_config(graph, "fuzz", &text));
  thaw_text_clear(&text);
  thaw_graph_destroy(graph);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size >= 4 && memcmp(data, "PK\3\4", 4) == 0) {
    thaw_graph *graph;
    thaw_model_facts facts;
    int32_t last;
    const char *path = fuzz_file(data, size, ".keras");
    fuzz_expect(thaw_weights_read_model(path, NULL, NULL, &graph, &last));
    fuzz_expect(thaw_weights_read_facts(path, &facts));
    thaw_graph_destroy(graph);
    thaw_model_facts_clear(&facts);
  } else {
    read_text(data, size);
  }
  return 0;
}
