/* thaw style: pictures in the style of another. */
#include "cli/run.h"
#include "thaw/memory.h"
#include "thaw/style.h"

#include <string.h>

enum { GRAIN = 16, SMALLEST = 32 };

static const char details[] =
    "Changes each CONTENT picture until a pre-trained VGG network sees the content of the one and the style of the "
    "other\n(Gatys et al., 2016). The weights are those of keras.applications, without the top. The ranks share a "
    "picture's windows\n(--window), or, where each picture fits into one, the pictures; the result is the same on any "
    "number of them. Memory\ngrows with the window, about 0.7 GB for 512 pixels.\n"
    "More style: a larger --style-weight; smoother: a larger --smooth; other strokes: another --style-size.\n\n"
    "  thaw style cat.jpg --style waves.jpg --weights vgg16_notop.h5 --size 512 -o cat-in-waves.png\n"
    "  mpirun -n 4 thaw style *.png --style mosaic.png --weights vgg19_notop.h5 --output-folder out\n";

typedef struct style_options {
  const char *style, *weights, *output, *folder, *architecture, *isa;
  int32_t size, style_size, steps, window, optimizer, every;
  double content_weight, style_weight, smooth, learning_rate;
  bool original_colours;
} style_options;

static thaw_status parse(cli_context *cli, style_options *o) {
  static const char *const optimizers[] = {"lbfgs", "adam", NULL};
  const cli_option options[] = {
      {.name = "style", .letter = 's', .kind = CLI_TEXT, .target = &o->style, .value = "FILE", .help = "style picture"},
      {.name = "weights", .kind = CLI_TEXT, .target = &o->weights, .value = "FILE", .help = "of the network, .h5"},
      {.name = "architecture", .kind = CLI_TEXT, .target = &o->architecture, .value = "NAME", .help = "vgg16 or vgg19"},
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &o->output,
       .value = "FILE",
       .fallback = "CONTENT-STYLE.png",
       .help = "the result, a PNG; for one picture"},
      {.name = "output-folder",
       .kind = CLI_TEXT,
       .target = &o->folder,
       .value = "FOLDER",
       .fallback = "the present one",
       .help = "where results go that have no name of their own"},
      {.name = "size",
       .kind = CLI_INT,
       .target = &o->size,
       .low = SMALLEST,
       .high = 16384,
       .help = "longer side of the result, pixels (sides become multiples of 16)"},
      {.name = "style-size",
       .kind = CLI_INT,
       .target = &o->style_size,
       .low = 0,
       .high = 16384,
       .fallback = "as --size",
       .help = "longer side of the style picture: smaller, finer strokes"},
      {.name = "steps", .kind = CLI_INT, .target = &o->steps, .low = 1, .high = 1e6, .help = "of the optimizer"},
      {.name = "optimizer", .kind = CLI_CHOICE, .target = &o->optimizer, .choices = optimizers, .help = "which"},
      {.name = "learning-rate",
       .kind = CLI_FLOAT,
       .target = &o->learning_rate,
       .low = 1e-6,
       .high = 1000,
       .help = "Adam's, in grey levels"},
      {.name = "content-weight",
       .kind = CLI_FLOAT,
       .target = &o->content_weight,
       .low = 0,
       .high = 1e9,
       .help = "how much the content counts"},
      {.name = "style-weight",
       .kind = CLI_FLOAT,
       .target = &o->style_weight,
       .low = 0,
       .high = 1e9,
       .help = "how much the style counts"},
      {.name = "smooth",
       .kind = CLI_FLOAT,
       .target = &o->smooth,
       .low = 0,
       .high = 1e9,
       .help = "weight of the total variation"},
      {.name = "original-colours",
       .kind = CLI_FLAG,
       .target = &o->original_colours,
       .help = "keep the colours of the content, take the brightness alone"},
      {.name = "every",
       .kind = CLI_INT,
       .target = &o->every,
       .low = 0,
       .high = 1e6,
       .help = "write a picture every N steps; 0: only the last"},
      {.name = "window",
       .kind = CLI_INT,
       .target = &o->window,
       .low = 64,
       .high = 16384,
       .help = "longest side of what is computed at once, pixels; part of the result only by rounding"},
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {.positional = "CONTENT...",
                           .min = 1,
                           .max = -1,
                           .options = options,
                           .count = sizeof options / sizeof *options,
                           .summary = "Paints pictures in the style of another.",
                           .details = details};
  return cli_parse(cli, &usage);
}

static int32_t rounded(double side) {
  int32_t value = (int32_t)(side / GRAIN + 0.5) * GRAIN;
  return value < SMALLEST ? SMALLEST : value;
}

