/* tiles.c: large images as windows, each a sample.
 *
 * Each rank reads the images of a share: their sizes tell the windows, and their masks which of them show the defect.
 * All get all, so that every rank has the same list. An image that cannot be read stays one sample, which the survey
 * then finds to be broken. The windows of one image have it as their group, unless there is another: no split parts
 * them. */
#include "import/import_private.h"

#include <string.h>

struct import_tiles {
  int64_t *image;      /* [count] sample before there were windows */
  int32_t (*place)[4]; /* [count] top, left, height, width; height 0: the whole image */
  import_source whole; /* as it was; shares arena and block with the source */
  thaw_image picture;  /* the image read last */
  int64_t read;        /* which that is; -1: none */
};

/* What a rank says of its images, as 32-bit words: height and width (0: cannot be read), then one word per window:
 * whether it keeps the image's class. */
typedef struct tile_share {
  const import_source *source;
  const thaw_import_options *options;
  int32_t normal; /* class index; -1: no masks */
  thaw_text words;
  int64_t missing, misfits; /* masks */
  char *first;              /* words about the first of them */
} tile_share;

static int32_t window_side(int32_t length, int32_t tile) {
  return tile < length ? tile : length;
}

static int32_t stride_of(const thaw_import_options *o) {
  return o->tile_stride ? o->tile_stride : o->tile;
}

static int32_t window_count(const thaw_import_options *o, int32_t h, int32_t w) {
  return thaw_tile_count(h, o->tile, stride_of(o)) * thaw_tile_count(w, o->tile, stride_of(o));
}

static void window_place(const thaw_import_options *o, int32_t h, int32_t w, int32_t window, int32_t place[4]) {
  int32_t columns = thaw_tile_count(w, o->tile, stride_of(o));
  place[0] = thaw_tile_start(h, o->tile, stride_of(o), window / columns);
  place[1] = thaw_tile_start(w, o->tile, stride_of(o), window % columns);
  place[2] = window_side(h, o->tile);
  place[3] = window_side(w, o->tile);
}

/* ------------------------------------------------------------------ masks */

/* MASKS/KIND/NAME_mask.png of .../KIND/NAME.png, else NAME.png. */
static char *mask_path(const thaw_import_options *o, const char *path) {
  char *folder = thaw_path_folder(path);
  const char *name = thaw_path_name(path), *dot = strrchr(name, '.'), *kind = folder ? thaw_path_name(folder) : NULL;
  int stem = (int)(dot ? dot - name : (long)strlen(name));
  char *mask = kind ? thaw_format("%s/%s/%.*s_mask.png", o->tile_masks, kind, stem, name) : NULL;
  if (mask && !thaw_file_exists(mask)) {
    thaw_free(mask);
    mask = thaw_format("%s/%s/%.*s.png", o->tile_masks, kind, stem, name);
  }
  thaw_free(folder);
  return mask;
}

static bool is_marked(const thaw_image *mask, size_t pixel) {
  for (size_t at = pixel * (size_t)mask->c; at < (pixel + 1) * (size_t)mask->c; at++)
    if (mask->bits == 16 ? ((const uint16_t *)mask->pixels)[at] : ((const uint8_t *)mask->pixels)[at]) return true;
  return false;
}

/* Whether more than `share` of the window is marked. */
static bool shows_defect(const thaw_image *mask, const int32_t place[4], double share) {
  int64_t marked = 0;
  for (int32_t y = place[0]; y < place[0] + place[2]; y++)
    for (int32_t x = place[1]; x < place[1] + place[3]; x++)
      marked += is_marked(mask, (size_t)y * (size_t)mask->w + (size_t)x);
  return (double)marked > share * place[2] * place[3];
}

/* mask.pixels stays NULL where none is needed, is there, or fits: the latter are counted. */
static thaw_status read_mask(tile_share *t, int64_t i, const thaw_image *picture, thaw_image *mask) {
  *mask = (thaw_image){0};
  if (t->normal < 0 || t->source->class_index[i] == t->normal) return THAW_OK;
  char *path = mask_path(t->options, t->source->path[i]);
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  if (!thaw_file_exists(path)) {
    if (t->missing++ == 0 && !t->first) t->first = thaw_format("%s is missing", path);
  } else {
    status = thaw_image_read(path, mask);
    if (status == THAW_OK && (mask->h != picture->h || mask->w != picture->w)) {
      if (t->misfits++ == 0 && !t->first)
        t->first = thaw_format("%s is %d x %d, its image %d x %d", path, mask->h, mask->w, picture->h, picture->w);
      thaw_image_clear(mask);
    }
  }
  thaw_free(path);
  return status;
}

/* ------------------------------------------------------------------ a share */

static void add_word(tile_share *t, int32_t word) {
  thaw_text_add_bytes(&t->words, (const char *)&word, sizeof word);
}

