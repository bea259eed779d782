/* thaw explain: Grad-CAM heat maps of a trained run, its largest losses, and the training images that are most alike.
 */
#include "cli/explain.h"
#include "thaw/memory.h"

#include <string.h>

enum { BATCH = 8, SCAN = 256 };

static const char details[] =
    "Grad-CAM shows which parts of an image speak for a class: red much, blue little. SOURCE is a catalog.yaml, a\n"
    "shard, a folder with a catalog.yaml, an image file, or a folder of images (also DICOM and NIfTI, made as the "
    "import\n"
    "made the training images). Written are sheet.png (all samples), one picture per sample, and explain.csv; the "
    "run's\n"
    "report.html shows the sheet the next time it is made.\n"
    "With several labels per image --top-losses explains the label that is most wrong; of a regression red is what "
    "raises\nthe value of the target that --class names (default: the first).\n"
    "--neighbours adds the training images whose frozen features are most alike (cosine similarity of the features "
    "at the\ncut, averaged over positions): a wrong label often shows there.\n\n"
    "  thaw explain runs/chest-vgg16 shards/test --top-losses\n"
    "  thaw explain runs/chest-vgg16 new-images/ --class pneumonia --neighbours 3\n";

static thaw_status parse(cli_context *cli, explain_options *o) {
  const cli_option options[] = {
      {.name = "count",
       .letter = 'n',
       .kind = CLI_INT,
       .target = &o->count,
       .low = 1,
       .high = 10000,
       .help = "samples to show, evenly spread over SOURCE"},
      {.name = "top-losses",
       .kind = CLI_FLAG,
       .target = &o->top_losses,
       .help = "show those on which the network is most wrong"},
      {.name = "class",
       .kind = CLI_TEXT,
       .target = &o->target,
       .value = "NAME",
       .fallback = "predicted",
       .help = "class, label or target to explain: its name or number, \"predicted\", or \"label\""},
      {.name = "layer",
       .kind = CLI_TEXT,
       .target = &o->layer,
       .value = "NAME",
       .fallback = "the last one that is no pooling",
       .help = "layer whose output is mapped"},
      {.name = "neighbours",
       .kind = CLI_INT,
       .target = &o->neighbours,
       .low = 0,
       .high = 10,
       .help = "training images to show beside each sample"},
      {.name = "opacity",
       .kind = CLI_FLOAT,
       .target = &o->opacity,
       .low = 0,
       .high = 1,
       .help = "of the map where it is highest"},
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &o->output,
       .value = "FOLDER",
       .fallback = "explain in the run folder",
       .help = "where the pictures go"},
      cli_checkpoint_option(&o->checkpoint),
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {.positional = "RUN SOURCE",
                           .min = 2,
                           .max = 2,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .summary = "Shows where a trained network looks.",
                           .details = details};
  return cli_parse(cli, &usage);
}

/* Sets every sample's target; -1: the largest output. */
static thaw_status choose_targets(explain *e) {
  const char *word = e->options->target ? e->options->target : "predicted";
  const thaw_strings *classes = &e->session->classes;
  int64_t number = -1;
  bool label = strcmp(word, "label") == 0, single = explain_default(e) == 0 && e->kind == THAW_LABEL_CLASS;
  for (size_t i = 0; i < classes->count && number < 0; i++)
    if (strcmp(classes->item[i], word) == 0) number = (int64_t)i;
  if (number < 0 && !label && strcmp(word, "predicted") != 0 &&
      (thaw_parse_int(word, &number) != THAW_OK || number < 0 || number > (single ? 1 : e->session->outputs - 1))) {
    const char *near = thaw_nearest(word, (const char *const *)classes->item, classes->count);
    return thaw_fail(THAW_ERR_USAGE, "--class %s: no such class%s%s%s; 0 to %d, \"predicted\" or \"label\"", word,
                     near ? ", did you mean '" : "", near ? near : "", near ? "'" : "",
                     single ? 1 : e->session->outputs - 1);
  }
  bool labelled = !e->images && e->session->test.labels && e->kind != THAW_LABEL_TARGET;
  if (label && !labelled)
    return thaw_fail(THAW_ERR_USAGE, "--class label: %s has no class labels", e->cli->argument[1]);
  for (int32_t i = 0; i < e->count; i++) {
    e->sample[i].target = number < 0 || single ? explain_default(e) : (int32_t)number;
    if (label && e->kind == THAW_LABEL_CLASS && !single) e->sample[i].target = e->sample[i].label;
  }
  return THAW_OK;
}

static size_t input_floats(const explain *e) {
  const thaw_input *input = &e->session->input;
  return (size_t)input->h * (size_t)input->w * (size_t)input->c;
}

