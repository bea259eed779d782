/* thaw anomaly: learns what is normal from normal images alone, and scores others. */
#include "cli/anomaly.h"
#include "cli/quarantine.h"
#include "cli/run.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

static const char details[] =
    "fit learns from normal images (a folder, or a catalogue; of the latter the class --normal) and writes a model "
    "file.\nscore gives each image a score and a heat map. No training: the features are those of a pre-trained "
    "network.\n\n"
    "padim      a Gaussian per place; for parts that always lie alike\n"
    "patchcore  a memory of normal patches; for textures, and parts that lie anyhow\n\n"
    "Where the folder SOURCE of score has a folder --normal, the other folders below it are kinds of anomalies, and "
    "AUROC,\naverage precision and a table by kind are told; of a catalogue, its classes are. --masks FOLDER holds "
    "KIND/NAME_mask.png\nfor KIND/NAME.png, as MVTec AD has it: then also AUROC of pixels and AUPRO (up to 30 % false "
    "alarms).\nThe threshold was chosen on normal images held out by fit; --threshold f1, youden, sensitivity=0.95, "
    "specificity=0.9\nchoose one on SOURCE itself, a number is taken as it is.\n--tile: large images are taken as "
    "windows, whose maps are merged; the map then has the image's own size.\nWritten are scores.csv, metrics.json, "
    "sheet.png and maps/: red lies above the threshold.\n\n"
    "  thaw anomaly fit bottle/train/good --weights vgg16_notop.h5 -o bottle.h5\n"
    "  thaw anomaly score bottle.h5 bottle/test --masks bottle/ground_truth -o bottle-scores\n"
    "  mpirun -n 4 thaw anomaly fit carpet/train/good --method patchcore --weights resnet50_notop.h5 --tile 512 "
    "-o carpet.h5\n";

static thaw_status parse(cli_context *cli, anomaly_options *o) {
  const cli_option options[] = {
      {"method", .kind = CLI_CHOICE, .target = &o->method, .choices = thaw_anomaly_methods, .help = "fit: which"},
      {"weights", .kind = CLI_TEXT, .target = &o->weights, .value = "FILE", .fallback = "of score: the model's own",
       .help = "of the pre-trained network"},
      {"architecture", .kind = CLI_TEXT, .target = &o->architecture, .value = "NAME",
       .fallback = "told from the weights", .help = "fit: the network"},
      {"layers", .kind = CLI_TEXT, .target = &o->layers, .value = "A,B",
       .fallback = "the last ones of strides 4, 8, 16; of patchcore 8, 16",
       .help = "fit: layers whose features are taken"},
      {"size", .kind = CLI_TEXT, .target = &o->size, .value = "HxW", .fallback = "the network's own",
       .help = "fit: input of the network, to which images or windows are resized"},
      {"dimensions", .kind = CLI_INT, .target = &o->dimensions, .low = 0, .high = 100000,
       .help = "fit, padim: channels drawn; 0: all"},
      {"shrinkage", .kind = CLI_FLOAT, .target = &o->shrinkage, .low = 0, .high = 1e6,
       .help = "fit, padim: added to the covariance's diagonal"},
      {"coreset", .kind = CLI_FLOAT, .target = &o->coreset, .low = 1e-9, .high = 1,
       .help = "fit, patchcore: share of the patches that is kept"},
      {"projection", .kind = CLI_INT, .target = &o->projection, .low = 0, .high = 100000,
       .help = "fit, patchcore: dimensions in which patches are chosen; 0: all"},
      {"neighbours", .kind = CLI_INT, .target = &o->neighbours, .low = 1, .high = 1000,
       .help = "fit, patchcore: of the re-weighting; 1: none"},
      {"scale", .kind = CLI_FLAG, .target = &o->scale,
       .help = "fit: layers as they are; else powers of two bring them to a like magnitude"},
      {"smooth", .kind = CLI_FLOAT, .target = &o->smooth, .low = 0, .high = 100,
       .help = "fit: standard deviation of the maps' smoothing, pixels"},
      {"tile", .kind = CLI_INT, .target = &o->tile, .low = 0, .high = 65500,
       .help = "fit: side of a window, pixels; 0: the whole image"},
      {"stride", .kind = CLI_INT, .target = &o->stride, .low = 0, .high = 65500,
       .fallback = "three quarters of the window", .help = "fit: pixels from window to window"},
      {"merge", .kind = CLI_CHOICE, .target = &o->merge, .choices = thaw_anomaly_merges,
       .help = "fit: of windows' maps"},
      {"held-out", .kind = CLI_FLOAT, .target = &o->held_out, .low = 0, .high = 0.9,
       .help = "fit: share of the images on which the threshold is chosen"},
      {"false-alarms", .kind = CLI_FLOAT, .target = &o->false_alarms, .low = 0, .high = 0.5,
       .help = "fit: share of normal images that may lie above it"},
      {"seed", .kind = CLI_INT64, .target = &o->seed, .low = 0, .high = 1e15, .help = "fit: of random choices"},
      {"normal", .kind = CLI_TEXT, .target = &o->normal, .value = "NAME",
       .help = "class or folder of the normal images"},
      {"limit", .kind = CLI_INT64, .target = &o->limit, .low = 0, .high = 1e12,
       .help = "use so many images, evenly spread; 0: all"},
      {"masks", .kind = CLI_TEXT, .target = &o->masks, .value = "FOLDER", .help = "score: where the defects are"},
      {"threshold", .kind = CLI_TEXT, .target = &o->threshold, .value = "RULE", .fallback = "the model's",
       .help = "score: anomalous from it on"},
      {"maps", .kind = CLI_INT, .target = &o->maps, .low = 0, .high = 1000000, .help = "score: heat maps to write"},
      {"opacity", .kind = CLI_FLOAT, .target = &o->opacity, .low = 0, .high = 1,
       .help = "score: of a heat map where it is highest"},
      {"strict", .kind = CLI_FLAG, .target = &o->strict, .help = "score: an image that cannot be read is an error"},
      {"output", .letter = 'o', .kind = CLI_TEXT, .target = &o->output, .value = "PATH",
       .fallback = "anomaly.h5; of score: anomaly-scores", .help = "the model file; of score: a folder"},
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {.positional = "fit NORMAL | score MODEL SOURCE",
                           .min = 2,
                           .max = 3,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .summary = "Learns what is normal, and finds what is not.",
                           .details = details};
  return cli_parse(cli, &usage);
}

static thaw_status parse_side(const char *text, size_t length, int32_t *out) {
  char word[16] = {0};
  int64_t value = 0;
  if (length > 0 && length < sizeof word) memcpy(word, text, length);
  if (thaw_parse_int(word, &value) != THAW_OK || value < 16 || value > 65500) return THAW_ERR_USAGE;
  *out = (int32_t)value;
  return THAW_OK;
}

static thaw_status set_size(const char *text, thaw_anomaly_config *config) {
  size_t first = strcspn(text, "x");
  if (text[first] == 'x' && parse_side(text, first, &config->h) == THAW_OK &&
      parse_side(text + first + 1, strlen(text + first + 1), &config->w) == THAW_OK)
    return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "option --size: '%s' is no size; give HEIGHTxWIDTH, for example 224x224", text);
}

