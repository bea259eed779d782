/* Losses of a picture and their gradient, window by window. Two sums over all windows: Gram matrices and the content
 * loss, which the gradients depend on; then the gradients. */
#include "style/style_private.h"
#include "thaw/memory.h"

#include <string.h>

enum { ROWS = 4096, SMALLEST = 32, GRAIN = 16 };

struct thaw_style {
  thaw_comm *comm;
  const thaw_isa *isa;
  thaw_style_config config;
  int32_t h, w, rows, columns; /* of the picture; windows */
  style_span *down, *across;
  style_network network;
  float **content;        /* [windows]: the content layer's output in windows of this rank */
  float *style;           /* Gram matrices of the style image, layer after layer */
  size_t gram_floats;     /* all layers' */
  thaw_wide *sums;        /* [gram_floats + 1]: Gram matrices and the content loss */
  thaw_wide *gradient;    /* [h][w][3] */
  float *product, *block; /* one layer's matrix; rows of its own part side by side */
  void *scratch;
};

thaw_style_config thaw_style_defaults(const char *architecture) {
  return (thaw_style_config){
      .architecture = architecture,
      .content_layer = "block4_conv2",
      .style_layer = {"block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1", "block5_conv1"},
      .style_layers = 5,
      .content_weight = 5,
      .style_weight = 100,
      .variation_weight = 0.001,
      .window = 512};
}

/* ------------------------------------------------------------------ windows */

typedef struct part { /* of a layer's output: what counts of a window */
  int32_t top, left, h, w, stride_w, c;
} part;

static bool is_mine(const thaw_style *s, int32_t window) {
  return window % thaw_comm_size(s->comm) == thaw_comm_rank(s->comm);
}

static int32_t count_mine(const thaw_style *s) {
  int32_t count = 0;
  for (int32_t i = 0; i < s->rows * s->columns; i++) count += is_mine(s, i);
  return count;
}

static part part_of(const thaw_style *s, int32_t window, int32_t layer) {
  const style_span *down = &s->down[window / s->columns], *across = &s->across[window % s->columns];
  const thaw_shape shape = thaw_graph_view(s->network.graph, s->network.node[layer])->layer.output;
  int32_t stride = style_network_stride(&s->network, layer);
  return (part){.top = (down->low - down->start) / stride,
                .left = (across->low - across->start) / stride,
                .h = (down->high - down->low) / stride,
                .w = (across->high - across->low) / stride,
                .stride_w = shape.w,
                .c = shape.c};
}

/* Where a part's row begins in a layer's whole output. */
static size_t row_start(const part *p, int32_t row) {
  return ((size_t)(p->top + row) * (size_t)p->stride_w + (size_t)p->left) * (size_t)p->c;
}

static size_t take_part(const part *p, const float *whole, float *block) {
  size_t width = (size_t)p->w * (size_t)p->c;
  for (int32_t r = 0; r < p->h; r++) memcpy(block + (size_t)r * width, whole + row_start(p, r), width * sizeof *block);
  return (size_t)p->h * (size_t)p->w;
}

static void load_window(thaw_style *s, int32_t window, const double *x) {
  const style_span *down = &s->down[window / s->columns], *across = &s->across[window % s->columns];
  float *to = s->network.input;
  for (int32_t row = 0; row < s->network.h; row++) {
    const double *from = x + ((size_t)(down->start + row) * (size_t)s->w + (size_t)across->start) * 3;
    for (int32_t i = 0; i < s->network.w * 3; i++) *to++ = (float)from[i];
  }
}

/* ------------------------------------------------------------------ the first pass */

/* Adds F^T F of one layer's part. Rows in chunks keep the float sums short. */
static bool add_gram(thaw_style *s, int32_t window, int32_t layer, thaw_wide *to) {
  part p = part_of(s, window, layer);
  size_t positions = take_part(&p, thaw_live_value(s->network.live, s->network.node[layer]), s->block);
  bool fits = true;
  for (size_t first = 0; first < positions; first += ROWS) {
    int32_t rows = (int32_t)(positions - first < ROWS ? positions - first : ROWS);
    const thaw_gemm_desc desc = {
        .m = p.c, .n = p.c, .k = rows, .transpose_a = true, .lda = p.c, .ldb = p.c, .ldc = p.c};
    const float *f = s->block + first * (size_t)p.c;
    thaw_gemm(s->isa, &desc, f, f, s->product, s->scratch);
    for (size_t i = 0; i < (size_t)p.c * (size_t)p.c; i++) fits &= thaw_wide_add(&to[i], s->product[i]);
  }
  return fits;
}

