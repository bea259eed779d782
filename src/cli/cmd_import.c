/* thaw import: images, lists and arrays -> shards and catalogues. */
#include "cli/cli.h"
#include "thaw/import.h"

#include <stdlib.h>
#include <string.h>

static const char details[] =
    "SOURCE is one of\n"
    "  a folder         of class folders of PNG, JPEG, DICOM and NIfTI files (folders may be nested; the first level\n"
    "                   names the class); a folder of images only gives a data set without labels\n"
    "  list.csv         with a header and the columns path, label and group (a patient, a lot; optional); paths are\n"
    "                   relative to the list; with --label-columns one column per label instead of label\n"
    "  x.npy            uint8 or uint16 [n][h][w] or [n][h][w][c], with --labels y.npy\n"
    "  data.npz         arrays named images and labels, or x and y, or as --images and --labels say\n"
    "  IDX              train-images-idx3-ubyte[.gz] with --labels train-labels-idx1-ubyte.gz\n\n"
    "DICOM files: 16 bits stay 16 bits, MONOCHROME1 is inverted, frames become images, PatientID is the group (so no\n"
    "patient is in two parts of a split), and --subgroups takes keywords (PatientSex,Manufacturer). Neither ids nor\n"
    "messages name people: they are keyed hashes (HMAC-SHA-256) unless --keep-ids says otherwise.\n"
    "NIfTI volumes (.nii, .nii.gz) become slices, turned to the patient's axes by sform or qform; the patient is the\n"
    "sub-... of a BIDS name, the folder below the class, or the file; --group-folder says otherwise.\n\n"
    "The output folder gets train/, validation/ and test/ with one catalog.yaml each (one catalogue in the folder\n"
    "itself without --split), and quarantine.csv with every image that could not be read and why. The split keeps\n"
    "class proportions and never divides a group. The same command gives the same bytes on any number of ranks.\n\n"
    "--tile cuts large images into windows; those of one image are a group, so no split parts them. With --tile-masks\n"
    "only windows that show the defect keep the image's class, the others are --tile-normal.\n\n"
    "examples:\n"
    "  thaw import photos --size 224x224 --channels 3 --split 0.8,0.1,0.1 --output shards\n"
    "  mpirun -n 8 thaw import xrays.csv --size 224x224 --split 0.7,0.1,0.2 --output shards\n"
    "  thaw import ct/ --window lung,mediastinum,bone --frames all --split 0.7,0.1,0.2 --size 224x224 --output shards\n"
    "  thaw import CheXpert/train.csv --path-column Path --group-folder 3 --subgroups Sex,Frontal/Lateral \\\n"
    "      --label-columns Atelectasis,Cardiomegaly,Edema --size 320x320 --channels 1 --output shards\n"
    "  thaw import train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz --size 64x64 --channels 3 \\\n"
    "      --split 6000,1000,0 --output shards\n";

static const char *const axes[] = {"axial", "coronal", "sagittal", NULL};
static const char *const frames[] = {"all", "middle", "stack", NULL};
static const char *const fits[] = {"stretch", "crop", "pad", NULL};

/* "224x224" or "224" (height x width). */
static thaw_status parse_size(const char *text, thaw_import_options *options) {
  char first[16] = "";
  int64_t h = 0, w = 0;
  if (!text) return THAW_OK;
  const size_t length = strcspn(text, "x");
  if (length < sizeof first) memcpy(first, text, length);
  const char *second = text[length] == 'x' ? text + length + 1 : first;
  if (thaw_parse_int(first, &h) != THAW_OK || thaw_parse_int(second, &w) != THAW_OK || h < 1 || w < 1 || h > 65500 ||
      w > 65500)
    return thaw_fail(THAW_ERR_USAGE, "option --size: '%s' is no size; give HEIGHTxWIDTH, for example 224x224", text);
  options->h = (int32_t)h;
  options->w = (int32_t)w;
  return THAW_OK;
}

