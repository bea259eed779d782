/* weights_private.h: what the files of this folder share: a weight file opened and looked through. */
#ifndef THAW_WEIGHTS_PRIVATE_H
#define THAW_WEIGHTS_PRIVATE_H

#include "thaw/h5.h"
#include "thaw/weights.h"

/* What a variable is, whatever the writer called it. */
typedef enum thaw_weight_role {
  THAW_ROLE_OTHER,
  THAW_ROLE_KERNEL,    /* kernel, depthwise_kernel, W */
  THAW_ROLE_POINTWISE, /* pointwise_kernel: the second one of SeparableConv2D */
  THAW_ROLE_BIAS,      /* bias, b */
  THAW_ROLE_GAMMA,
  THAW_ROLE_BETA,
  THAW_ROLE_MEAN,    /* moving_mean, running_mean */
  THAW_ROLE_ALPHA,   /* the slopes of PReLU */
  THAW_ROLE_COUNT,   /* count: an integer of Normalization */
  THAW_ROLE_VARIANCE /* moving_variance, running_var, and the old running_std, which holds a variance */
} thaw_weight_role;
/* From the last part of a name: "block1_conv1/kernel:0", "conv1_W_1:0", "bn_conv1_running_std:0". */
thaw_weight_role thaw_weight_role_of(const char *name);

typedef struct thaw_weight {
  char *name;    /* as the file calls it */
  char *dataset; /* its absolute path in the file */
  thaw_weight_role role;
  thaw_h5_info info;  /* of the values as thaw_weight_read gives them, in Keras' order of dimensions */
  const char *stored; /* the name of a type that HDF5 has not ("bfloat16"); NULL: info.type's */
  size_t position;    /* of the tensor in a file that is not HDF5 */
  bool torch;         /* PyTorch does not tell a depthwise kernel from one with a single input channel */
} thaw_weight;

typedef struct thaw_weight_layer {
  char *name;
  thaw_weight *weight;
  size_t count, capacity;
} thaw_weight_layer;

/* Files that are not HDF5. */
struct thaw_weight_file;
typedef struct thaw_weight_store {
  thaw_status (*read)(const struct thaw_weight_file *file, const thaw_weight *weight, float *out);
  void (*close)(void *state);
} thaw_weight_store;

typedef struct thaw_weight_file {
  thaw_h5 *h5;                    /* or NULL, and then: */
  const thaw_weight_store *store; /* what reads it, */
  void *state;                    /* owned by it */
  const char *path;               /* borrowed */
  char *layout;                   /* "Keras legacy HDF5 weights", for messages */
  char *version;                  /* keras_version, or NULL */
  thaw_weight_layer *layer;       /* only layers with weights, in the file's order */
  size_t count, capacity;
  bool named; /* false: layer names say class and number only ("conv2d_3") */
} thaw_weight_file;

/* Reads the directory, not the values. On failure nothing stays open. */
thaw_status thaw_weight_file_open(const char *path, thaw_weight_file *out) THAW_CHECKED;
/* For images of this shape: in ONNX models the order of a dense layer's weights may depend on it. */
thaw_status thaw_weight_file_open_for(const char *path, const thaw_shape *input, thaw_weight_file *out) THAW_CHECKED;
/* Opens an HDF5 file, or the one inside a .keras archive. */
thaw_status thaw_weight_open_h5(const char *path, thaw_h5 **out) THAW_CHECKED;
void thaw_weight_file_close(thaw_weight_file *file);
/* The layer called `name`, added when absent; NULL when memory is gone. */
thaw_weight_layer *thaw_weight_file_layer(thaw_weight_file *file, const char *name);
/* The layer called `name`, or NULL. */
const thaw_weight_layer *thaw_weight_file_find(const thaw_weight_file *file, const char *name);
/* Adds the variable `name`, stored in `dataset`, to a layer; `role` OTHER: told from the name. */
thaw_status thaw_weight_file_add(thaw_weight_file *file, thaw_weight_layer *layer, const char *name,
                                 const char *dataset, thaw_weight_role role) THAW_CHECKED;
/* The same for a variable of which all is known; `name` and `dataset` are copied. */
thaw_status thaw_weight_layer_add(thaw_weight_layer *layer, const thaw_weight *weight) THAW_CHECKED;
/* All info.count values as float32. */
thaw_status thaw_weight_read(const thaw_weight_file *file, const thaw_weight *weight, float *out) THAW_CHECKED;
const char *thaw_weight_type_name(const thaw_weight *weight);
/* Keras 3's .weights.h5: /layers/<class>_<n>/vars/<i>. */
bool thaw_weight_file_is_object_tree(thaw_h5 *h5);
thaw_status thaw_weight_file_read_object_tree(thaw_weight_file *file) THAW_CHECKED;