static size_t channels(const thaw_style *s, int32_t layer) {
  return (size_t)thaw_graph_view(s->network.graph, s->network.node[layer])->layer.output.c;
}

static bool add_grams(thaw_style *s, int32_t window) {
  thaw_wide *to = s->sums;
  bool fits = true;
  for (int32_t layer = 0; layer < s->config.style_layers; layer++) {
    fits &= add_gram(s, window, layer, to);
    to += channels(s, layer) * channels(s, layer);
  }
  return fits;
}

static bool add_content(thaw_style *s, int32_t window) {
  int32_t layer = s->config.style_layers;
  part p = part_of(s, window, layer);
  double sum = 0;
  for (int32_t r = 0; r < p.h; r++) {
    const float *f = thaw_live_value(s->network.live, s->network.node[layer]) + row_start(&p, r);
    const float *target = s->content[window] + row_start(&p, r);
    for (int32_t i = 0; i < p.w * p.c; i++) sum += ((double)f[i] - target[i]) * ((double)f[i] - target[i]);
  }
  return thaw_wide_add(&s->sums[s->gram_floats], sum);
}

/* [collective] */
static thaw_status reduce(thaw_style *s, thaw_status mine, bool fits, thaw_wide *sums, size_t count) {
  int64_t failed = mine != THAW_OK || !fits;
  if (mine == THAW_OK && !fits) mine = thaw_fail(THAW_ERR_RUN, "style transfer: the picture is no longer finite");
  THAW_TRY(thaw_wide_reduce(s->comm, sums, count, &failed));
  return failed ? thaw_agree(s->comm, mine) : THAW_OK;
}

/* [collective] Sums of all windows in s->sums. */
static thaw_status first_pass(thaw_style *s, const double *x, bool content) {
  bool fits = true;
  thaw_status status = THAW_OK;
  memset(s->sums, 0, (s->gram_floats + 1) * sizeof *s->sums);
  for (int32_t i = 0; i < s->rows * s->columns && status == THAW_OK; i++) {
    if (!is_mine(s, i)) continue;
    load_window(s, i, x);
    status = style_network_forward(&s->network);
    if (status == THAW_OK) fits &= add_grams(s, i);
    if (status == THAW_OK && content) fits &= add_content(s, i);
  }
  return reduce(s, status, fits, s->sums, s->gram_floats + 1);
}

/* Values of a layer's output for the whole picture. */
static double floats_of(const thaw_style *s, int32_t layer) {
  double stride = style_network_stride(&s->network, layer);
  return s->h / stride * (s->w / stride) * (double)channels(s, layer);
}

/* The Gram matrices of what first_pass has seen, in place of their sums; into `out`. */
static void finish_grams(const thaw_style *s, float *out) {
  const thaw_wide *from = s->sums;
  for (int32_t layer = 0; layer < s->config.style_layers; layer++)
    for (size_t i = 0; i < channels(s, layer) * channels(s, layer); i++)
      *out++ = (float)(thaw_wide_value(from++) / floats_of(s, layer));
}

/* ------------------------------------------------------------------ the second pass */

/* dy = factor * F D inside the part, zero elsewhere. */
static void style_gradient(thaw_style *s, int32_t window, int32_t layer, const float *difference, double factor) {
  part p = part_of(s, window, layer);
  size_t positions = take_part(&p, thaw_live_value(s->network.live, s->network.node[layer]), s->block);
  size_t width = (size_t)p.w * (size_t)p.c;
  float *dy = s->network.dy[layer], *result = s->block + positions * (size_t)p.c;
  const thaw_gemm_desc desc = {.m = (int32_t)positions, .n = p.c, .k = p.c, .lda = p.c, .ldb = p.c, .ldc = p.c};
  memset(dy, 0, thaw_shape_count(thaw_graph_view(s->network.graph, s->network.node[layer])->layer.output) * sizeof *dy);
  thaw_gemm(s->isa, &desc, s->block, difference, result, s->scratch);
  for (int32_t r = 0; r < p.h; r++) {
    float *to = dy + row_start(&p, r);
    for (size_t i = 0; i < width; i++) to[i] = (float)factor * result[(size_t)r * width + i];
  }
}