/* [local] rank 0: what the network takes, of every chosen sample. */
static thaw_status load_inputs(explain *e) {
  const thaw_session *s = e->session;
  const thaw_dataset_info *info = s->test.info;
  size_t floats = input_floats(e);
  e->x = thaw_new((size_t)e->count * floats, sizeof *e->x);
  void *pixels = thaw_new(e->images ? 0 : (size_t)info->h * (size_t)info->w * (size_t)info->c, sizeof(uint16_t));
  thaw_status status = e->x && pixels ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; i < e->count && status == THAW_OK; i++) {
    int64_t index = e->sample[i].index;
    float *x = e->x + (size_t)i * floats;
    if (e->images) {
      status = thaw_predict_input(&s->input, e->images, index, x);
    } else {
      status = thaw_catalog_pixels(s->test.catalog, index, 1, pixels);
      if (status == THAW_OK) status = thaw_input_make(&s->input, info, pixels, index, -1, x);
    }
  }
  thaw_free(pixels);
  return status;
}

/* ------------------------------------------------------------------ neighbours */

/* [local] rank 0: the samples' own features, averaged over positions. */
static thaw_status make_queries(explain *e, size_t width) {
  const thaw_session *s = e->session;
  float *features = thaw_new(s->cut.floats, sizeof *features);
  float *query = thaw_new((size_t)e->count * width, sizeof *query);
  thaw_status status = features && query ? THAW_OK : THAW_ERR_MEMORY;
  for (int32_t i = 0; status == THAW_OK && i < e->count; i++) {
    const float *x = e->x + (size_t)i * input_floats(e);
    if (s->plan) thaw_plan_run(s->plan, x, 1, features);
    thaw_cut_average(s->graph, &s->cut, s->plan ? features : x, query + (size_t)i * width);
  }
  if (status == THAW_OK) status = thaw_nearest_create(query, e->count, width, e->options->neighbours, &e->nearest);
  thaw_free(features);
  thaw_free(query);
  return status;
}

/* [local] rank 0: all training samples, chunk by chunk. */
static thaw_status scan_training(explain *e, size_t width) {
  const thaw_session *s = e->session;
  int64_t total = s->train.info->count;
  uint64_t sample[SCAN];
  float *features = thaw_new(SCAN * s->cut.floats, sizeof *features), *vector = thaw_new(width, sizeof *vector);
  thaw_status status = features && vector ? THAW_OK : THAW_ERR_MEMORY;
  thaw_progress_begin(e->cli->log, "neighbours", "images", total);
  for (int64_t first = 0; first < total && status == THAW_OK; first += SCAN) {
    int32_t rows = (int32_t)(total - first < SCAN ? total - first : SCAN);
    for (int32_t r = 0; r < rows; r++) sample[r] = (uint64_t)(first + r);
    status = thaw_features_read(s->train.features, sample, rows, -1, features);
    for (int32_t r = 0; r < rows && status == THAW_OK; r++) {
      thaw_cut_average(s->graph, &s->cut, features + (size_t)r * s->cut.floats, vector);
      thaw_nearest_offer(&e->nearest, first + r, vector);
    }
    thaw_progress_update(e->cli->log, first + rows, NULL);
  }
  thaw_progress_end(e->cli->log, NULL);
  thaw_free(features);
  thaw_free(vector);
  return status;
}

static thaw_status name_neighbours(explain *e) {
  for (int32_t i = 0; i < e->count * e->nearest.keep; i++) {
    thaw_strings id = {0};
    if (e->nearest.sample[i] >= 0) THAW_TRY(thaw_catalog_ids(e->session->train.catalog, e->nearest.sample[i], 1, &id));
    thaw_status status = thaw_strings_add(&e->neighbour_ids, id.count ? id.item[0] : "");
    thaw_strings_clear(&id);
    THAW_TRY(status);
  }
  return THAW_OK;
}

/* [collective] */
static thaw_status find_neighbours(explain *e) {
  if (!e->options->neighbours) return THAW_OK;
  thaw_session *s = e->session;
  size_t width = thaw_cut_channels(s->graph, &s->cut);
  THAW_TRY(thaw_features_fill(s->train.features, e->cli->comm, -1, e->cli->log));
  thaw_status status = THAW_OK;
  if (cli_is_root(e->cli)) {
    status = make_queries(e, width);
    if (status == THAW_OK) status = scan_training(e, width);
    if (status == THAW_OK) status = name_neighbours(e);
  }
  return cli_share_status(e->cli, status);
}

/* ------------------------------------------------------------------ maps */