/* Rank 0 reads; 8-bit RGB with the longer side `size`, sides multiples of 16. */
static thaw_status read_picture(const char *path, int32_t size, thaw_image *out) {
  thaw_image stored = {0}, rgb = {0};
  THAW_TRY(thaw_image_read(path, &stored));
  thaw_status status = thaw_image_channels(&stored, 3, &rgb);
  double scale = (double)size / (stored.h > stored.w ? stored.h : stored.w);
  if (status == THAW_OK) status = thaw_image_resize(&rgb, rounded(stored.h * scale), rounded(stored.w * scale), out);
  uint8_t *to = out->pixels;
  if (status == THAW_OK && out->bits == 16) { /* in place: the first half of the memory */
    for (size_t i = 0; i < (size_t)out->h * (size_t)out->w * 3; i++)
      to[i] = (uint8_t)(((const uint16_t *)out->pixels)[i] / 257);
    out->bits = 8;
  }
  thaw_image_clear(&stored);
  thaw_image_clear(&rgb);
  return status;
}

/* [collective] */
static thaw_status share_picture(cli_context *cli, const char *path, int32_t size, thaw_image *out) {
  *out = (thaw_image){0};
  THAW_TRY(cli_share_status(cli, cli_is_root(cli) ? read_picture(path, size, out) : THAW_OK));
  int32_t shape[2] = {out->h, out->w};
  THAW_TRY(thaw_comm_broadcast(cli->comm, 0, shape, sizeof shape));
  size_t bytes = (size_t)shape[0] * (size_t)shape[1] * 3;
  if (!cli_is_root(cli))
    *out = (thaw_image){.h = shape[0], .w = shape[1], .c = 3, .bits = 8, .pixels = thaw_new(bytes, 1)};
  THAW_TRY(thaw_agree(cli->comm, out->pixels ? THAW_OK : THAW_ERR_MEMORY));
  return thaw_comm_broadcast(cli->comm, 0, out->pixels, bytes);
}

/* "cat-waves.png" for cat.jpg and waves.jpg. thaw_free. */
static char *name_result(const style_options *o, const char *content) {
  if (o->output) return thaw_copy_text(o->output);
  const char *a = thaw_path_name(content), *b = thaw_path_name(o->style);
  const char *dot_a = strrchr(a, '.'), *dot_b = strrchr(b, '.');
  int length_a = (int)(dot_a && dot_a > a ? dot_a - a : (long)strlen(a));
  int length_b = (int)(dot_b && dot_b > b ? dot_b - b : (long)strlen(b));
  char *name = thaw_format("%.*s-%.*s.png", length_a, a, length_b, b);
  char *path = name ? thaw_path_join(o->folder, name) : NULL;
  thaw_free(name);
  return path;
}

typedef struct painting {
  cli_context *cli;
  const style_options *options;
  const thaw_image *content;
  const char *path;
} painting;

/* [local] rank 0 */
static thaw_status write_picture(const painting *p, const double *x, int32_t step) {
  thaw_image picture;
  size_t stem = strlen(p->path) - (strlen(p->path) > 4 && strcmp(p->path + strlen(p->path) - 4, ".png") == 0 ? 4 : 0);
  char *path = step ? thaw_format("%.*s-%05d.png", (int)stem, p->path, step) : thaw_copy_text(p->path);
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = thaw_style_decode(x, p->content->h, p->content->w, &picture);
  if (status == THAW_OK && p->options->original_colours) thaw_style_keep_colours(&picture, p->content);
  if (status == THAW_OK) status = thaw_image_write_png(path, &picture);
  thaw_image_clear(&picture);
  thaw_free(path);
  return status;
}

static thaw_status progress(void *context, int32_t step, const double *x, const thaw_style_loss *loss) {
  const painting *p = context;
  char note[80];
  snprintf(note, sizeof note, "content %.4g, style %.4g", loss->content, loss->style);
  thaw_progress_update(p->cli->log, step, note);
  if (!p->options->every || step % p->options->every) return THAW_OK;
  return cli_share_status(p->cli, cli_is_root(p->cli) ? write_picture(p, x, step) : THAW_OK);
}