static void content_gradient(thaw_style *s, int32_t window) {
  int32_t layer = s->config.style_layers;
  part p = part_of(s, window, layer);
  float *dy = s->network.dy[layer], factor = (float)(2 * s->config.content_weight / floats_of(s, layer));
  memset(dy, 0, thaw_shape_count(thaw_graph_view(s->network.graph, s->network.node[layer])->layer.output) * sizeof *dy);
  for (int32_t r = 0; r < p.h; r++) {
    const float *f = thaw_live_value(s->network.live, s->network.node[layer]) + row_start(&p, r);
    const float *target = s->content[window] + row_start(&p, r);
    float *to = dy + row_start(&p, r);
    for (int32_t i = 0; i < p.w * p.c; i++) to[i] = factor * (f[i] - target[i]);
  }
}

static bool add_window_gradient(thaw_style *s, int32_t window) {
  const style_span *down = &s->down[window / s->columns], *across = &s->across[window % s->columns];
  const float *from = thaw_live_cut_gradient(s->network.live, 0);
  bool fits = true;
  for (int32_t row = 0; row < s->network.h; row++) {
    thaw_wide *to = s->gradient + ((size_t)(down->start + row) * (size_t)s->w + (size_t)across->start) * 3;
    for (int32_t i = 0; i < s->network.w * 3; i++) fits &= thaw_wide_add(&to[i], *from++);
  }
  return fits;
}

/* [local] Everything about one window; its activations are there already when it is the only one. */
static thaw_status go_back(thaw_style *s, int32_t window, const double *x, bool only, const float *differences) {
  if (!only) {
    load_window(s, window, x);
    THAW_TRY(style_network_forward(&s->network));
  }
  for (int32_t layer = 0; layer < s->config.style_layers; layer++) {
    double c = (double)channels(s, layer);
    style_gradient(s, window, layer, differences, 4 * s->config.style_weight / (c * c * floats_of(s, layer)));
    differences += channels(s, layer) * channels(s, layer);
  }
  content_gradient(s, window);
  return style_network_backward(&s->network);
}

/* [collective] */
static thaw_status second_pass(thaw_style *s, const double *x, const float *differences) {
  size_t count = (size_t)s->h * (size_t)s->w * 3;
  bool fits = true, only = count_mine(s) == 1;
  thaw_status status = THAW_OK;
  memset(s->gradient, 0, count * sizeof *s->gradient);
  for (int32_t i = 0; i < s->rows * s->columns && status == THAW_OK; i++) {
    if (!is_mine(s, i)) continue;
    status = go_back(s, i, x, only, differences);
    if (status == THAW_OK) fits &= add_window_gradient(s, i);
  }
  return reduce(s, status, fits, s->gradient, count);
}

/* Adds to the gradient, returns the loss. Small beside the network's, so every rank does all of it. */
static double add_variation(const thaw_style *s, const double *x, double *gradient) {
  double sum = 0, weight = s->config.variation_weight;
  size_t row = (size_t)s->w * 3;
  for (int32_t y = 0; y < s->h; y++)
    for (size_t i = 0; i < row; i++) {
      size_t at = (size_t)y * row + i, next[2] = {at + 3, at + row};
      bool inside[2] = {i + 3 < row, y + 1 < s->h};
      for (int k = 0; k < 2; k++) {
        double difference = inside[k] ? x[next[k]] - x[at] : 0;
        if (!inside[k]) continue;
        sum += difference * difference;
        gradient[next[k]] += weight * difference;
        gradient[at] -= weight * difference;
      }
    }
  return weight / 2 * sum;
}

/* G - A in place of G; returns the style loss. */
static double compare_grams(const thaw_style *s, float *gram) {
  const float *target = s->style;
  double loss = 0;
  for (int32_t layer = 0; layer < s->config.style_layers; layer++) {
    size_t count = channels(s, layer) * channels(s, layer);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
      gram[i] -= target[i];
      sum += (double)gram[i] * gram[i];
    }
    loss += s->config.style_weight * sum / (double)count;
    gram += count;
    target += count;
  }
  return loss;
}

