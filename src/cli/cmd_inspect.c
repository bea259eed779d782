/* thaw inspect: what a file holds, by its kind. */
#include "cli/cli.h"
#include "cli/inspect.h"
#include "cli/leaks.h"
#include "cli/quarantine.h"
#include "thaw/file.h"
#include "thaw/h5.h"
#include "thaw/leak.h"
#include "thaw/train.h"
#include "thaw/weights.h"
#include "thaw/zip.h"

#include <string.h>

static const char details[] =
    "FILE is a catalogue (catalog.yaml, or a folder with one), an HDF5 file of images,\n"
    "a weight or model file (Keras', .safetensors, .onnx), a checkpoint, a run folder, the folder of a feature cache, "
    "or\n"
    "a job: its model summary and a dry-run estimate of memory, arithmetic and bytes reduced.\n\n"
    "examples:\n"
    "  thaw inspect shards/train/catalog.yaml --sheet train.png\n"
    "  thaw inspect shards/train/train-00000.h5\n"
    "  thaw inspect job.yaml\n"
    "  thaw inspect vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5\n"
    "  thaw inspect --verify mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5\n"
    "  thaw inspect runs/flowers\n"
    "  thaw inspect runs/flowers/best.h5\n"
    "  thaw inspect cache runs/cache\n"
    "  thaw inspect --augment job.yaml --sheet augmented.png\n\n"
    "--leaks names and counts what several data sets have in common and ends with exit code 3 where that is anything:\n"
    "groups (patients), ids, and images of the later sets that look like one of an earlier set (pHash: 64 bits of the\n"
    "lowest frequencies, which hardly change with size, compression and brightness).\n"
    "  thaw inspect --leaks shards/train shards/validation shards/test --list leaks.csv\n"
    "  thaw inspect --leaks job.yaml --distance 0\n";

static bool is_yaml(const char *path) {
  const char *dot = strrchr(thaw_path_name(path), '.');
  return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* Of a file that is cut off or damaged the reader's own reason says more. */
static thaw_status fail_unknown(const char *path) {
  thaw_h5 *h5 = NULL;
  thaw_zip *zip = NULL;
  thaw_status status = THAW_OK;
  if (thaw_zip_recognize(path))
    status = thaw_zip_open(path, &zip);
  else if (cli_is_hdf5(path))
    status = thaw_h5_open(path, &h5);
  if (h5) status = thaw_h5_check_heaps(h5);
  thaw_h5_close(h5);
  thaw_zip_close(zip);
  if (status != THAW_OK) return status;
  return thaw_fail(
      THAW_ERR_DATA,
      "%s: neither a catalogue, nor an HDF5 file of images, nor a weight file, nor a checkpoint, run or job", path);
}

thaw_status cli_inspect(cli_context *cli) {
  cli_inspect_options inspect = {.digest = true};
  cli_leaks_options leaks = {.distance = THAW_LEAK_DISTANCE};
  bool compare = false;
  const cli_option options[] = {
      {.name = "sheet",
       .kind = CLI_TEXT,
       .target = &inspect.sheet,
       .value = "FILE.png",
       .help = "write samples of a data set into one picture, a row per class"},
      {.name = "augment",
       .kind = CLI_FLAG,
       .target = &inspect.augment,
       .help = "FILE is a job: show samples before and after its augmentation (needs --sheet)"},
      {.name = "verify",
       .kind = CLI_FLAG,
       .target = &inspect.verify,
       .help = "FILE is weights or a model: run it on a built-in image and judge the features"},
      {.name = "digest",
       .kind = CLI_FLAG,
       .target = &inspect.digest,
       .help = "do not read everything to compare digests"},
      {.name = "leaks",
       .kind = CLI_FLAG,
       .target = &compare,
       .help = "compare data sets, or those of a job: patients, ids, images that look alike"},
      {.name = "distance",
       .kind = CLI_INT,
       .target = &leaks.distance,
       .high = THAW_HASH_DISTANCE,
       .help = "of --leaks: images are alike when at most so many of 64 bits differ"},
      {.name = "list",
       .kind = CLI_TEXT,
       .target = &leaks.list,
       .value = "FILE.csv",
       .fallback = "none",
       .help = "of --leaks: write all of them, not only the first ten"},
  };
  const cli_usage usage = {.positional = "[cache] FILE ...",
                           .summary = "Shows what a file holds.",
                           .details = details,
                           .min = 1,
                           .max = THAW_LEAK_SETS,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .quiet_output = true};
  THAW_TRY(cli_parse(cli, &usage));
  if (cli->done) return THAW_OK;
  /* "inspect cache FOLDER" says what the folder is; "inspect FOLDER" finds out. */
  bool named = cli->arguments == 2 && strcmp(cli->argument[0], "cache") == 0;
  if (compare) return cli_leaks_inspect(cli, cli->argument, cli->arguments, &leaks);
  if (cli->arguments > 1 + named)
    return thaw_fail(THAW_ERR_USAGE, "unexpected word '%s': one FILE at a time", cli->argument[1 + named]);
  const char *path = cli->argument[named ? 1 : 0];
  if (named) return cli_inspect_cache(cli, path);
  if (!thaw_file_exists(path)) return thaw_fail(THAW_ERR_DATA, "%s: no such file", path);
  THAW_TRY(cli_quarantine(cli, path));
  if (inspect.verify) return cli_inspect_verify(cli, path);
  if (inspect.augment) return cli_inspect_augment(cli, path, inspect.sheet);
  if (thaw_run_recognize(path) || thaw_checkpoint_recognize(path)) return cli_inspect_run(cli, path);
  if (cli_is_cache(path)) return cli_inspect_cache(cli, path);
  if (cli_is_data(path)) return cli_inspect_data(cli, path, &inspect);
  if (thaw_weights_recognize(path)) return cli_inspect_weights(cli, path);
  if (is_yaml(path)) return cli_inspect_job(cli, path);
  return fail_unknown(path);
}