static thaw_status find_layer(const explain *e, int32_t *layer) {
  const thaw_graph *graph = e->session->graph;
  const char *name = e->options->layer;
  *layer = name ? thaw_graph_find(graph, name) : thaw_grad_cam_layer(graph);
  if (*layer >= 0) return THAW_OK;
  if (!name) return thaw_fail(THAW_ERR_USAGE, "the network has no layer whose output is an image");
  const char *near = NULL, **names = thaw_new((size_t)thaw_graph_count(graph), sizeof *names);
  if (!names) return THAW_ERR_MEMORY;
  for (int32_t i = 0; i < thaw_graph_count(graph); i++) names[i] = thaw_graph_view(graph, i)->layer.name;
  near = thaw_nearest(name, names, (size_t)thaw_graph_count(graph));
  thaw_status status = thaw_fail(THAW_ERR_USAGE, "--layer %s: no such layer%s%s%s", name,
                                 near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
  thaw_free(names);
  return status;
}

static thaw_status run_grad_cam(explain *e, thaw_grad_cam *cam) {
  size_t pixels, outputs = (size_t)e->session->outputs;
  thaw_grad_cam_size(cam, &e->map_h, &e->map_w);
  pixels = (size_t)e->map_h * (size_t)e->map_w;
  e->y = thaw_new((size_t)e->count * outputs, sizeof *e->y);
  e->maps = thaw_new((size_t)e->count * pixels, sizeof *e->maps);
  if (!e->y || !e->maps) return THAW_ERR_MEMORY;
  for (int32_t first = 0; first < e->count; first += BATCH) {
    int32_t n = e->count - first < BATCH ? e->count - first : BATCH, target[BATCH];
    for (int32_t i = 0; i < n; i++) target[i] = e->sample[first + i].target;
    const float *x = e->x + (size_t)first * input_floats(e);
    float *y = e->y + (size_t)first * outputs, *maps = e->maps + (size_t)first * pixels;
    bool again = false;
    THAW_TRY(thaw_grad_cam_run(cam, x, n, target, y, maps));
    for (int32_t i = 0; i < n; i++) {
      int32_t before = target[i];
      target[i] = explain_label_target(e, &e->sample[first + i], y + (size_t)i * outputs, before);
      again |= target[i] != before;
    }
    if (again) THAW_TRY(thaw_grad_cam_run(cam, x, n, target, y, maps));
    for (int32_t i = 0; i < n; i++) {
      explain_sample *sample = &e->sample[first + i];
      sample->target = target[i];
      for (size_t k = 1; k < outputs; k++)
        if (y[(size_t)i * outputs + k] > y[(size_t)i * outputs + (size_t)sample->predicted])
          sample->predicted = (int32_t)k;
      if (e->kind == THAW_LABEL_CLASS && outputs == 1) sample->predicted = y[i] > 0.5f;
    }
  }
  return THAW_OK;
}

/* [local] rank 0. The session's layers are frozen here, so this comes last. */
static thaw_status explain_samples(explain *e) {
  int32_t layer;
  thaw_grad_cam *cam;
  THAW_TRY(find_layer(e, &layer));
  THAW_TRY(choose_targets(e));
  THAW_TRY(thaw_grad_cam_create(e->session->graph, layer, e->session->isa, BATCH, &cam));
  thaw_status status = run_grad_cam(e, cam);
  thaw_grad_cam_destroy(cam);
  if (status == THAW_OK) status = explain_write(e, thaw_graph_view(e->session->graph, layer)->layer.name);
  return status;
}

static void clear(explain *e) {
  for (int32_t i = 0; e->sample && i < e->count; i++) thaw_free(e->sample[i].id);
  thaw_free(e->sample);
  thaw_free(e->x);
  thaw_free(e->y);
  thaw_free(e->maps);
  thaw_free(e->folder);
  thaw_import_reader_close(e->images);
  thaw_nearest_clear(&e->nearest);
  thaw_strings_clear(&e->neighbour_ids);
}

static thaw_status explain_run(cli_context *cli, const explain_options *o, const cli_run *run,
                               const thaw_strings *files) {
  THAW_TRY(cli_run_one_head(run, "thaw explain"));
  if (run->session->loss->evaluate_batch)
    return thaw_fail(THAW_ERR_USAGE,
                     "%s was trained with %s: its outputs are an embedding, none of which can be explained",
                     run->folder, run->session->loss->schema->name);
  explain e = {.cli = cli, .options = o, .session = run->session};
  e.folder = o->output ? thaw_copy_text(o->output) : thaw_path_join(run->folder, "explain");
  thaw_status status = e.folder ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && files) status = cli_run_images(cli, run, files, &e.images);
  if (status == THAW_OK) status = explain_choose(&e);
  if (status == THAW_OK) status = cli_share_status(cli, cli_is_root(cli) ? load_inputs(&e) : THAW_OK);
  if (status == THAW_OK) status = find_neighbours(&e);
  if (status == THAW_OK) status = cli_share_status(cli, cli_is_root(cli) ? explain_samples(&e) : THAW_OK);
  if (status == THAW_OK) cli_print(cli, "wrote %s/sheet.png (%d samples) and explain.csv\n", e.folder, e.count);
  clear(&e);
  return status;
}

thaw_status cli_explain(cli_context *cli) {
  explain_options o = {.count = 24, .opacity = 0.6};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  const char *source = cli->argument[1];
  bool catalog = cli_is_catalog(source);
  const thaw_session_options options = {
      .test = catalog, .catalog = catalog ? source : NULL, .train = o.neighbours > 0, .isa = o.isa};
  thaw_strings files = {0};
  cli_run run;
  thaw_status status = catalog ? THAW_OK : thaw_image_files(cli->comm, source, true, &files);
  if (status == THAW_OK) status = cli_run_open(cli, cli->argument[0], o.checkpoint, &options, &run);
  if (status == THAW_OK) {
    status = explain_run(cli, &o, &run, catalog ? NULL : &files);
    cli_run_close(&run);
  }
  thaw_strings_clear(&files);
  return status;
}
