/* The whole network as a .keras archive: metadata.json, config.json and model.weights.h5, none of them compressed, and
 * a member of our own with what thaw knows besides. */
#include "thaw/memory.h"
#include "thaw/zip.h"
#include "weights/weights_private.h"

#include <string.h>
#include <unistd.h>

/* Keras 3 deserialises what has a "module"; the layers inside are in the words of Keras 2, which it reads, too. */
static thaw_status add_config(const thaw_graph *graph, const thaw_export_options *options, thaw_text *out) {
  static const char head[] = "{\"class_name\": \"Functional\", ";
  thaw_text model = {0};
  thaw_status status = thaw_weight_model_config(graph, options->name, &model);
  if (status == THAW_OK) {
    thaw_text_add(out, "{\"module\": \"keras.src.models.functional\", \"registered_name\": \"Functional\", ");
    if (options->training) {
      thaw_text_add(out, "\"compile_config\": ");
      thaw_weight_add_compile(options->training, out);
      thaw_text_add(out, ", ");
    }
    thaw_text_add(out, "\"class_name\": \"Functional\", %s", model.data + sizeof head - 1);
    if (out->failed) status = THAW_ERR_MEMORY;
  }
  thaw_text_clear(&model);
  return status;
}

static void add_facts(const thaw_export_options *options, thaw_text *out) {
  thaw_text_add(out, "{\"generator\": \"thaw " THAW_VERSION "\"");
  if (options->preprocessing) thaw_text_add(out, ", \"preprocessing\": \"%s\"", options->preprocessing);
  thaw_text_add(out, ", \"class_names\": [");
  for (size_t i = 0; options->classes && i < options->classes->count; i++) {
    if (i) thaw_text_add(out, ", ");
    thaw_text_add_json(out, options->classes->item[i]);
  }
  thaw_text_add(out, "]}");
}

/* The weight file as bytes, by way of a file beside the archive. */
static thaw_status make_weights(const thaw_graph *graph, const char *path, const thaw_export_slots *slots, char **data,
                                size_t *size) {
  static const size_t most = (size_t)1 << 34;
  char *name = thaw_format("%s.weights-%ld.h5", path, (long)getpid());
  if (!name) return THAW_ERR_MEMORY;
  thaw_status status = thaw_weight_save_objects(graph, name, slots);
  if (status == THAW_OK) status = thaw_file_read(name, most, data, size);
  unlink(name);
  thaw_free(name);
  return status;
}

thaw_status thaw_weights_export_keras(const thaw_graph *graph, const char *path, const thaw_export_options *options) {
  static const thaw_export_options none = {0};
  static const char metadata[] = "{\"keras_version\": \"3.0.0\", \"date_saved\": \"1980-01-01@00:00:00\"}";
  thaw_text config = {0}, facts = {0};
  char *weights = NULL;
  size_t size = 0;
  if (!options) options = &none;
  thaw_status status = add_config(graph, options, &config);
  add_facts(options, &facts);
  if (status == THAW_OK && facts.failed) status = THAW_ERR_MEMORY;
  const thaw_export_slots *slots = options->training ? options->training->slots : NULL;
  if (status == THAW_OK) status = make_weights(graph, path, slots, &weights, &size);
  if (status == THAW_OK) {
    const thaw_zip_member members[] = {{"metadata.json", metadata, sizeof metadata - 1},
                                       {"config.json", config.data, config.length},
                                       {"model.weights.h5", weights, size},
                                       {"thaw.json", facts.data, facts.length}};
    status = thaw_zip_write(path, members, 4);
  }
  thaw_free(weights);
  thaw_text_clear(&config);
  thaw_text_clear(&facts);
  return status;
}

void thaw_weight_add_compile(const thaw_export_training *training, thaw_text *out) {
  thaw_text_add(
      out,
      "{\"optimizer\": {\"module\": \"keras.optimizers\", \"class_name\": \"%s\", \"config\": %s, "
      "\"registered_name\": null}, \"loss\": %s, \"loss_weights\": %s, \"metrics\": %s, "
      "\"weighted_metrics\": null, \"run_eagerly\": false, \"steps_per_execution\": 1, \"jit_compile\": false}",
      training->optimizer_class, training->optimizer_config, training->loss,
      training->loss_weights ? training->loss_weights : "null", training->metrics);
}