/* Cuts `words`, a copy of the option, at its commas. */
static thaw_status set_layers(char *words, thaw_anomaly_config *config) {
  for (char *at = words; at;) {
    char *next = strchr(at, ',');
    if (next) *next++ = 0;
    if (!*at || config->layers == THAW_ANOMALY_MAX_LAYERS)
      return thaw_fail(THAW_ERR_USAGE, "option --layers: give 1 to %d names, separated by commas",
                       THAW_ANOMALY_MAX_LAYERS);
    config->layer[config->layers++] = at;
    at = next;
  }
  return THAW_OK;
}

static thaw_status set_config(const anomaly_options *o, char *layers, thaw_anomaly_config *config) {
  *config = thaw_anomaly_defaults();
  config->method = (thaw_anomaly_method)o->method;
  config->architecture = o->architecture;
  config->weights = o->weights;
  config->scale = o->scale;
  config->dimensions = o->dimensions;
  config->shrinkage = o->shrinkage;
  config->coreset = o->coreset;
  config->projection = o->projection;
  config->neighbours = o->neighbours;
  config->smooth = o->smooth;
  config->tile = o->tile;
  config->stride = o->stride ? o->stride : (o->tile * 3 + 3) / 4;
  config->merge = (thaw_anomaly_merge)o->merge;
  config->held_out = o->held_out;
  config->false_alarms = o->false_alarms;
  config->seed = (uint64_t)o->seed;
  if (!o->weights && !o->architecture)
    return thaw_fail(THAW_ERR_USAGE, "thaw anomaly fit needs --weights FILE, those of a pre-trained network "
                                     "(datasets/fetch-vgg16.sh obtains VGG16's)");
  if (o->tile && (o->tile < 16 || config->stride > o->tile))
    return thaw_fail(THAW_ERR_USAGE,
                     "windows of %d pixels every %d: a window has at least 16, and none may be left out", o->tile,
                     config->stride);
  if (o->size) THAW_TRY(set_size(o->size, config));
  return layers ? set_layers(layers, config) : THAW_OK;
}

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

