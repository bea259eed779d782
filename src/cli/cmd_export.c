/* thaw export: a trained run as a model file. */
#include "cli/run.h"
#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/weights.h"

#include <string.h>

static const char details[] =
    "Writes the whole network (backbone, head, architecture as JSON) into one file that opens with\n"
    "keras.models.load_model(FILE), compiled with the job's loss, metrics and last optimiser. The name says which "
    "format:\n"
    ".keras is Keras 3's archive, with the optimiser's state, so that fit goes on where the run ended; .h5 the older\n"
    "HDF5 file, without that state; .weights.h5 Keras 3's weights alone (model.load_weights); .onnx an ONNX model\n"
    "(operators of version 13, or 17 where a layer needs it) for images in the order N, H, W, C, as onnxruntime\n"
    "opens it.\n"
    "The model takes images as the backbone expects them: the attribute `preprocessing` of the .h5 file, and the "
    "member\n"
    "thaw.json of the archive, say how (caffe, tf, torch, raw), `class_names` what its outputs mean; in an ONNX model\n"
    "these are metadata_props. Of a run with arcface, cosface or triplet it is the embedding that is written: without\n"
    "the cosine_dense at the end, and not compiled.\n\n"
    "  thaw export runs/chest-vgg16 --output chest.keras\n";

typedef struct export_options {
  const char *checkpoint, *output;
  bool weights_only, overwrite;
} export_options;

static thaw_status parse(cli_context *cli, export_options *o) {
  const cli_option options[] = {
      cli_output_option(&o->output, "model.h5 in the run folder",
                        "the file to write: .keras, .h5, .weights.h5 or .onnx"),
      cli_checkpoint_option(&o->checkpoint),
      {.name = "weights-only",
       .kind = CLI_FLAG,
       .target = &o->weights_only,
       .help = "write weights without the architecture, for model.load_weights"},
      {.name = "overwrite", .kind = CLI_FLAG, .target = &o->overwrite, .help = "replace a file that is there"},
  };
  const cli_usage usage = {.positional = "RUN",
                           .summary = "Exports a trained run as a Keras or ONNX model.",
                           .details = details,
                           .min = 1,
                           .max = 1,
                           .options = options,
                           .count = sizeof options / sizeof *options};
  return cli_parse(cli, &usage);
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), size = strlen(end);
  return length >= size && strcmp(text + length - size, end) == 0;
}

static thaw_status write_as(const thaw_session *s, const char *path, const thaw_export_options *options) {
  if (ends_with(path, ".onnx")) return thaw_weights_export_onnx(s->graph, path, options);
  return ends_with(path, ".keras") ? thaw_weights_export_keras(s->graph, path, options)
                                   : thaw_weights_export(s->graph, path, options);
}

/* Embeddings: their outputs name no classes, and Keras does not know what they were trained by. */
static bool is_embedding(const thaw_session *s) {
  return s->loss->evaluate_batch || s->loss->probabilities;
}

/* Whole models carry what Keras needs to go on training. */
static thaw_status write_whole(const cli_run *run, const char *path) {
  const thaw_session *s = run->session;
  thaw_keras_training_text text;
  thaw_keras_slots *slots = NULL;
  const thaw_export_options bare = {.name = run->job->name,
                                    .preprocessing = thaw_preprocessing_names[s->input.preprocessing]};
  if (is_embedding(s)) return write_as(s, path, &bare);
  thaw_status status = thaw_keras_training(run->job, s->phase, &text);
  /* Of a .h5 file with optimizer_weights Keras 3 (to 3.15 at least) builds the optimiser for no variables at all, and
   * fit then fails: load_model_from_hdf5 in keras/src/legacy/saving/legacy_h5_format.py. */
  bool archive = ends_with(path, ".keras");
  if (status == THAW_OK && archive) status = thaw_keras_slots_read(run->checkpoint, run->job, s->phase, &slots);
  const thaw_export_training training = {.slots = slots ? thaw_keras_slots_view(slots) : NULL,
                                         .optimizer_class = text.optimizer_class,
                                         .optimizer_config = text.optimizer_config.data,
                                         .loss = text.loss.data,
                                         .metrics = text.metrics.data,
                                         .loss_weights = text.loss_weights.data};
  const thaw_export_options options = {.name = run->job->name,
                                       .preprocessing = thaw_preprocessing_names[s->input.preprocessing],
                                       .classes = &s->classes,
                                       .training = &training};
  if (status == THAW_OK) status = write_as(s, path, &options);
  thaw_keras_slots_free(slots);
  thaw_keras_training_clear(&text);
  return status;
}

static thaw_status write_model(const cli_run *run, const char *path, const export_options *o) {
  const thaw_session *s = run->session;
  if (thaw_file_exists(path) && !o->overwrite)
    return thaw_fail(THAW_ERR_USAGE, "%s is there already; give another --output, or --overwrite", path);
  if (ends_with(path, ".weights.h5")) return thaw_weights_save_objects(s->graph, path);
  return o->weights_only ? thaw_weights_save(s->graph, path, true) : write_whole(run, path);
}

static thaw_status export_run(cli_context *cli, const cli_run *run, const export_options *o) {
  char number[32], *path = o->output ? thaw_copy_text(o->output) : thaw_path_join(run->folder, "model.h5");
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && cli_is_root(cli)) status = write_model(run, path, o);
  status = cli_share_status(cli, status);
  if (status == THAW_OK)
    thaw_info(cli->log, "wrote %s: %s parameters, from %s", path,
              thaw_format_count(thaw_graph_param_count(run->session->graph, false), number), run->checkpoint);
  thaw_free(path);
  return status;
}

thaw_status cli_export(cli_context *cli) {
  export_options o = {0};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  const thaw_session_options options = {.embedding = true}; /* margins belong to the training */
  cli_run run;
  THAW_TRY(cli_run_open(cli, cli->argument[0], o.checkpoint, &options, &run));
  thaw_status status = export_run(cli, &run, &o);
  cli_run_close(&run);
  return status;
}
