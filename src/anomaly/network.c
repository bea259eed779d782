/* The frozen network up to the layers whose features are taken. */
#include "anomaly/anomaly_private.h"
#include "thaw/weights.h"

#include <math.h>
#include <string.h>

static thaw_status build_model(thaw_anomaly *m, const thaw_shape *input, int32_t *last) {
  thaw_model_facts facts;
  THAW_TRY(thaw_weights_read_facts(m->weights, &facts));
  m->input.preprocessing = THAW_PREPROCESS_RAW;
  for (int32_t i = 0; facts.preprocessing && thaw_preprocessing_names[i]; i++)
    if (strcmp(facts.preprocessing, thaw_preprocessing_names[i]) == 0) m->input.preprocessing = (thaw_preprocessing)i;
  thaw_model_facts_clear(&facts);
  return thaw_weights_read_model(m->weights, input->h ? input : NULL, NULL, &m->graph, last);
}

/* The architecture by name, or as the weights tell it; a whole model as it is. */
static thaw_status build(thaw_anomaly *m, int32_t *last) {
  const thaw_architecture *architecture = NULL;
  char *cut = NULL;
  thaw_shape input = {.rank = 3, .h = m->config.h, .w = m->config.w, .c = 3};
  if (m->architecture) {
    architecture = thaw_architecture_find(m->architecture);
  } else {
    if (!m->weights) return thaw_fail(THAW_ERR_USAGE, "an architecture or a weight file is needed");
    THAW_TRY(thaw_weights_identify(m->weights, &architecture, &cut));
    if (!architecture) return build_model(m, &input, last);
    m->architecture = thaw_copy_text(architecture->name);
    if (!m->architecture) return THAW_ERR_MEMORY;
  }
  if (architecture && !input.h) input.h = input.w = architecture->default_size;
  thaw_status status = thaw_zoo_build(m->architecture, input, cut, &m->graph, last);
  thaw_free(cut);
  if (status != THAW_OK) return status;
  m->input.preprocessing = architecture->preprocessing;
  if (m->weights && thaw_weights_are_torch(m->weights)) m->input.preprocessing = THAW_PREPROCESS_TORCH;
  return THAW_OK;
}

static bool is_candidate(const thaw_layer *layer) {
  const char *type = layer->ops->schema->name;
  return layer->output.rank == 3 && !strstr(type, "pooling") && !strstr(type, "padding") && !layer->ops->random;
}

/* The last layer whose output is about 1 / 2^stage of the input; -1: none. */
static int32_t stage_layer(const thaw_graph *graph, int32_t stage) {
  const thaw_shape input = thaw_graph_view(graph, 0)->layer.output;
  for (int32_t i = thaw_graph_count(graph) - 1; i > 0; i--) {
    const thaw_layer *layer = &thaw_graph_view(graph, i)->layer;
    if (is_candidate(layer) && lrint(log2((double)input.h / layer->output.h)) == stage) return i;
  }
  return -1;
}

static thaw_status choose_layers(thaw_anomaly *m) {
  int32_t first = m->config.method == THAW_ANOMALY_PADIM ? 2 : 3;
  for (int32_t stage = first; stage <= 4; stage++) {
    int32_t node = stage_layer(m->graph, stage);
    if (node >= 0) THAW_TRY(thaw_strings_add(&m->names, thaw_graph_view(m->graph, node)->layer.name));
  }
  if (m->names.count) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "the network has no layer of stride %d to 16; name some", 1 << first);
}

static thaw_status no_such_layer(const thaw_graph *graph, const char *name) {
  const char **names = thaw_new((size_t)thaw_graph_count(graph), sizeof *names);
  if (!names) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) names[i] = thaw_graph_view(graph, i)->layer.name;
  const char *near = thaw_nearest(name, names, (size_t)thaw_graph_count(graph));
  thaw_status status = thaw_fail(THAW_ERR_USAGE, "layer '%s': the network has no such layer%s%s%s", name,
                                 near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
  thaw_free(names);
  return status;
}

static thaw_status find_layers(const thaw_anomaly *m, int32_t *node) {
  for (size_t i = 0; i < m->names.count; i++) {
    node[i] = thaw_graph_find(m->graph, m->names.item[i]);
    if (node[i] < 0) return no_such_layer(m->graph, m->names.item[i]);
    const thaw_layer *layer = &thaw_graph_view(m->graph, node[i])->layer;
    if (layer->output.rank != 3 || layer->output.h < 2 || layer->output.w < 2)
      return thaw_fail(THAW_ERR_USAGE, "layer '%s': its output is no image, it has no places to tell apart",
                       layer->name);
    for (size_t j = 0; j < i; j++)
      if (node[j] == node[i]) return thaw_fail(THAW_ERR_USAGE, "layer '%s' is named twice", layer->name);
  }
  return THAW_OK;
}

