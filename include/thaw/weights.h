/* weights.h: weight and model files in and out. All [local]. */
#ifndef THAW_WEIGHTS_H
#define THAW_WEIGHTS_H

#include "thaw/file.h"
#include "thaw/graph.h"
#include "thaw/log.h"
#include "thaw/zoo.h"

/* Reads backbone weights (Keras legacy HDF5: layer_names/weight_names; a full .h5 with /model_weights; Keras 3's files;
 * safetensors with PyTorch's names) into the graph's nodes that are not head. By layer name first; if no name matches,
 * by order with shape check. A mismatch names file, layer, expected and found shape. NaN weights are refused. `log`
 * gets the map on VERBOSE. digest_out: SHA-256 over the loaded values in graph order. Layers of the file beyond the
 * graph's cut are ignored; a top (dense layers) too. */
thaw_status thaw_weights_load(thaw_graph *graph, const char *path, thaw_log *log, char digest_out[65]) THAW_CHECKED;
/* The network of a whole Keras model: a full-model .h5 or a .keras archive, Functional or Sequential, nested or not,
 * without its weights (thaw_weights_load reads them from the same file). input NULL: the model's own size. cut NULL: up
 * to its only output. THAW_ERR_DATA naming layer and position for layers or options that are not supported. */
thaw_status thaw_weights_read_model(const char *path, const thaw_shape *input, const char *cut, thaw_graph **out,
                                    int32_t *last_out) THAW_CHECKED;
/* What thaw wrote into a model that it exported; empty for any other model. */
typedef struct thaw_model_facts {
  char *preprocessing; /* or NULL */
  thaw_strings classes;
} thaw_model_facts;
thaw_status thaw_weights_read_facts(const char *path, thaw_model_facts *out) THAW_CHECKED;
void thaw_model_facts_clear(thaw_model_facts *facts);
/* Digest over the current frozen parameter values, as thaw_weights_load computes it. */
thaw_status thaw_weights_digest(const thaw_graph *graph, bool head_too, char digest_out[65]) THAW_CHECKED;
/* True for a file that thaw_weights_load and thaw_weights_describe can open. */
bool thaw_weights_recognize(const char *path);
/* True for a file with PyTorch's names, whose networks take images in the mode "torch". */
bool thaw_weights_are_torch(const char *path);
/* The architecture whose layers, by name and shape, the file has most of: NULL where it has too few. cut_out
 * (thaw_free): the last of its layers in the file, NULL when the file has all. */
thaw_status thaw_weights_identify(const char *path, const thaw_architecture **out, char **cut_out) THAW_CHECKED;
/* A table of layers, shapes, digests, and which architecture it is. */
thaw_status thaw_weights_describe(const char *path, thaw_text *out) THAW_CHECKED;

/* An optimiser's state, for .keras archives. `slot` gives the values (as many as the parameter has), NULL where all are
 * zero. Of the first `interleaved` slots Keras keeps one parameter's together; the others follow slot by slot. */
typedef struct thaw_export_slots {
  int64_t iterations;
  double learning_rate;
  int32_t slots, interleaved;
  const float *(*slot)(const void *context, const char *layer, const char *param, int32_t slot);
  const void *context;
} thaw_export_slots;

/* With what Keras may go on training; JSON texts. */
typedef struct thaw_export_training {
  const thaw_export_slots *slots;                 /* NULL: Keras' optimiser begins anew */
  const char *optimizer_class, *optimizer_config; /* "Adam", {"learning_rate": 0.001, ...} */
  const char *loss, *metrics;                     /* "categorical_crossentropy" or an object; ["accuracy"]; of several
                                                     heads objects with a member for each */
  const char *loss_weights;                       /* of several heads; NULL: none */
} thaw_export_training;
typedef struct thaw_export_options {
  const char *name;                     /* of the model */
  const char *preprocessing;            /* recorded in an attribute, "caffe", ... */
  const thaw_strings *classes;          /* recorded in an attribute; may be NULL */
  const thaw_export_training *training; /* may be NULL */
} thaw_export_options;
/* The whole network as a Keras legacy HDF5 model: model_config JSON + /model_weights. Opens with
 * keras.models.load_model. */
thaw_status thaw_weights_export(const thaw_graph *graph, const char *path,
                                const thaw_export_options *options) THAW_CHECKED;
/* The same as a .keras archive. What Keras has no place for (preprocessing, classes) is in its member thaw.json. */
thaw_status thaw_weights_export_keras(const thaw_graph *graph, const char *path,
                                      const thaw_export_options *options) THAW_CHECKED;
/* The same as an ONNX model (operators of version 13) for images [N][h][w][c]; metadata_props say preprocessing and
 * class_names. Nodes are called as the layers. THAW_ERR_DATA when thaw was built without protobuf-c. */
thaw_status thaw_weights_export_onnx(const thaw_graph *graph, const char *path,
                                     const thaw_export_options *options) THAW_CHECKED;
/* Weights only, in Keras 3's layout (.weights.h5): the whole network. */
thaw_status thaw_weights_save_objects(const thaw_graph *graph, const char *path) THAW_CHECKED;
/* Weights only, legacy notop layout (backbone nodes only when !head_too). */
thaw_status thaw_weights_save(const thaw_graph *graph, const char *path, bool head_too) THAW_CHECKED;

#endif