static thaw_status look(tile_share *t, int64_t i) {
  thaw_image picture, mask;
  thaw_status status = thaw_import__image(t->source, i, &picture);
  if (status != THAW_OK && status != THAW_ERR_DATA) return status;
  add_word(t, status == THAW_OK ? picture.h : 0);
  add_word(t, status == THAW_OK ? picture.w : 0);
  if (status != THAW_OK) return THAW_OK;
  status = read_mask(t, i, &picture, &mask);
  for (int32_t k = 0; status == THAW_OK && k < window_count(t->options, picture.h, picture.w); k++) {
    int32_t place[4];
    window_place(t->options, picture.h, picture.w, k, place);
    add_word(t, !mask.pixels || shows_defect(&mask, place, t->options->tile_share));
  }
  thaw_image_clear(&mask);
  thaw_image_clear(&picture);
  return status;
}

/* [collective] Masks that are missing or do not fit end the import, counted. */
static thaw_status check_masks(thaw_comm *comm, const tile_share *t) {
  int64_t count[2] = {t->missing, t->misfits}, first = t->first ? -(int64_t)thaw_comm_rank(comm) : INT64_MIN;
  THAW_TRY(thaw_comm_sum_int(comm, count, 2));
  THAW_TRY(thaw_comm_max_int(comm, &first, 1));
  bool mine = t->first && first == -(int64_t)thaw_comm_rank(comm);
  return thaw_agree(comm, mine ? thaw_fail(THAW_ERR_DATA,
                                           "%lld masks are missing and %lld are of another size than their images: %s",
                                           (long long)count[0], (long long)count[1], t->first)
                               : THAW_OK);
}

/* ------------------------------------------------------------------ samples for windows */

static thaw_status allocate(import_source *s, const import_source *whole, int64_t count) {
  size_t n = (size_t)count, width = (size_t)whole->label_width;
  s->id = thaw_arena_new(s->arena, n, sizeof *s->id);
  s->group = thaw_arena_new(s->arena, n, sizeof *s->group);
  if (whole->path) s->path = thaw_arena_new(s->arena, n, sizeof *s->path);
  if (whole->class_index) s->class_index = thaw_arena_new(s->arena, n, sizeof *s->class_index);
  if (whole->multi) s->multi = thaw_arena_new(s->arena, n * width, 1);
  if (whole->target) s->target = thaw_arena_new(s->arena, n * width, sizeof *s->target);
  if (whole->attribute) s->attribute = thaw_arena_new(s->arena, n, sizeof *s->attribute);
  if (whole->frame) s->frame = thaw_arena_new(s->arena, n, sizeof *s->frame);
  s->tiles->image = thaw_arena_new(s->arena, n, sizeof *s->tiles->image);
  s->tiles->place = thaw_arena_new(s->arena, n, sizeof *s->tiles->place);
  bool complete = s->id && s->group && (s->path || !whole->path) && (s->class_index || !whole->class_index) &&
                  (s->multi || !whole->multi) && (s->target || !whole->target) && (s->attribute || !whole->attribute) &&
                  (s->frame || !whole->frame) && s->tiles->image && s->tiles->place;
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

/* Window `at` of the list, of image `i`. */
static thaw_status add_window(import_source *s, int64_t at, int64_t i, const int32_t place[4], int32_t class) {
  const import_source *whole = &s->tiles->whole;
  size_t width = (size_t)whole->label_width;
  char *id = place[2] ? thaw_format("%s#%d,%d", whole->id[i], place[0], place[1]) : thaw_copy_text(whole->id[i]);
  s->id[at] = id ? thaw_arena_text(s->arena, id) : NULL;
  thaw_free(id);
  if (!s->id[at]) return THAW_ERR_MEMORY;
  s->group[at] = whole->group && whole->group[i][0] ? whole->group[i] : whole->id[i];
  if (s->path) s->path[at] = whole->path[i];
  if (s->class_index) s->class_index[at] = class;
  if (s->multi) memcpy(s->multi + (size_t)at * width, whole->multi + (size_t)i * width, width);
  if (s->target) memcpy(s->target + (size_t)at * width, whole->target + (size_t)i * width, width * sizeof *s->target);
  if (s->attribute) s->attribute[at] = whole->attribute[i];
  if (s->frame) s->frame[at] = whole->frame[i];
  s->tiles->image[at] = i;
  memcpy(s->tiles->place[at], place, sizeof s->tiles->place[at]);
  return THAW_OK;
}

/* One image's words -> number of its windows; *at goes on. */
static int64_t take_image(const thaw_import_options *o, const int32_t *word, size_t words, size_t *at,
                          int32_t size[2]) {
  if (*at + 2 > words) return -1;
  size[0] = word[*at];
  size[1] = word[*at + 1];
  *at += 2;
  return size[0] ? window_count(o, size[0], size[1]) : 0;
}

static thaw_status expand(const thaw_import_options *o, int32_t normal, const int32_t *word, size_t words,
                          import_source *s) {
  const import_source *whole = &s->tiles->whole;
  int64_t count = 0, next = 0;
  int32_t size[2];
  size_t at = 0;
  for (int64_t i = 0; i < whole->count; i++) {
    int64_t windows = take_image(o, word, words, &at, size);
    if (windows < 0 || at + (size_t)windows > words)
      return thaw_fail(THAW_ERR_INTERNAL, "%s: windows of images got lost", s->name);
    at += (size_t)windows;
    count += windows ? windows : 1;
  }
  THAW_TRY(allocate(s, whole, count));
  at = 0;
  for (int64_t i = 0; i < whole->count; i++) {
    int32_t place[4] = {0}, class = whole->class_index ? whole->class_index[i] : 0;
    int64_t windows = take_image(o, word, words, &at, size);
    if (!windows) THAW_TRY(add_window(s, next++, i, place, class));
    for (int32_t k = 0; k < windows; k++) {
      window_place(o, size[0], size[1], k, place);
      THAW_TRY(add_window(s, next++, i, place, word[at++] ? class : normal));
    }
  }
  s->count = count;
  return THAW_OK;
}

/* ------------------------------------------------------------------ all ranks */

static thaw_status find_normal(const thaw_import_options *o, const import_source *s, int32_t *out) {
  *out = -1;
  if (s->neighbour) return thaw_fail(THAW_ERR_USAGE, "--tile does not go with --frames stack over files");
  if (!o->tile_masks) return THAW_OK;
  if (s->label_kind != THAW_LABEL_CLASS || !s->path)
    return thaw_fail(THAW_ERR_USAGE, "--tile-masks goes with image files of one class each");
  const char *name = o->tile_normal ? o->tile_normal : "good";
  for (size_t i = 0; i < s->classes.count; i++)
    if (strcmp(s->classes.item[i], name) == 0) *out = (int32_t)i;
  if (*out >= 0) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: no class '%s' for windows without a defect; name it with --tile-normal", s->name,
                   name);
}