/* "0.8,0.1,0.1" or "6000,1000" (the rest is 0). */
static thaw_status parse_split(const char *text, thaw_import_options *options) {
  if (!text) return THAW_OK;
  const char *at = text;
  double sum = 0;
  for (int s = 0; s < 3; s++) {
    char part[32] = "";
    const size_t length = strcspn(at, ",");
    options->split[s] = 0;
    if (length == 0 && s > 0 && !*at) continue;
    if (length < sizeof part) memcpy(part, at, length);
    if (thaw_parse_double(part, &options->split[s]) != THAW_OK || options->split[s] < 0)
      return thaw_fail(THAW_ERR_USAGE, "option --split: '%s' is no split; give TRAIN,VALIDATION,TEST", text);
    sum += options->split[s];
    at += length;
    if (*at == ',') at++;
  }
  if (*at || sum <= 0)
    return thaw_fail(THAW_ERR_USAGE, "option --split: '%s' is no split; give TRAIN,VALIDATION,TEST", text);
  return THAW_OK;
}

/* Options as words, before they are understood. */
typedef struct import_words {
  const char *size, *split;
  int64_t seed;
  int32_t channels, fit, bits;
} import_words;

static thaw_status finish_options(const cli_context *cli, const import_words *words, thaw_import_options *options) {
  options->source = cli->argument[0];
  options->seed = (uint64_t)words->seed;
  options->c = words->channels;
  options->fit = (thaw_fit)words->fit;
  options->keep_bits = words->bits;
  THAW_TRY(parse_size(words->size, options));
  THAW_TRY(parse_split(words->split, options));
  if (options->tile && (options->tile < 8 || options->tile_stride > options->tile))
    return thaw_fail(THAW_ERR_USAGE, "windows of %d pixels every %d: a window has at least 8, and none may be left out",
                     options->tile, options->tile_stride ? options->tile_stride : options->tile);
  if (!options->tile && (options->tile_masks || options->tile_stride))
    return thaw_fail(THAW_ERR_USAGE, "--tile-masks and --tile-stride go with --tile");
  if (!options->output) return thaw_fail(THAW_ERR_USAGE, "thaw import needs --output FOLDER");
  return THAW_OK;
}

