/* Stored values -> what the network sees: windows, inversion, neighbours as channels. */
#include "thaw/dicom.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool thaw_dicom_recognize(const char *path) {
  char head[132];
  FILE *file = fopen(path, "rb");
  bool found = file && fread(head, 1, sizeof head, file) == sizeof head && memcmp(head + 128, "DICM", 4) == 0;
  if (file) fclose(file);
  return found;
}

/* ------------------------------------------------------------------ views by name */

/* Usual settings in Hounsfield units. */
static const struct {
  const char *name;
  thaw_dicom_window window;
} presets[] = {{"lung", {-600, 1500}}, {"mediastinum", {50, 350}}, {"abdomen", {40, 400}},  {"liver", {30, 150}},
               {"bone", {400, 1800}},  {"brain", {40, 80}},        {"subdural", {75, 215}}, {"stroke", {32, 8}}};

static bool find_window(const char *word, thaw_dicom_window *out) {
  for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
    if (strcmp(word, presets[i].name) == 0) {
      *out = presets[i].window;
      return true;
    }
  char centre[32] = "";
  size_t length = strcspn(word, "/");
  if (word[length] != '/' || length >= sizeof centre) return false;
  memcpy(centre, word, length);
  return thaw_parse_double(centre, &out->centre) == THAW_OK &&
         thaw_parse_double(word + length + 1, &out->width) == THAW_OK && out->width >= 1;
}

thaw_status thaw_dicom_view_parse(const char *text, thaw_dicom_view *out) {
  *out = (thaw_dicom_view){.preset = strcmp(text, "file") == 0, .volume = strcmp(text, "volume") == 0};
  if (out->preset || out->volume || strcmp(text, "full") == 0) return THAW_OK;
  for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
    char word[64] = "";
    size_t length = strcspn(at, ",");
    if (length < sizeof word) memcpy(word, at, length);
    if (out->windows == 3 || !find_window(word, &out->window[out->windows++]))
      return thaw_fail(
          THAW_ERR_USAGE,
          "window '%s': expected full, file, volume, or one or three of lung, mediastinum, abdomen, liver, bone, "
          "brain, subdural, stroke and CENTRE/WIDTH",
          text);
  }
  if (out->windows == 2) return thaw_fail(THAW_ERR_USAGE, "window '%s': one or three windows, not two", text);
  return THAW_OK;
}

/* ------------------------------------------------------------------ one frame */

double thaw_dicom_window_shade(thaw_dicom_window window, double x) {
  if (x <= window.centre - 0.5 - (window.width - 1) / 2) return 0;
  if (x > window.centre - 0.5 + (window.width - 1) / 2) return 1;
  return (x - (window.centre - 0.5)) / (window.width - 1) + 0.5;
}

static double clamp(double x) {
  return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* A stored value onto 0 .. 1: by the window, or by what the stored bits can hold. */
static double tone(const thaw_dicom_info *info, const thaw_dicom_window *window, int32_t stored) {
  double range = (double)((1 << info->bits) - 1), low = info->is_signed ? -(double)(1 << (info->bits - 1)) : 0;
  double value =
      window ? thaw_dicom_window_shade(*window, info->slope * stored + info->intercept) : clamp((stored - low) / range);
  return info->inverted ? 1 - value : value;
}

static thaw_status render_colour(thaw_dicom *dicom, int32_t frame, int32_t *value, thaw_image *out) {
  const thaw_dicom_info *info = thaw_dicom_about(dicom);
  size_t count = (size_t)out->h * (size_t)out->w * 3;
  THAW_TRY(thaw_dicom_values(dicom, frame, value));
  for (size_t i = 0; i < count; i++) {
    double shade = clamp(value[i] / (double)((1 << info->bits) - 1));
    if (out->bits == 8)
      ((uint8_t *)out->pixels)[i] = (uint8_t)lrint(shade * 255);
    else
      ((uint16_t *)out->pixels)[i] = (uint16_t)lrint(shade * 65535);
  }
  return THAW_OK;
}

static void paint(const thaw_dicom_info *info, const thaw_dicom_window *window, const int32_t *value, int32_t channel,
                  thaw_image *out) {
  size_t pixels = (size_t)out->h * (size_t)out->w;
  for (size_t i = 0; i < pixels; i++)
    ((uint16_t *)out->pixels)[i * (size_t)out->c + (size_t)channel] =
        (uint16_t)lrint(tone(info, window, value[i]) * 65535);
}

static thaw_status render_grey(thaw_dicom *dicom, const thaw_dicom_view *view, int32_t frame, int32_t *value,
                               thaw_image *out) {
  const thaw_dicom_info *info = thaw_dicom_about(dicom);
  thaw_dicom_window own = {info->centre, info->width};
  const thaw_dicom_window *first = view->windows ? &view->window[0] : view->preset && info->has_window ? &own : NULL;
  for (int32_t c = 0; c < out->c; c++) {
    int32_t from = view->stack ? frame + c - 1 : frame; /* the ends repeat themselves */
    from = from < 0 ? 0 : from >= info->frames ? info->frames - 1 : from;
    if (c == 0 || view->stack) THAW_TRY(thaw_dicom_values(dicom, from, value));
    paint(info, view->windows == 3 ? &view->window[c] : first, value, c, out);
  }
  return THAW_OK;
}

thaw_status thaw_dicom_render(thaw_dicom *dicom, const thaw_dicom_view *view, int32_t frame, thaw_image *out) {
  const thaw_dicom_info *info = thaw_dicom_about(dicom);
  *out = (thaw_image){
      .h = info->h, .w = info->w, .c = info->c == 3 || view->windows == 3 || view->stack ? 3 : 1, .bits = 16};
  if (frame < 0 || frame >= info->frames) return thaw_fail(THAW_ERR_DATA, "frame %d of %d", frame, info->frames);
  if (view->volume) return thaw_fail(THAW_ERR_USAGE, "window 'volume' is of NIfTI files");
  if (view->stack && view->windows == 3)
    return thaw_fail(THAW_ERR_USAGE, "three windows and neighbouring frames both want the three channels");
  if (info->c == 3 && info->bits <= 8) out->bits = 8;
  size_t count = (size_t)info->h * (size_t)info->w;
  int32_t *value = thaw_new(count * (size_t)info->c, sizeof *value);
  out->pixels = thaw_new(count * (size_t)out->c, (size_t)out->bits / 8);
  thaw_status status = value && out->pixels ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK)
    status = info->c == 3 ? render_colour(dicom, frame, value, out) : render_grey(dicom, view, frame, value, out);
  thaw_free(value);
  if (status != THAW_OK) thaw_image_clear(out);
  return status;
}