/* Whether every layer is needed for the last of them: then the rest of the network may go. */
static bool one_needs_all(const thaw_graph *graph, const int32_t *node, size_t count, int32_t last, bool *needed) {
  needed[last] = true;
  for (int32_t i = last; i >= 0; i--) {
    const thaw_node *view = thaw_graph_view(graph, i);
    for (int32_t j = 0; needed[i] && j < view->layer.inputs; j++) needed[view->input[j]] = true;
  }
  for (size_t i = 0; i < count; i++)
    if (!needed[node[i]]) return false;
  return true;
}

static thaw_status truncate(thaw_anomaly *m) {
  int32_t node[THAW_ANOMALY_MAX_LAYERS], last = 0;
  THAW_TRY(find_layers(m, node));
  for (size_t i = 0; i < m->names.count; i++)
    if (node[i] > last) last = node[i];
  bool *needed = thaw_new((size_t)thaw_graph_count(m->graph), sizeof *needed);
  if (!needed) return THAW_ERR_MEMORY;
  bool all = one_needs_all(m->graph, node, m->names.count, last, needed);
  thaw_free(needed);
  return all ? thaw_graph_truncate(m->graph, last) : THAW_OK;
}

static void describe_layers(thaw_anomaly *m, const int32_t *node) {
  m->h = m->w = m->channels = 0;
  m->floats = 0;
  for (size_t i = 0; i < m->names.count; i++) {
    const thaw_shape shape = thaw_graph_view(m->graph, node[i])->layer.output;
    m->layer[i] = (anomaly_layer){
        .h = shape.h, .w = shape.w, .c = shape.c, .offset = m->floats, .first = m->channels, .scale = 1};
    m->floats += thaw_shape_count(shape);
    m->channels += shape.c;
    if (shape.h > m->h) m->h = shape.h;
    if (shape.w > m->w) m->w = shape.w;
  }
}

static thaw_status prepare(thaw_anomaly *m, thaw_log *log, int32_t *node) {
  int32_t last;
  THAW_TRY(build(m, &last));
  if (thaw_graph_view(m->graph, 0)->layer.output.rank != 3)
    return thaw_fail(THAW_ERR_DATA, "%s: the model does not take images", m->weights);
  if (!m->names.count) THAW_TRY(choose_layers(m));
  THAW_TRY(truncate(m));
  THAW_TRY(find_layers(m, node));
  describe_layers(m, node);
  const thaw_shape input = thaw_graph_view(m->graph, 0)->layer.output;
  m->input.h = m->config.h = input.h;
  m->input.w = m->config.w = input.w;
  m->input.c = input.c;
  m->input.allow_resize = true;
  THAW_TRY(thaw_graph_bind(m->graph));
  if (m->weights) return thaw_weights_load(m->graph, m->weights, log, m->digest);
  thaw_graph_initialize(m->graph, m->config.seed, false);
  return thaw_weights_digest(m->graph, false, m->digest);
}

/* [collective] */
static thaw_status pack(thaw_anomaly *m, const int32_t *node) {
  const thaw_plan_options options = {.batch = ANOMALY_BATCH, .threads = 1};
  THAW_TRY(thaw_agree(m->comm, thaw_plan_create(m->graph, node, (int32_t)m->names.count, m->isa, &options, &m->plan)));
  THAW_TRY(thaw_shared_create(m->comm, thaw_plan_packed_bytes(m->plan), &m->packed));
  thaw_status status =
      thaw_shared_must_fill(m->packed) ? thaw_plan_pack(m->plan, thaw_shared_data(m->packed)) : THAW_OK;
  THAW_TRY(thaw_agree(m->comm, status));
  THAW_TRY(thaw_shared_publish(m->packed));
  thaw_plan_use(m->plan, thaw_shared_data(m->packed));
  bool *constant = thaw_new((size_t)thaw_graph_count(m->graph), sizeof *constant);
  for (int32_t i = 0; constant && i < thaw_graph_count(m->graph); i++) constant[i] = true;
  if (constant) thaw_graph_release_constant(m->graph, constant);
  thaw_free(constant);
  size_t inputs = (size_t)m->input.h * (size_t)m->input.w * (size_t)m->input.c;
  m->x = thaw_new(ANOMALY_BATCH * inputs, sizeof *m->x);
  m->feature = thaw_new(ANOMALY_BATCH * m->floats, sizeof *m->feature);
  status = constant && m->x && m->feature ? anomaly_embed_prepare(m) : THAW_ERR_MEMORY;
  return thaw_agree(m->comm, status);
}

thaw_status anomaly_network_open(thaw_anomaly *m, thaw_log *log) {
  int32_t node[THAW_ANOMALY_MAX_LAYERS];
  THAW_TRY(thaw_agree(m->comm, prepare(m, log, node)));
  THAW_TRY(thaw_agree_same(m->comm, "weights", m->digest));
  return pack(m, node);
}

void anomaly_network_close(thaw_anomaly *m) {
  thaw_plan_destroy(m->plan);
  if (m->packed) thaw_shared_destroy(m->packed);
  thaw_graph_destroy(m->graph);
  thaw_free(m->x);
  thaw_free(m->feature);
  thaw_free(m->embedding);
  thaw_free(m->channel);
  thaw_free(m->work);
  thaw_free(m->enlarged);
}