thaw_status cli_import(cli_context *cli) {
  thaw_import_options o;
  import_words w = {0};
  thaw_import_defaults(&o);
  const cli_option options[] = {
      {"output", 'o', CLI_TEXT, &o.output, .value = "FOLDER", .help = "where shards and catalogues go (required)"},
      {"labels", .kind = CLI_TEXT, .target = &o.labels, .value = "FILE",
       .help = "labels of .npy and IDX images; the array's name in an .npz"},
      {"images", .kind = CLI_TEXT, .target = &o.images, .value = "NAME", .help = "the images' name in an .npz"},
      {"size", .kind = CLI_TEXT, .target = &w.size, .value = "HxW", .help = "height and width of the stored images",
       .fallback = "as the images, which must agree"},
      {"fit", .kind = CLI_CHOICE, .target = &w.fit, .choices = fits, .help = "how another shape becomes that size"},
      {"channels", .kind = CLI_INT, .target = &w.channels, .low = 1, .high = 3, .help = "1 grey, 3 RGB",
       .fallback = "3 when any image has colour"},
      {"bits", .kind = CLI_INT, .target = &w.bits, .low = 8, .high = 8, .help = "8: reduce 16-bit images",
       .fallback = "as the images"},
      {"value-max", .kind = CLI_FLOAT, .target = &o.value_max, .low = 1, .high = 65535,
       .help = "largest value of 16-bit images, e.g. 4095 for 12-bit detectors", .fallback = "65535"},
      {"split", .kind = CLI_TEXT, .target = &w.split, .value = "A,B,C",
       .help = "train, validation, test: fractions with sum 1, or counts", .fallback = "no split"},
      {"stratify", .kind = CLI_FLAG, .target = &o.stratify, .help = "do not keep class proportions in the split"},
      {"seed", .kind = CLI_INT64, .target = &w.seed, .help = "of the split"},
      {"first", .kind = CLI_INT64, .target = &o.first, .help = "leave out that many samples at the start"},
      {"limit", .kind = CLI_INT64, .target = &o.limit, .help = "take at most that many samples", .fallback = "all"},
      {"classes", .kind = CLI_TEXT, .target = &o.classes, .value = "A,B,...", .help = "class names in index order",
       .fallback = "as found"},
      {"regression", .kind = CLI_FLAG, .target = &o.regression, .help = "labels are numbers, not classes"},
      {"multi-label", .kind = CLI_FLAG, .target = &o.multi_label,
       .help = "labels are any number of class names, separated by '|'"},
      {"label-columns", .kind = CLI_TEXT, .target = &o.label_columns, .value = "A,B,...",
       .help = "columns of a CSV list with a label each: 1, 0, -1 for unknown; with --regression a target each"},
      {"class-columns", .kind = CLI_TEXT, .target = &o.class_columns, .value = "A,B,...",
       .help = "columns of a CSV list with a class name each, for several heads; empty: unknown"},
      {"target-columns", .kind = CLI_TEXT, .target = &o.target_columns, .value = "A,B,...",
       .help = "columns of a CSV list with a number each, for several heads; empty: unknown"},
      {"blank-unknown", .kind = CLI_FLAG, .target = &o.blank_unknown,
       .help = "an empty cell of such a column is unknown, not 0"},
      {"subgroups", .kind = CLI_TEXT, .target = &o.attributes, .value = "A,B,...",
       .help = "columns of a CSV list (sex, site, scanner) that evaluate tells subgroups by"},
      {"tile", .kind = CLI_INT, .target = &o.tile, .high = 65500,
       .help = "cut images into windows of this side, pixels, each a sample; 0: whole images"},
      {"tile-stride", .kind = CLI_INT, .target = &o.tile_stride, .high = 65500, .help = "pixels from window to window",
       .fallback = "the window's side: no overlap"},
      {"tile-masks", .kind = CLI_TEXT, .target = &o.tile_masks, .value = "FOLDER",
       .help = "KIND/NAME_mask.png for .../KIND/NAME.png: windows without the defect become --tile-normal"},
      {"tile-normal", .kind = CLI_TEXT, .target = &o.tile_normal, .value = "NAME", .help = "their class",
       .fallback = "good"},
      {"tile-share", .kind = CLI_FLOAT, .target = &o.tile_share, .high = 1,
       .help = "share of a window's pixels above which it shows the defect"},
      {"group-folder", .kind = CLI_INT, .target = &o.group_folder, .high = 64,
       .help = "the group is the N-th part of the image's path"},
      {"window", .kind = CLI_TEXT, .target = &o.window, .value = "NAME[,..]",
       .help =
           "of DICOM and NIfTI: full (all stored bits), file (its own), volume (of NIfTI: its smallest to its largest "
           "value), lung, bone, brain, ... or CENTRE/WIDTH; three make the channels",
       .fallback = "full"},
      {"frames", .kind = CLI_CHOICE, .target = &o.frames, .choices = frames,
       .help =
           "of DICOM frames and NIfTI slices; stack: each with its neighbours as channels, also over the files of a "
           "series"},
      {"axis", .kind = CLI_CHOICE, .target = &o.axis, .choices = axes, .help = "of slices of NIfTI volumes"},
      {"keep-ids", .kind = CLI_FLAG, .target = &o.keep_ids,
       .help = "store paths and PatientIDs of DICOM and NIfTI files, not keyed hashes of them"},
      {"id-key", .kind = CLI_TEXT, .target = &o.id_key, .value = "FILE",
       .help = "secret key of those hashes, made if missing", .fallback = "OUTPUT.id-key"},
      {"id-list", .kind = CLI_TEXT, .target = &o.id_list, .value = "FILE",
       .help = "write which id is which file (readable by you alone)", .fallback = "none"},
      {"path-column", .kind = CLI_TEXT, .target = &o.path_column, .value = "NAME", .help = "of a CSV list",
       .fallback = "path"},
      {"label-column", .kind = CLI_TEXT, .target = &o.label_column, .value = "NAME", .help = "of a CSV list",
       .fallback = "label"},
      {"group-column", .kind = CLI_TEXT, .target = &o.group_column, .value = "NAME", .help = "of a CSV list",
       .fallback = "group"},
      {"shard-samples", .kind = CLI_INT64, .target = &o.shard_samples, .help = "images per shard",
       .fallback = "about 64 MB"},
      {"deflate", .kind = CLI_INT, .target = &o.deflate, .low = 0, .high = 9,
       .help = "compression level of the shards"},
      {"strict", .kind = CLI_FLAG, .target = &o.strict, .help = "a broken image is an error"},
      {"overwrite", .kind = CLI_FLAG, .target = &o.overwrite, .help = "replace an earlier import in the output folder"},
  };
  const cli_usage usage = {.positional = "SOURCE",
                           .summary = "Turns images, lists and arrays into shards with a catalogue.",
                           .details = details,
                           .min = 1,
                           .max = 1,
                           .options = options,
                           .count = sizeof options / sizeof *options};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  THAW_TRY(finish_options(cli, &w, &o));
  return thaw_import(cli->comm, &o, cli->log);
}