/* [collective] */
static thaw_status fit_images(cli_context *cli, const anomaly_options *o, const thaw_isa *isa,
                              const thaw_anomaly_config *config) {
  anomaly_images images = {0};
  thaw_anomaly *model = NULL;
  thaw_text words = {0};
  const char *output = o->output ? o->output : "anomaly.h5";
  if (!ends_with(output, ".h5")) return thaw_fail(THAW_ERR_USAGE, "option --output: '%s' must end with .h5", output);
  thaw_status status = anomaly_images_open(cli, o, cli->argument[1], true, &images);
  const thaw_anomaly_source source = {
      .count = images.count, .context = &images, .image = anomaly_images_read, .name = anomaly_images_name};
  if (status == THAW_OK && o->weights) status = cli_quarantine(cli, o->weights);
  if (status == THAW_OK && !o->weights)
    thaw_warn(cli->log, "no --weights: the network starts from random numbers, and its features tell little");
  if (status == THAW_OK) status = thaw_anomaly_fit(cli->comm, config, isa, &source, cli->log, &model);
  if (status == THAW_OK) status = cli_share_status(cli, cli_is_root(cli) ? thaw_anomaly_save(model, output) : THAW_OK);
  if (status == THAW_OK) {
    thaw_anomaly_describe(model, &words);
    cli_print_text(cli, &words);
    cli_print(cli, "wrote %s\n", output);
  }
  thaw_text_clear(&words);
  thaw_anomaly_destroy(model);
  anomaly_images_close(&images);
  return status;
}

static thaw_status fit(cli_context *cli, const anomaly_options *o, const thaw_isa *isa) {
  thaw_anomaly_config config;
  if (cli->arguments != 2)
    return thaw_fail(THAW_ERR_USAGE, "thaw anomaly fit takes one source, %d are given", cli->arguments - 1);
  char *layers = thaw_copy_text(o->layers);
  thaw_status status = layers || !o->layers ? set_config(o, layers, &config) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = fit_images(cli, o, isa, &config);
  thaw_free(layers);
  return status;
}

/* [collective] */
static thaw_status score_all(cli_context *cli, const anomaly_options *o, thaw_anomaly *model, anomaly_images *images) {
  const char *folder = o->output ? o->output : "anomaly-scores";
  anomaly_result result;
  thaw_text words = {0};
  THAW_TRY(anomaly_score_images(cli, o, model, images, &result));
  thaw_status status = cli_is_root(cli) ? thaw_folder_create(folder) : THAW_OK;
  if (status == THAW_OK && cli_is_root(cli)) status = anomaly_write_scores(images, &result, folder, &words);
  status = cli_share_status(cli, status);
  if (status == THAW_OK && o->maps) status = anomaly_write_maps(cli, o, model, images, &result, folder);
  if (status == THAW_OK) cli_print_text(cli, &words);
  int64_t failed = result.failed;
  thaw_text_clear(&words);
  anomaly_result_clear(&result);
  if (status == THAW_OK) status = thaw_comm_broadcast(cli->comm, 0, &failed, sizeof failed);
  if (status != THAW_OK || !failed) return status;
  if (!o->strict)
    thaw_warn(cli->log, "%lld of %lld images could not be read; see the column error in %s/scores.csv",
              (long long)failed, (long long)images->count, folder);
  return o->strict ? thaw_fail(THAW_ERR_DATA, "%lld of %lld images could not be read; see %s/scores.csv",
                               (long long)failed, (long long)images->count, folder)
                   : THAW_OK;
}

static thaw_status score(cli_context *cli, const anomaly_options *o, const thaw_isa *isa) {
  anomaly_images images = {0};
  thaw_anomaly *model = NULL;
  if (cli->arguments != 3)
    return thaw_fail(THAW_ERR_USAGE, "thaw anomaly score takes a model and a source; see 'thaw anomaly --help'");
  thaw_status status = anomaly_images_open(cli, o, cli->argument[2], false, &images);
  if (status == THAW_OK) status = cli_quarantine(cli, cli->argument[1]);
  if (status == THAW_OK && o->weights) status = cli_quarantine(cli, o->weights);
  if (status == THAW_OK) status = thaw_anomaly_load(cli->comm, cli->argument[1], o->weights, isa, cli->log, &model);
  if (status == THAW_OK) status = score_all(cli, o, model, &images);
  thaw_anomaly_destroy(model);
  anomaly_images_close(&images);
  return status;
}

thaw_status cli_anomaly(cli_context *cli) {
  const thaw_anomaly_config c = thaw_anomaly_defaults();
  anomaly_options o = {.normal = "good",
                       .dimensions = c.dimensions,
                       .shrinkage = c.shrinkage,
                       .coreset = c.coreset,
                       .projection = c.projection,
                       .neighbours = c.neighbours,
                       .scale = c.scale,
                       .smooth = c.smooth,
                       .held_out = c.held_out,
                       .false_alarms = c.false_alarms,
                       .maps = 24,
                       .opacity = 0.6};
  const thaw_isa *isa;
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  THAW_TRY(thaw_agree(cli->comm, thaw_isa_select(o.isa, &isa)));
  if (strcmp(cli->argument[0], "fit") == 0) return fit(cli, &o, isa);
  if (strcmp(cli->argument[0], "score") == 0) return score(cli, &o, isa);
  return thaw_fail(THAW_ERR_USAGE, "thaw anomaly %s: it is 'fit' or 'score'", cli->argument[0]);
}