thaw_status thaw_style_evaluate(thaw_style *s, const double *x, double *gradient, thaw_style_loss *loss) {
  float *gram = thaw_new(s->gram_floats, sizeof *gram);
  thaw_status status = thaw_agree(s->comm, gram ? THAW_OK : THAW_ERR_MEMORY);
  if (status == THAW_OK) status = first_pass(s, x, true);
  if (status == THAW_OK) {
    finish_grams(s, gram);
    loss->content =
        s->config.content_weight * thaw_wide_value(&s->sums[s->gram_floats]) / floats_of(s, s->config.style_layers);
    loss->style = compare_grams(s, gram);
    status = second_pass(s, x, gram);
  }
  if (status == THAW_OK) {
    for (size_t i = 0; i < (size_t)s->h * (size_t)s->w * 3; i++) gradient[i] = thaw_wide_value(&s->gradient[i]);
    loss->variation = add_variation(s, x, gradient);
  }
  thaw_free(gram);
  return status;
}

/* ------------------------------------------------------------------ set-up */

static thaw_status check_picture(const char *what, const thaw_image *picture) {
  if (picture->c == 3 && picture->bits == 8 && picture->h >= SMALLEST && picture->w >= SMALLEST &&
      picture->h % GRAIN == 0 && picture->w % GRAIN == 0)
    return THAW_OK;
  return thaw_fail(THAW_ERR_INTERNAL, "the %s picture is %d x %d x %d of %d bits", what, picture->h, picture->w,
                   picture->c, picture->bits);
}

/* Windows for a picture of h x w, and work space for them. */
static thaw_status prepare(thaw_style *s, int32_t h, int32_t w) {
  int32_t window = s->config.window / GRAIN * GRAIN;
  s->h = h;
  s->w = w;
  THAW_TRY(style_network_create(&s->config, s->isa, h < window ? h : window, w < window ? w : window, &s->network));
  int32_t halo = style_network_halo(&s->network);
  if ((h > window || w > window) && window <= 2 * halo)
    return thaw_fail(THAW_ERR_USAGE, "windows of %d pixels are too small: these layers need more than %d",
                     s->config.window, 2 * halo);
  s->rows = style_cover(h, s->network.h, halo, NULL);
  s->columns = style_cover(w, s->network.w, halo, NULL);
  s->down = thaw_new((size_t)s->rows, sizeof *s->down);
  s->across = thaw_new((size_t)s->columns, sizeof *s->across);
  s->content = thaw_new((size_t)s->rows * (size_t)s->columns, sizeof *s->content);
  if (!s->down || !s->across || !s->content) return THAW_ERR_MEMORY;
  style_cover(h, s->network.h, halo, s->down);
  style_cover(w, s->network.w, halo, s->across);
  size_t largest = 0, product = 0, scratch = 0;
  s->gram_floats = 0;
  for (int32_t i = 0; i < s->network.layers; i++) {
    const thaw_shape shape = thaw_graph_view(s->network.graph, s->network.node[i])->layer.output;
    size_t c = (size_t)shape.c, count = thaw_shape_count(shape);
    const thaw_gemm_desc gram = {
        .m = shape.c, .n = shape.c, .k = ROWS, .transpose_a = true, .lda = shape.c, .ldb = shape.c, .ldc = shape.c};
    const thaw_gemm_desc back = {
        .m = shape.h * shape.w, .n = shape.c, .k = shape.c, .lda = shape.c, .ldb = shape.c, .ldc = shape.c};
    size_t need[2] = {thaw_gemm_scratch_bytes(s->isa, &gram), thaw_gemm_scratch_bytes(s->isa, &back)};
    for (int k = 0; k < 2; k++) scratch = need[k] > scratch ? need[k] : scratch;
    largest = count > largest ? count : largest;
    product = c * c > product ? c * c : product;
    if (i < s->config.style_layers) s->gram_floats += c * c;
  }
  s->sums = thaw_new(s->gram_floats + 1, sizeof *s->sums);
  s->gradient = thaw_new((size_t)h * (size_t)w * 3, sizeof *s->gradient);
  s->product = thaw_new(product, sizeof *s->product);
  s->block = thaw_new(2 * largest, sizeof *s->block);
  s->scratch = thaw_new(scratch, 1);
  return s->sums && s->gradient && s->product && s->block && s->scratch ? THAW_OK : THAW_ERR_MEMORY;
}