/* safetensors files with the names of PyTorch's modules. */
bool thaw_weight_is_safetensors(const char *path);
thaw_status thaw_weight_open_safetensors(thaw_weight_file *file) THAW_CHECKED;

/* The layer's weight of that role, or NULL. */
const thaw_weight *thaw_weight_find(const thaw_weight_layer *layer, thaw_weight_role role);
/* A dense layer: one kernel of two dimensions. Backbones have none, tops have. */
bool thaw_weight_layer_is_dense(const thaw_weight_layer *layer);

/* "(3, 3, 64, 128)" */
const char *thaw_weight_shape_text(const thaw_h5_info *info, char out[96]);
const char *thaw_param_shape_text(const thaw_param *param, char out[96]);

/* Which graph layer gets which file layer. */
typedef struct thaw_weight_map {
  const thaw_weight_layer **layer; /* [graph count]; NULL where the node has no weights or is not wanted */
  int32_t layers;                  /* entries that are not NULL */
  const char *how;                 /* "by name", "by order", "by class and number" */
  bool old_resnet;                 /* names were translated */
  bool torch_densenet;             /* the same, from torchvision's */
} thaw_weight_map;
/* For the backbone's nodes (all nodes when head_too). Checks every shape. */
thaw_status thaw_weight_map_make(const thaw_graph *graph, const thaw_weight_file *file, bool head_too,
                                 thaw_weight_map *out) THAW_CHECKED;
void thaw_weight_map_clear(thaw_weight_map *map);
/* The weight of `layer` that belongs to `param`, or NULL. */
const thaw_weight *thaw_weight_for_param(const thaw_weight_layer *layer, const thaw_param *param);
bool thaw_weight_shape_matches(const thaw_weight *weight, const thaw_param *param);

/* Whether node `index` is a convolution or normalization that reads the image itself. */
bool thaw_weight_reads_image(const thaw_graph *graph, int32_t index);
/* Whether the weight is `param` but for 3 image channels instead of another number; then its values become param's. */
bool thaw_weight_fits_colours(const thaw_weight *weight, const thaw_param *param);
void thaw_weight_convert_colours(const float *from, const thaw_param *param);

/* The name that the first generation of ResNet50 files gives a layer, or NULL: "res2a_branch2a" of
 * "conv2_block1_1_conv". */
char *thaw_weight_old_resnet_name(const char *name, char out[32]);
/* The name that torchvision gives a layer of DenseNet, or NULL: "features.denseblock1.denselayer1.norm1" of
 * "conv2_block1_0_bn". */
char *thaw_weight_torch_densenet_name(const char *name, char out[64]);
/* The epsilon of the backbone's batch-norm layers. */
void thaw_weight_use_epsilon(thaw_graph *graph, double epsilon);

/* The network of a model_config (thaw_weights_read_model); `path` is for messages. */
thaw_status thaw_weight_parse_model(const char *path, const char *text, size_t size, const thaw_shape *input,
                                    const char *cut, thaw_graph **out) THAW_CHECKED;

/* "MobileNetV2 up to block_10_project_BN", appended; "an unknown architecture" when no architecture fits. */
void thaw_weight_guess(const thaw_weight_file *file, thaw_text *out);
typedef struct thaw_likeness {
  int32_t matched, total; /* of the architecture's layers */
  const char *last;       /* the last layer found; borrowed from the file */
} thaw_likeness;
/* The architecture with most layers in common, by name and shape; NULL when they are less than half of the file's. */
const thaw_architecture *thaw_weight_most_like(const thaw_weight_file *file, thaw_likeness *found);
/* For a file with layers that the network has not: refuses it when it is an architecture in which some of them come
 * before the network's last layer, as VGG19's do in VGG16, or ResNet101's in ResNet50. */
thaw_status thaw_weight_check_family(const thaw_graph *graph, const thaw_weight_file *file) THAW_CHECKED;

/* The nodes in the order of Keras' model.layers; order [graph count]. Nodes that the output does not need are left out.
 */
thaw_status thaw_weight_keras_order(const thaw_graph *graph, int32_t *order, int32_t *count_out) THAW_CHECKED;
/* thaw_weights_save_objects, with the optimiser's state where `slots` is not NULL. */
thaw_status thaw_weight_save_objects(const thaw_graph *graph, const char *path,
                                     const thaw_export_slots *slots) THAW_CHECKED;
/* {"optimizer": ..., "loss": ...}: the arguments of Keras 3's compile. */
void thaw_weight_add_compile(const thaw_export_training *training, thaw_text *out);
/* Keras' model_config. */
thaw_status thaw_weight_model_config(const thaw_graph *graph, const char *name, thaw_text *out) THAW_CHECKED;
/* Writes layer_names, weight_names and the datasets under the group `root` ("" for the file's root). */
thaw_status thaw_weight_write_layers(thaw_h5 *h5, const char *root, const thaw_graph *graph,
                                     bool head_too) THAW_CHECKED;

#endif