static thaw_status look_at_share(thaw_comm *comm, tile_share *t, thaw_log *log) {
  int64_t count = t->source->count, rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  int64_t first = count * rank / ranks, end = count * (rank + 1) / ranks;
  thaw_progress_begin(log, "windows", "images", end - first);
  thaw_status status = THAW_OK;
  for (int64_t i = first; i < end && status == THAW_OK; i++) {
    status = look(t, i);
    thaw_progress_update(log, i - first + 1, NULL);
  }
  thaw_progress_end(log, NULL);
  if (status == THAW_OK && t->words.failed) status = THAW_ERR_MEMORY;
  THAW_TRY(thaw_agree(comm, status));
  return check_masks(comm, t);
}

thaw_status thaw_import__tile(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                              import_source *source) {
  if (!options->tile) return THAW_OK;
  tile_share t = {.source = source, .options = options};
  char *all = NULL;
  size_t size = 0;
  THAW_TRY(thaw_agree(comm, find_normal(options, source, &t.normal)));
  thaw_status status = look_at_share(comm, &t, log);
  if (status == THAW_OK) status = thaw_import__share_bytes(comm, t.words.data, t.words.length, &all, &size);
  thaw_text_clear(&t.words);
  thaw_free(t.first);
  if (status != THAW_OK) return status;
  import_tiles *tiles = thaw_new(1, sizeof *tiles);
  if (tiles) {
    tiles->whole = *source;
    tiles->read = -1;
    source->tiles = tiles;
    status = expand(options, t.normal, (const int32_t *)(const void *)all, size / sizeof(int32_t), source);
  }
  thaw_free(all);
  return thaw_agree(comm, tiles ? status : THAW_ERR_MEMORY);
}

/* The windows of an image follow one another, so it is read once. */
thaw_status thaw_import__tile_image(const import_source *source, int64_t i, thaw_image *out) {
  import_tiles *tiles = source->tiles;
  const int32_t *place = tiles->place[i];
  if (!place[2]) return thaw_import__image(&tiles->whole, tiles->image[i], out);
  if (tiles->read != tiles->image[i]) {
    tiles->read = -1;
    thaw_image_clear(&tiles->picture);
    THAW_TRY(thaw_import__image(&tiles->whole, tiles->image[i], &tiles->picture));
    tiles->read = tiles->image[i];
  }
  if (place[0] + place[2] > tiles->picture.h || place[1] + place[3] > tiles->picture.w)
    return thaw_fail(THAW_ERR_DATA, "is %d x %d now, was larger", tiles->picture.h, tiles->picture.w);
  return thaw_image_crop(&tiles->picture, place[0], place[1], place[2], place[3], out);
}

void thaw_import__free_tiles(import_source *source) {
  if (source->tiles) thaw_image_clear(&source->tiles->picture);
  thaw_free(source->tiles);
  source->tiles = NULL;
}