static void release(thaw_style *s) {
  for (int32_t i = 0; s->content && i < s->rows * s->columns; i++) thaw_free(s->content[i]);
  void *owned[] = {s->content, s->down, s->across, s->sums, s->gradient, s->product, s->block, s->scratch};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) thaw_free(owned[i]);
  style_network_clear(&s->network);
  s->content = NULL;
  s->down = s->across = NULL;
  s->sums = s->gradient = NULL;
  s->product = s->block = NULL;
  s->scratch = NULL;
}

/* [collective] The Gram matrices of the style picture; its windows are given back. */
static thaw_status learn_style(thaw_style *s, const thaw_image *picture) {
  double *x = thaw_new((size_t)picture->h * (size_t)picture->w * 3, sizeof *x);
  thaw_status status = x ? prepare(s, picture->h, picture->w) : THAW_ERR_MEMORY;
  if (status == THAW_OK && !(s->style = thaw_new(s->gram_floats, sizeof *s->style))) status = THAW_ERR_MEMORY;
  status = thaw_agree(s->comm, status);
  if (status == THAW_OK) {
    thaw_style_encode(picture, x);
    status = first_pass(s, x, false);
  }
  if (status == THAW_OK) finish_grams(s, s->style);
  thaw_free(x);
  release(s);
  return status;
}

/* [local] The content layer's output in the windows of this rank. */
static thaw_status learn_content(thaw_style *s, const double *x) {
  int32_t node = s->network.node[s->config.style_layers];
  size_t count = thaw_shape_count(thaw_graph_view(s->network.graph, node)->layer.output);
  for (int32_t i = 0; i < s->rows * s->columns; i++) {
    if (!is_mine(s, i)) continue;
    load_window(s, i, x);
    THAW_TRY(style_network_forward(&s->network));
    s->content[i] = thaw_new(count, sizeof(float));
    if (!s->content[i]) return THAW_ERR_MEMORY;
    memcpy(s->content[i], thaw_live_value(s->network.live, node), count * sizeof(float));
  }
  return THAW_OK;
}

/* [collective] */
static thaw_status set_up(thaw_style *s, const thaw_image *content, const thaw_image *style) {
  THAW_TRY(check_picture("content", content));
  THAW_TRY(check_picture("style", style));
  THAW_TRY(learn_style(s, style));
  double *x = thaw_new((size_t)content->h * (size_t)content->w * 3, sizeof *x);
  thaw_status status = x ? prepare(s, content->h, content->w) : THAW_ERR_MEMORY;
  if (status == THAW_OK) {
    thaw_style_encode(content, x);
    status = learn_content(s, x);
  }
  thaw_free(x);
  return thaw_agree(s->comm, status);
}

thaw_status thaw_style_create(thaw_comm *comm, const thaw_style_config *config, const thaw_isa *isa,
                              const thaw_image *content, const thaw_image *style, thaw_log *log, thaw_style **out) {
  *out = NULL;
  thaw_style *s = thaw_new(1, sizeof *s);
  THAW_TRY(thaw_agree(comm, s ? THAW_OK : THAW_ERR_MEMORY));
  s->comm = comm;
  s->isa = isa;
  s->config = *config;
  thaw_status status = set_up(s, content, style);
  if (status != THAW_OK) {
    thaw_style_destroy(s);
    return status;
  }
  thaw_verbose(log, "%d x %d windows of %d x %d pixels", s->rows, s->columns, s->network.h, s->network.w);
  *out = s;
  return THAW_OK;
}

void thaw_style_destroy(thaw_style *s) {
  if (!s) return;
  release(s);
  thaw_free(s->style);
  thaw_free(s);
}

int32_t thaw_style_windows(const thaw_style *s) {
  return s->rows * s->columns;
}

size_t style_values(const thaw_style *s) {
  return (size_t)s->h * (size_t)s->w * 3;
}

thaw_status style_agree(const thaw_style *s, thaw_status mine) {
  return thaw_agree(s->comm, mine);
}
