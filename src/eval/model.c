#include "thaw/predict.h"

#include "thaw/file.h"
#include "thaw/loader.h"
#include "thaw/memory.h"
#include "thaw/weights.h"

#include <pthread.h>
#include <string.h>

enum { BATCH = 16 };

struct thaw_model {
  thaw_graph *graph;
  thaw_plan *plan;
  void *packed;
  thaw_model_facts facts;
  thaw_preprocessing preprocessing;
  thaw_shape input;
  int32_t outputs;
  float *images;        /* [BATCH] preprocessed */
  pthread_mutex_t lock; /* of plan and images */
  bool lock_ready;
};

/* The export inside a run folder, or the path itself. thaw_free. */
static thaw_status find_file(const char *path, char **out) {
  static const char *const names[] = {"model.keras", "model.h5"};
  if (!thaw_folder_exists(path)) {
    *out = thaw_copy_text(path);
    return *out ? THAW_OK : THAW_ERR_MEMORY;
  }
  for (size_t i = 0; i < 2; i++) {
    *out = thaw_path_join(path, names[i]);
    if (!*out) return THAW_ERR_MEMORY;
    if (thaw_file_exists(*out)) return THAW_OK;
    thaw_free(*out);
    *out = NULL;
  }
  return thaw_fail(THAW_ERR_DATA, "%s: holds neither model.keras nor model.h5 (thaw export writes one)", path);
}

static thaw_status choose_preprocessing(thaw_model *model, const char *path) {
  const char *mode = model->facts.preprocessing;
  model->preprocessing = THAW_PREPROCESS_RAW;
  if (!mode) return THAW_OK;
  for (int32_t i = 0; thaw_preprocessing_names[i]; i++)
    if (strcmp(thaw_preprocessing_names[i], mode) == 0) {
      model->preprocessing = (thaw_preprocessing)i;
      return THAW_OK;
    }
  return thaw_fail(THAW_ERR_DATA, "%s: its preprocessing '%s' is not known", path, mode);
}

static thaw_status read_network(thaw_model *model, const char *path, int32_t *last) {
  char digest[65];
  THAW_TRY(thaw_weights_read_facts(path, &model->facts));
  THAW_TRY(choose_preprocessing(model, path));
  THAW_TRY(thaw_weights_read_model(path, NULL, NULL, &model->graph, last));
  model->input = thaw_graph_view(model->graph, 0)->layer.output;
  if (model->input.rank != 3) return thaw_fail(THAW_ERR_DATA, "%s: the model does not take images", path);
  if (*last == 0) return thaw_fail(THAW_ERR_DATA, "%s: the model has no layers", path);
  THAW_TRY(thaw_graph_bind(model->graph));
  return thaw_weights_load(model->graph, path, NULL, digest);
}

static thaw_status compile(thaw_model *model, int32_t last) {
  const thaw_isa *isa;
  const thaw_plan_options options = {.batch = BATCH, .threads = 1};
  THAW_TRY(thaw_isa_select(NULL, &isa));
  THAW_TRY(thaw_plan_create(model->graph, &last, 1, isa, &options, &model->plan));
  model->packed = thaw_new(thaw_plan_packed_bytes(model->plan) + 1, 1);
  model->images = thaw_new(BATCH * thaw_shape_count(model->input), sizeof *model->images);
  if (!model->packed || !model->images) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_plan_pack(model->plan, model->packed));
  thaw_plan_use(model->plan, model->packed);
  model->outputs = (int32_t)thaw_plan_output_floats(model->plan);
  model->lock_ready = pthread_mutex_init(&model->lock, NULL) == 0;
  return model->lock_ready ? THAW_OK : thaw_fail(THAW_ERR_RUN, "a lock could not be made");
}

thaw_status thaw_model_load(const char *path, thaw_model **out) {
  char *file;
  int32_t last;
  *out = NULL;
  THAW_TRY(find_file(path, &file));
  thaw_model *model = thaw_new(1, sizeof *model);
  thaw_status status = model ? read_network(model, file, &last) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = compile(model, last);
  thaw_free(file);
  if (status == THAW_OK)
    *out = model;
  else
    thaw_model_free(model);
  return status;
}

void thaw_model_free(thaw_model *model) {
  if (!model) return;
  if (model->lock_ready) pthread_mutex_destroy(&model->lock);
  thaw_plan_destroy(model->plan);
  thaw_graph_destroy(model->graph);
  thaw_model_facts_clear(&model->facts);
  thaw_free(model->packed);
  thaw_free(model->images);
  thaw_free(model);
}

void thaw_model_input(const thaw_model *model, int32_t *height, int32_t *width, int32_t *channels) {
  *height = model->input.h;
  *width = model->input.w;
  *channels = model->input.c;
}

int32_t thaw_model_outputs(const thaw_model *model) {
  return model->outputs;
}

const char *thaw_model_class(const thaw_model *model, int32_t index) {
  return index >= 0 && (size_t)index < model->facts.classes.count ? model->facts.classes.item[index] : "";
}

thaw_status thaw_model_predict(thaw_model *model, const float *images, int32_t n, float *outputs) {
  if (!model || n < 0 || (n > 0 && (!images || !outputs)))
    return thaw_fail(THAW_ERR_USAGE, "thaw_model_predict: needs a model, images and room for outputs");
  size_t count = thaw_shape_count(model->input), pixels = (size_t)model->input.h * (size_t)model->input.w;
  pthread_mutex_lock(&model->lock);
  for (int32_t first = 0; first < n; first += BATCH) {
    int32_t part = n - first < BATCH ? n - first : BATCH;
    memcpy(model->images, images + (size_t)first * count, (size_t)part * count * sizeof *images);
    thaw_preprocess(model->preprocessing, model->images, (size_t)part * pixels, model->input.c);
    thaw_plan_run(model->plan, model->images, part, outputs + (size_t)first * (size_t)model->outputs);
  }
  pthread_mutex_unlock(&model->lock);
  return THAW_OK;
}
