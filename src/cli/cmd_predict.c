/* thaw predict: probabilities and classes for shards, or for images straight from a folder. */
#include "cli/predict_tiles.h"
#include "cli/predictions.h"
#include "cli/run.h"
#include "thaw/memory.h"

#include <string.h>

typedef struct predict_options {
  const char *checkpoint, *output, *isa;
  bool strict;
  predict_tiles tiles;
} predict_options;

static const char *const merges[] = {"mean", "max", NULL};

static thaw_status parse(cli_context *cli, predict_options *o) {
  const cli_option options[] = {
      cli_output_option(&o->output, "predictions.csv in the run folder", "CSV, or HDF5 when the name ends with .h5"),
      cli_checkpoint_option(&o->checkpoint),
      {.name = "strict", .kind = CLI_FLAG, .target = &o->strict, .help = "an image that cannot be read is an error"},
      {.name = "tile",
       .kind = CLI_INT,
       .target = &o->tiles.tile,
       .high = 65500,
       .help = "take images in windows of this side, pixels, and merge their outputs; 0: whole images"},
      {.name = "tile-stride",
       .kind = CLI_INT,
       .target = &o->tiles.stride,
       .high = 65500,
       .fallback = "half the window",
       .help = "pixels from window to window"},
      {.name = "merge", .kind = CLI_CHOICE, .target = &o->tiles.merge, .choices = merges, .help = "of windows"},
      {.name = "maps",
       .kind = CLI_TEXT,
       .target = &o->tiles.maps,
       .value = "FOLDER",
       .help = "with --tile: heat maps of an output over each image, 0001.png ... in the order of the rows"},
      {.name = "map-class",
       .kind = CLI_TEXT,
       .target = &o->tiles.class,
       .value = "NAME",
       .fallback = "the last",
       .help = "whose output"},
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {
      .positional = "RUN SOURCE",
      .min = 2,
      .max = 2,
      .options = options,
      .count = sizeof options / sizeof *options,
      .summary = "Predicts with a trained run: one row per image with its id, class and the network's outputs.",
      .details =
          "SOURCE is a catalog.yaml, a shard, a folder with a catalog.yaml, an image file, or a folder of PNG, JPEG,\n"
          "DICOM and NIfTI files of any size. They are made as the import made the training images (import.yaml in\n"
          "the run: window, frames, axis, fit, size), so a file and its sample in a shard give the same numbers; each\n"
          "frame or slice is a row. Or PNG and JPEG files are taken in windows: --tile, the side with which\n"
          "import --tile made the training data.\n\n"
          "  thaw predict runs/chest-vgg16 new-images/ --output today.csv\n"
          "  thaw predict runs/ct-lung study-4711/ --output study.csv\n"
          "  thaw predict runs/scratches sheets/ --tile 256 --merge max --maps heat --map-class scratch\n"};
  THAW_TRY(cli_parse(cli, &usage));
  if (!o->tiles.stride) o->tiles.stride = (o->tiles.tile + 1) / 2;
  if (o->tiles.tile && (o->tiles.tile < 8 || o->tiles.stride > o->tiles.tile))
    return thaw_fail(THAW_ERR_USAGE, "windows of %d pixels every %d: a window has at least 8, and none may be left out",
                     o->tiles.tile, o->tiles.stride);
  if (!o->tiles.tile && (o->tiles.maps || o->tiles.class))
    return thaw_fail(THAW_ERR_USAGE, "--maps and --map-class go with --tile");
  return THAW_OK;
}

/* A network with several outputs under a class loss, or one sigmoid output. Several sigmoid outputs are labels, of
 * which any number may hold. */
static bool classifies(const thaw_session *s) {
  if (s->heads) return false;
  return s->loss->probabilities || s->loss->fused == THAW_SOFTMAX ||
         (s->loss->fused == THAW_SIGMOID && s->outputs == 1);
}

static thaw_status write_rows(cli_context *cli, const thaw_session *s, const char *path, int64_t count, const float *y,
                              const thaw_strings *ids, const thaw_strings *errors) {
  const cli_predictions rows = {.count = count,
                                .outputs = s->outputs,
                                .y = y,
                                .ids = ids,
                                .errors = errors,
                                .classes = s->loss->evaluate_batch ? NULL : &s->classes,
                                .head = s->head,
                                .heads = s->heads,
                                .classifies = classifies(s)};
  thaw_status status = cli_is_root(cli) ? cli_predictions_write(path, &rows) : THAW_OK;
  status = cli_share_status(cli, status);
  if (status == THAW_OK) thaw_info(cli->log, "wrote %s (%lld rows)", path, (long long)count);
  return status;
}

static thaw_status predict_catalog(cli_context *cli, const cli_run *run, const char *path) {
  thaw_session *s = run->session;
  thaw_session_data unlabelled = s->test;
  unlabelled.labels = NULL;
  thaw_evaluation e;
  THAW_TRY(thaw_session_evaluate(s, cli->comm, &unlabelled, "predict", true, cli->log, &e));
  thaw_strings ids = {0};
  thaw_status status =
      cli_share_status(cli, cli_is_root(cli) ? thaw_catalog_ids(s->test.catalog, 0, e.count, &ids) : THAW_OK);
  if (status == THAW_OK) status = write_rows(cli, s, path, e.count, e.prediction, &ids, NULL);
  thaw_strings_clear(&ids);
  thaw_evaluation_clear(&e);
  return status;
}

/* [collective] Whole images, made as the run's import made them. */
static thaw_status predict_whole(cli_context *cli, const cli_run *run, thaw_import_reader *images,
                                 thaw_predictions *out) {
  THAW_TRY(cli_run_predict(cli, run, images, out));
  if (out->y) thaw_session_probabilities(run->session, out->count, out->y);
  return THAW_OK;
}

/* Rows of predictions `p`, one per name, and how many images could not be read. [collective] */
static thaw_status write_predictions(cli_context *cli, const thaw_session *s, const char *path,
                                     const thaw_strings *names, bool strict, const thaw_predictions *p) {
  THAW_TRY(write_rows(cli, s, path, p->count, p->y, names, p->failed ? &p->error : NULL));
  int64_t failed = p->failed;
  THAW_TRY(thaw_comm_broadcast(cli->comm, 0, &failed, sizeof failed));
  if (failed && strict)
    return thaw_fail(THAW_ERR_DATA, "%lld of %zu images could not be read; see the column error in %s",
                     (long long)failed, names->count, path);
  if (failed)
    thaw_warn(cli->log, "%lld of %zu images could not be read; see the column error in %s", (long long)failed,
              names->count, path);
  return THAW_OK;
}

static thaw_status predict_files(cli_context *cli, const cli_run *run, const thaw_strings *files,
                                 const predict_options *o, const char *path) {
  thaw_session *s = run->session;
  thaw_import_reader *images = NULL;
  thaw_predictions p = {0};
  if (!o->tiles.tile) THAW_TRY(cli_run_images(cli, run, files, &images));
  thaw_status status = images ? predict_whole(cli, run, images, &p) : cli_predict_tiles(cli, s, &o->tiles, files, &p);
  if (status == THAW_OK)
    status = write_predictions(cli, s, path, images ? thaw_import_reader_ids(images) : files, o->strict, &p);
  thaw_predictions_clear(&p);
  thaw_import_reader_close(images);
  return status;
}

static thaw_status predict(cli_context *cli, const predict_options *o, bool catalog, const thaw_strings *files) {
  const char *source = cli->argument[1];
  const thaw_session_options options = {.test = catalog, .catalog = catalog ? source : NULL, .isa = o->isa};
  cli_run run;
  THAW_TRY(cli_run_open(cli, cli->argument[0], o->checkpoint, &options, &run));
  char *fallback = thaw_path_join(run.folder, "predictions.csv");
  thaw_status status = fallback ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && o->tiles.tile) status = cli_run_one_head(&run, "thaw predict --tile");
  const char *path = o->output ? o->output : fallback;
  if (status == THAW_OK) status = catalog ? predict_catalog(cli, &run, path) : predict_files(cli, &run, files, o, path);
  thaw_free(fallback);
  cli_run_close(&run);
  return status;
}

thaw_status cli_predict(cli_context *cli) {
  predict_options o = {.tiles = {.opacity = 0.6}};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  bool catalog = cli_is_catalog(cli->argument[1]);
  if (catalog && o.tiles.tile) return thaw_fail(THAW_ERR_USAGE, "--tile goes with image files, not with a catalogue");
  thaw_strings files = {0};
  thaw_status status = catalog ? THAW_OK : thaw_image_files(cli->comm, cli->argument[1], !o.tiles.tile, &files);
  if (status == THAW_OK) status = predict(cli, &o, catalog, &files);
  thaw_strings_clear(&files);
  return status;
}