static thaw_status optimize(painting *p, thaw_style *style) {
  const style_options *o = p->options;
  double *x = thaw_new((size_t)p->content->h * (size_t)p->content->w * 3, sizeof *x);
  const thaw_style_run run = {.optimizer = (thaw_style_optimizer)o->optimizer,
                              .learning_rate = o->learning_rate,
                              .steps = o->steps,
                              .progress = progress,
                              .context = p};
  int32_t steps = 0;
  THAW_TRY(thaw_agree(p->cli->comm, x ? THAW_OK : THAW_ERR_MEMORY));
  thaw_style_encode(p->content, x);
  thaw_progress_begin(p->cli->log, thaw_path_name(p->path), "steps", o->steps);
  thaw_status status = thaw_style_minimize(style, &run, x, &steps);
  thaw_progress_end(p->cli->log, NULL);
  if (status == THAW_OK) status = cli_share_status(p->cli, cli_is_root(p->cli) ? write_picture(p, x, 0) : THAW_OK);
  if (status == THAW_OK)
    cli_print(p->cli, "wrote %s (%d x %d, %d steps)\n", p->path, p->content->w, p->content->h, steps);
  thaw_free(x);
  return status;
}

/* [collective] */
static thaw_status paint(cli_context *cli, const style_options *o, const thaw_isa *isa, const char *file) {
  thaw_image content = {0}, picture = {0};
  thaw_style *style = NULL;
  thaw_style_config config = thaw_style_defaults(o->architecture);
  config.weights = o->weights;
  config.content_weight = o->content_weight;
  config.style_weight = o->style_weight;
  config.variation_weight = o->smooth;
  config.window = o->window;
  char *path = name_result(o, file);
  thaw_status status = thaw_agree(cli->comm, path ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = share_picture(cli, file, o->size, &content);
  if (status == THAW_OK) status = share_picture(cli, o->style, o->style_size ? o->style_size : o->size, &picture);
  if (status == THAW_OK) status = thaw_style_create(cli->comm, &config, isa, &content, &picture, cli->log, &style);
  if (status == THAW_OK && thaw_style_windows(style) < thaw_comm_size(cli->comm))
    thaw_warn(cli->log, "%s: %d windows for %d ranks: a smaller --window gives all of them work", file,
              thaw_style_windows(style), thaw_comm_size(cli->comm));
  if (status == THAW_OK)
    status = optimize(&(painting){.cli = cli, .options = o, .content = &content, .path = path}, style);
  thaw_style_destroy(style);
  thaw_image_clear(&content);
  thaw_image_clear(&picture);
  thaw_free(path);
  return status;
}

/* [collective] Pictures of one window each leave nothing to share: groups of ranks take whole pictures by turns. */
static thaw_status paint_all(cli_context *cli, const style_options *o, const thaw_isa *isa) {
  int groups = o->size > o->window ? 1 : cli->arguments;
  if (groups > thaw_comm_size(cli->comm)) groups = thaw_comm_size(cli->comm);
  if (groups < 2) {
    for (int32_t i = 0; i < cli->arguments; i++) THAW_TRY(paint(cli, o, isa, cli->argument[i]));
    return THAW_OK;
  }
  int group = thaw_comm_rank(cli->comm) % groups;
  cli_context part = *cli;
  THAW_TRY(thaw_comm_split(cli->comm, group, &part.comm));
  thaw_status status = THAW_OK;
  for (int32_t i = group; i < cli->arguments && status == THAW_OK; i += groups)
    status = paint(&part, o, isa, cli->argument[i]);
  status = thaw_agree(cli->comm, status);
  thaw_comm_destroy(part.comm);
  return status;
}

static thaw_status check(const cli_context *cli, const style_options *o) {
  if (!o->style) return thaw_fail(THAW_ERR_USAGE, "thaw style needs --style FILE, the picture whose style is wanted");
  if (!o->weights)
    return thaw_fail(THAW_ERR_USAGE,
                     "thaw style needs --weights FILE, the pre-trained %s (datasets/fetch-vgg16.sh "
                     "obtains VGG16's)",
                     o->architecture);
  if (o->output && cli->arguments > 1)
    return thaw_fail(THAW_ERR_USAGE, "--output names one picture, %d are given; use --output-folder", cli->arguments);
  return THAW_OK;
}

thaw_status cli_style(cli_context *cli) {
  thaw_style_config defaults = thaw_style_defaults("vgg16");
  style_options o = {.architecture = defaults.architecture,
                     .size = 512,
                     .steps = 200,
                     .window = defaults.window,
                     .content_weight = defaults.content_weight,
                     .style_weight = defaults.style_weight,
                     .smooth = defaults.variation_weight,
                     .learning_rate = 2};
  const thaw_isa *isa;
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  THAW_TRY(check(cli, &o));
  THAW_TRY(thaw_agree(cli->comm, thaw_isa_select(o.isa, &isa)));
  if (o.folder) THAW_TRY(cli_share_status(cli, cli_is_root(cli) ? thaw_folder_create(o.folder) : THAW_OK));
  return paint_all(cli, &o, isa);
}
