/* The whole network as one Keras model file: model_config, /model_weights, and what thaw knows besides. */
#include "weights/weights_private.h"

/* Keras 2's training_config, which load_model compiles the model by. */
static thaw_status write_training(thaw_h5 *h5, const thaw_export_training *training) {
  thaw_text text = {0};
  thaw_text_add(&text,
                "{\"loss\": %s, \"metrics\": %s, \"weighted_metrics\": null, \"loss_weights\": %s, "
                "\"optimizer_config\": {\"class_name\": \"%s\", \"config\": %s}}",
                training->loss, training->metrics, training->loss_weights ? training->loss_weights : "null",
                training->optimizer_class, training->optimizer_config);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_h5_set_text(h5, "/", "training_config", text.data);
  thaw_text_clear(&text);
  return status;
}

static thaw_status write_attributes(thaw_h5 *h5, const thaw_graph *graph, const thaw_export_options *options) {
  thaw_text config = {0};
  thaw_status status = thaw_weight_model_config(graph, options->name, &config);
  if (status == THAW_OK) status = thaw_h5_set_text(h5, "/", "model_config", config.data);
  thaw_text_clear(&config);
  THAW_TRY(status);
  THAW_TRY(thaw_h5_set_text(h5, "/", "backend", "tensorflow"));
  THAW_TRY(thaw_h5_set_text(h5, "/", "keras_version", "2.15.0")); /* whose layout this is */
  if (options->training) THAW_TRY(write_training(h5, options->training));
  if (options->preprocessing) THAW_TRY(thaw_h5_set_text(h5, "/", "preprocessing", options->preprocessing));
  if (options->classes && options->classes->count)
    THAW_TRY(thaw_h5_set_strings(h5, "/", "class_names", options->classes));
  return thaw_h5_set_text(h5, "/", "generator", "thaw " THAW_VERSION);
}

thaw_status thaw_weights_export(const thaw_graph *graph, const char *path, const thaw_export_options *options) {
  static const thaw_export_options none = {0};
  thaw_h5 *h5;
  THAW_TRY(thaw_h5_create(path, &h5));
  thaw_status status = write_attributes(h5, graph, options ? options : &none);
  if (status == THAW_OK) status = thaw_weight_write_layers(h5, "/model_weights", graph, true);
  if (status == THAW_OK) return thaw_h5_commit(h5);
  thaw_h5_close(h5);
  return status;
}
