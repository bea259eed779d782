/* make_mvtec FOLDER SIZE TRAIN GOOD EACH: a synthetic data set in the layout of MVTec AD, category "bottle": rings seen
 * from above, with noise; TRAIN good images to learn from, GOOD good ones to test, EACH of the kinds broken_large,
 * broken_small and contamination, with masks. */
#include "thaw/file.h"
#include "thaw/image.h"
#include "thaw/memory.h"
#include "thaw/rng.h"
#include "thaw/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct picture {
  int32_t size;
  uint64_t number;
  uint8_t *rgb, *mask;
} picture;

static float draw(const picture *p, uint32_t lane) {
  float value;
  const thaw_draw at = {.seed = 1, .purpose = THAW_RNG_TEST, .sample = p->number, .lane = lane};
  thaw_random_uniform(&at, &value, 1);
  return value;
}

static double clip(double value) {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* A bottle from above: background, wall, neck. */
static void draw_good(picture *p) {
  double n = p->size, cx = n / 2 + 2 * (double)draw(p, 1) - 1, cy = n / 2 + 2 * (double)draw(p, 2) - 1;
  double light = 0.9 + 0.2 * (double)draw(p, 3);
  float *noise = thaw_new((size_t)p->size * (size_t)p->size, sizeof *noise);
  const thaw_draw at = {.seed = 2, .purpose = THAW_RNG_TEST, .sample = p->number};
  if (!noise) exit(1);
  thaw_random_normal(&at, noise, (uint32_t)(p->size * p->size));
  for (int32_t y = 0; y < p->size; y++)
    for (int32_t x = 0; x < p->size; x++) {
      size_t i = (size_t)y * (size_t)p->size + (size_t)x;
      double r = hypot(x - cx, y - cy) / n, value = r > 0.45  ? 225
                                                    : r > 0.3 ? 60 + 40 * sin(40 * r)
                                                    : r > 0.2 ? 130
                                                              : 35;
      for (int k = 0; k < 3; k++)
        p->rgb[3 * i + (size_t)k] = (uint8_t)clip(light * value * (1 - 0.1 * k) + 5 * (double)noise[i]);
    }
  thaw_free(noise);
}

/* A spot of radius `radius` (of the size) at a random place of the wall, in one colour. */
static void draw_spot(picture *p, double radius, const int colour[3]) {
  double n = p->size, angle = 6.283 * (double)draw(p, 4), cx = n / 2 + 0.36 * n * cos(angle),
         cy = n / 2 + 0.36 * n * sin(angle);
  for (int32_t y = 0; y < p->size; y++)
    for (int32_t x = 0; x < p->size; x++) {
      size_t i = (size_t)y * (size_t)p->size + (size_t)x;
      double wobble = 1 + 0.25 * sin(5 * atan2(y - cy, x - cx) + (double)p->number);
      if (hypot(x - cx, y - cy) > radius * n * wobble) continue;
      p->mask[i] = 255;
      for (int k = 0; k < 3; k++) p->rgb[3 * i + (size_t)k] = (uint8_t)colour[k];
    }
}

static void write_image(const char *folder, int number, const char *ending, int32_t size, int32_t c, uint8_t *pixels) {
  char *path = thaw_format("%s/%03d%s.png", folder, number, ending);
  const thaw_image image = {.h = size, .w = size, .c = c, .bits = 8, .pixels = pixels};
  if (!path || thaw_image_write_png(path, &image) != THAW_OK) {
    fprintf(stderr, "%s\n", thaw_message());
    exit(1);
  }
  thaw_free(path);
}

static char *make_folder(const char *root, const char *inside) {
  char *path = thaw_format("%s/bottle/%s", root, inside);
  if (!path || thaw_folder_create(path) != THAW_OK) exit(1);
  return path;
}

static void write_good(picture *p, const char *root, const char *part, int count) {
  char *folder = make_folder(root, part);
  for (int i = 0; i < count; i++, p->number++) {
    draw_good(p);
    write_image(folder, i, "", p->size, 3, p->rgb);
  }
  thaw_free(folder);
}

static void write_kind(picture *p, const char *root, const char *kind, double radius, const int colour[3], int count) {
  char *name = thaw_format("test/%s", kind), *truth = thaw_format("ground_truth/%s", kind);
  if (!name || !truth) exit(1);
  char *images = make_folder(root, name), *masks = make_folder(root, truth);
  for (int i = 0; i < count; i++, p->number++) {
    for (int32_t k = 0; k < p->size * p->size; k++) p->mask[k] = 0;
    draw_good(p);
    draw_spot(p, radius, colour);
    write_image(images, i, "", p->size, 3, p->rgb);
    write_image(masks, i, "_mask", p->size, 1, p->mask);
  }
  thaw_free(name);
  thaw_free(truth);
  thaw_free(images);
  thaw_free(masks);
}

int main(int argc, char **argv) {
  int64_t number[4];
  if (argc != 6) return 2;
  for (int i = 0; i < 4; i++)
    if (thaw_parse_int(argv[i + 2], &number[i]) != THAW_OK || number[i] < 0 || number[i] > 4096) return 2;
  picture p = {.size = (int32_t)number[0]};
  p.rgb = thaw_new((size_t)p.size * (size_t)p.size, 3);
  p.mask = thaw_new((size_t)p.size * (size_t)p.size, 1);
  if (!p.rgb || !p.mask) return 1;
  write_good(&p, argv[1], "train/good", (int)number[1]);
  write_good(&p, argv[1], "test/good", (int)number[2]);
  write_kind(&p, argv[1], "broken_large", 0.09, (const int[]){225, 215, 205}, (int)number[3]);
  write_kind(&p, argv[1], "broken_small", 0.04, (const int[]){225, 215, 205}, (int)number[3]);
  write_kind(&p, argv[1], "contamination", 0.06, (const int[]){150, 70, 20}, (int)number[3]);
  thaw_free(p.rgb);
  thaw_free(p.mask);
  return 0;
}
