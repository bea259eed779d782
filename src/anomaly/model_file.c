/* The model file: attributes of the root say how it was made; PaDiM has /mean and /factor, PatchCore /bank. */
#include "anomaly/anomaly_private.h"
#include "thaw/h5.h"

#include <math.h>
#include <string.h>

enum { VERSION = 1, CHUNK_BYTES = 1 << 20 };
static const char format[] = "thaw-anomaly";

typedef struct number {
  const char *name;
  double value, low, high;
} number;
enum { NUMBERS = 15 };

/* Every number of the configuration, to be written, or with the range in which it is believed. */
static void numbers_of(const thaw_anomaly_config *c, number out[NUMBERS]) {
  const number all[NUMBERS] = {{"height", c->h, 1, 65500},
                               {"width", c->w, 1, 65500},
                               {"scale", c->scale, 0, 1},
                               {"dimensions", c->dimensions, 0, 1e6},
                               {"shrinkage", c->shrinkage, 0, 1e30},
                               {"coreset", c->coreset, 0, 1},
                               {"projection", c->projection, 0, 1e6},
                               {"neighbours", c->neighbours, 1, 1e6},
                               {"smooth", c->smooth, 0, 1000},
                               {"tile", c->tile, 0, 65500},
                               {"stride", c->stride, 0, 65500},
                               {"merge", (double)c->merge, 0, 1},
                               {"held_out", c->held_out, 0, 1},
                               {"false_alarms", c->false_alarms, 0, 1},
                               {"seed", (double)c->seed, 0, 1e15}};
  memcpy(out, all, sizeof all);
}

static void set_numbers(thaw_anomaly_config *c, const number value[NUMBERS]) {
  c->h = (int32_t)value[0].value;
  c->w = (int32_t)value[1].value;
  c->scale = value[2].value != 0;
  c->dimensions = (int32_t)value[3].value;
  c->shrinkage = value[4].value;
  c->coreset = value[5].value;
  c->projection = (int32_t)value[6].value;
  c->neighbours = (int32_t)value[7].value;
  c->smooth = value[8].value;
  c->tile = (int32_t)value[9].value;
  c->stride = (int32_t)value[10].value;
  c->merge = value[11].value != 0 ? THAW_ANOMALY_MAX : THAW_ANOMALY_MEAN;
  c->held_out = value[12].value;
  c->false_alarms = value[13].value;
  c->seed = (uint64_t)value[14].value;
}

/* ------------------------------------------------------------------ writing */

static thaw_status write_attributes(const thaw_anomaly *m, thaw_h5 *file) {
  number value[NUMBERS];
  numbers_of(&m->config, value);
  THAW_TRY(thaw_h5_set_text(file, "/", "format", format));
  THAW_TRY(thaw_h5_set_int(file, "/", "version", VERSION));
  THAW_TRY(thaw_h5_set_text(file, "/", "method", thaw_anomaly_methods[m->config.method]));
  THAW_TRY(thaw_h5_set_text(file, "/", "architecture", m->architecture ? m->architecture : ""));
  THAW_TRY(thaw_h5_set_text(file, "/", "weights", m->weights ? m->weights : ""));
  THAW_TRY(thaw_h5_set_text(file, "/", "weights_digest", m->digest));
  THAW_TRY(thaw_h5_set_strings(file, "/", "layers", &m->names));
  for (int i = 0; i < NUMBERS; i++) THAW_TRY(thaw_h5_set_double(file, "/", value[i].name, value[i].value));
  THAW_TRY(thaw_h5_set_int(file, "/", "images", m->images));
  THAW_TRY(thaw_h5_set_int(file, "/", "images_held_out", m->held_out));
  THAW_TRY(thaw_h5_set_double(file, "/", "image_threshold", m->image_threshold));
  return thaw_h5_set_double(file, "/", "pixel_threshold", m->pixel_threshold);
}

static thaw_h5_layout layout_of(thaw_h5_type type, int64_t rows, int64_t width) {
  int64_t bytes = width * (int64_t)thaw_h5_type_size(type), chunk = CHUNK_BYTES / bytes;
  chunk = chunk < 1 ? 1 : chunk > rows ? rows : chunk;
  return (thaw_h5_layout){.type = type, .rank = 2, .dim = {rows, width}, .chunk_rows = chunk};
}

/* Mean and factor lie side by side in memory. */
static thaw_status write_gauss(const thaw_anomaly *m, thaw_h5 *file) {
  int64_t positions = (int64_t)anomaly_positions(m), width = m->width, rest = (int64_t)padim_doubles(m) - width;
  const double *gauss = thaw_shared_data(m->gauss);
  const thaw_h5_layout mean = layout_of(THAW_H5_F64, positions, width);
  const thaw_h5_layout factor = layout_of(THAW_H5_F64, positions, rest);
  THAW_TRY(thaw_h5_create_dataset(file, "/mean", &mean));
  THAW_TRY(thaw_h5_create_dataset(file, "/factor", &factor));
  for (int64_t p = 0; p < positions; p++, gauss += width + rest) {
    THAW_TRY(thaw_h5_write_rows(file, "/mean", THAW_H5_F64, p, 1, gauss));
    THAW_TRY(thaw_h5_write_rows(file, "/factor", THAW_H5_F64, p, 1, gauss + width));
  }
  return THAW_OK;
}

static thaw_status write_all(const thaw_anomaly *m, thaw_h5 *file) {
  float scale[THAW_ANOMALY_MAX_LAYERS];
  const thaw_h5_layout layers = {.type = THAW_H5_F32, .rank = 1, .dim = {(int64_t)m->names.count}};
  for (size_t i = 0; i < m->names.count; i++) scale[i] = m->layer[i].scale;
  THAW_TRY(write_attributes(m, file));
  THAW_TRY(thaw_h5_write(file, "/layer_scale", &layers, scale));
  if (m->config.method == THAW_ANOMALY_PATCHCORE) {
    const thaw_h5_layout bank = layout_of(THAW_H5_F32, m->bank_count, m->width);
    return thaw_h5_write(file, "/bank", &bank, m->bank);
  }
  const thaw_h5_layout channels = {.type = THAW_H5_I32, .rank = 1, .dim = {m->width}};
  THAW_TRY(thaw_h5_write(file, "/channel", &channels, m->channel));
  return write_gauss(m, file);
}

thaw_status thaw_anomaly_save(const thaw_anomaly *model, const char *path) {
  thaw_h5 *file;
  THAW_TRY(thaw_h5_create(path, &file));
  thaw_status status = write_all(model, file);
  if (status == THAW_OK) return thaw_h5_commit(file);
  thaw_h5_close(file);
  return status;
}

/* ------------------------------------------------------------------ reading */

typedef struct facts {
  char *format, *method, *architecture, *weights, *digest;
  thaw_strings layers;
  thaw_anomaly_config config;
  int64_t images, held_out;
  double image_threshold, pixel_threshold;
} facts;

static void facts_clear(facts *f) {
  thaw_free(f->format);
  thaw_free(f->method);
  thaw_free(f->architecture);
  thaw_free(f->weights);
  thaw_free(f->digest);
  thaw_strings_clear(&f->layers);
}

static thaw_status read_numbers(thaw_h5 *file, thaw_anomaly_config *config) {
  number value[NUMBERS];
  numbers_of(config, value);
  for (int i = 0; i < NUMBERS; i++) {
    THAW_TRY(thaw_h5_get_double(file, "/", value[i].name, &value[i].value));
    if (!(value[i].value >= value[i].low && value[i].value <= value[i].high))
      return thaw_fail(THAW_ERR_DATA, "%s: %s is %g, expected %g to %g", thaw_h5_path(file), value[i].name,
                       value[i].value, value[i].low, value[i].high);
  }
  set_numbers(config, value);
  if (config->tile && (config->stride < 1 || config->stride > config->tile))
    return thaw_fail(THAW_ERR_DATA, "%s: windows of %d pixels every %d", thaw_h5_path(file), config->tile,
                     config->stride);
  return THAW_OK;
}

static thaw_status read_facts(thaw_h5 *file, facts *f) {
  int64_t version;
  const char *path = thaw_h5_path(file);
  if (!thaw_h5_has_attribute(file, "/", "format")) return thaw_fail(THAW_ERR_DATA, "%s: no anomaly model", path);
  THAW_TRY(thaw_h5_get_text(file, "/", "format", &f->format));
  if (strcmp(f->format, format) != 0)
    return thaw_fail(THAW_ERR_DATA, "%s: its format is '%s', expected '%s'", path, f->format, format);
  THAW_TRY(thaw_h5_get_int(file, "/", "version", &version));
  if (version != VERSION)
    return thaw_fail(THAW_ERR_DATA, "%s: version %lld, expected %d", path, (long long)version, VERSION);
  THAW_TRY(thaw_h5_get_text(file, "/", "method", &f->method));
  THAW_TRY(thaw_h5_get_text(file, "/", "architecture", &f->architecture));
  THAW_TRY(thaw_h5_get_text(file, "/", "weights", &f->weights));
  THAW_TRY(thaw_h5_get_text(file, "/", "weights_digest", &f->digest));
  THAW_TRY(thaw_h5_get_strings(file, "/", "layers", &f->layers));
  THAW_TRY(read_numbers(file, &f->config));
  THAW_TRY(thaw_h5_get_int(file, "/", "images", &f->images));
  THAW_TRY(thaw_h5_get_int(file, "/", "images_held_out", &f->held_out));
  THAW_TRY(thaw_h5_get_double(file, "/", "image_threshold", &f->image_threshold));
  THAW_TRY(thaw_h5_get_double(file, "/", "pixel_threshold", &f->pixel_threshold));
  for (int32_t i = 0; thaw_anomaly_methods[i]; i++)
    if (strcmp(f->method, thaw_anomaly_methods[i]) == 0) {
      f->config.method = (thaw_anomaly_method)i;
      return f->layers.count >= 1 && f->layers.count <= THAW_ANOMALY_MAX_LAYERS
                 ? THAW_OK
                 : thaw_fail(THAW_ERR_DATA, "%s: %zu layers, expected 1 to %d", path, f->layers.count,
                             THAW_ANOMALY_MAX_LAYERS);
    }
  return thaw_fail(THAW_ERR_DATA, "%s: method '%s' is unknown", path, f->method);
}

static thaw_status create(thaw_comm *comm, const char *weights, const thaw_isa *isa, const facts *f,
                          thaw_anomaly **out) {
  thaw_anomaly_config config = f->config;
  config.architecture = f->architecture[0] ? f->architecture : NULL;
  config.weights = weights ? weights : f->weights[0] ? f->weights : NULL;
  config.layers = (int32_t)f->layers.count;
  for (size_t i = 0; i < f->layers.count; i++) config.layer[i] = f->layers.item[i];
  THAW_TRY(anomaly_create(comm, &config, isa, out));
  (*out)->images = f->images;
  (*out)->held_out = f->held_out;
  (*out)->image_threshold = f->image_threshold;
  (*out)->pixel_threshold = f->pixel_threshold;
  return THAW_OK;
}

static thaw_status check_shape(thaw_h5 *file, const char *dataset, int64_t rows, int64_t width, int64_t *rows_out) {
  thaw_h5_info info;
  THAW_TRY(thaw_h5_describe(file, dataset, &info));
  bool fits = info.rank == 2 && info.dim[1] == width && info.dim[0] > 0 && (rows < 0 || info.dim[0] == rows);
  if (!fits)
    return thaw_fail(THAW_ERR_DATA, "%s: %s is %lld x %lld, the network makes %lld x %lld", thaw_h5_path(file), dataset,
                     (long long)info.dim[0], (long long)info.dim[1], (long long)rows, (long long)width);
  *rows_out = info.dim[0];
  return THAW_OK;
}

static bool all_finite(const float *value, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(value[i])) return false;
  return true;
}

static thaw_status read_bank(thaw_anomaly *m, thaw_h5 *file) {
  THAW_TRY(check_shape(file, "/bank", -1, m->width, &m->bank_count));
  if (m->bank_count > INT32_MAX)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld patches", thaw_h5_path(file), (long long)m->bank_count);
  size_t count = (size_t)m->bank_count * (size_t)m->width;
  m->bank = thaw_new(count, sizeof *m->bank);
  if (!m->bank) return THAW_ERR_MEMORY;
  THAW_TRY(thaw_h5_read(file, "/bank", THAW_H5_F32, (int64_t)count, m->bank));
  if (!all_finite(m->bank, count))
    return thaw_fail(THAW_ERR_DATA, "%s: /bank holds values that are not finite", thaw_h5_path(file));
  return patchcore_prepare(m);
}

static thaw_status fill_gauss(const thaw_anomaly *m, thaw_h5 *file, double *out) {
  int64_t positions = (int64_t)anomaly_positions(m), width = m->width, rows;
  size_t all = padim_doubles(m);
  THAW_TRY(check_shape(file, "/mean", positions, width, &rows));
  THAW_TRY(check_shape(file, "/factor", positions, (int64_t)all - width, &rows));
  for (int64_t p = 0; p < positions; p++, out += all) {
    THAW_TRY(thaw_h5_read_rows(file, "/mean", THAW_H5_F64, p, 1, out));
    THAW_TRY(thaw_h5_read_rows(file, "/factor", THAW_H5_F64, p, 1, out + width));
    for (int64_t j = 0, at = width; j < width; at += width - j, j++)
      if (!(out[at] > 0))
        return thaw_fail(THAW_ERR_DATA, "%s: /factor: position %lld has %g on its diagonal", thaw_h5_path(file),
                         (long long)p, out[at]);
  }
  return THAW_OK;
}

/* [local] What every rank reads for itself. */
static thaw_status read_small(thaw_anomaly *m, thaw_h5 *file) {
  float scale[THAW_ANOMALY_MAX_LAYERS];
  THAW_TRY(thaw_h5_read(file, "/layer_scale", THAW_H5_F32, (int64_t)m->names.count, scale));
  if (!all_finite(scale, m->names.count))
    return thaw_fail(THAW_ERR_DATA, "%s: /layer_scale is not finite", thaw_h5_path(file));
  for (size_t i = 0; i < m->names.count; i++) m->layer[i].scale = scale[i];
  if (m->config.method == THAW_ANOMALY_PATCHCORE) return read_bank(m, file);
  int32_t *channel = thaw_new((size_t)m->width, sizeof *channel);
  if (!channel) return THAW_ERR_MEMORY;
  thaw_status status = thaw_h5_read(file, "/channel", THAW_H5_I32, m->width, channel);
  if (status == THAW_OK && memcmp(channel, m->channel, (size_t)m->width * sizeof *channel) != 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: /channel is not what the seed draws", thaw_h5_path(file));
  thaw_free(channel);
  return status;
}

/* [collective] */
static thaw_status read_model(thaw_anomaly *m, thaw_h5 *file, thaw_log *log, const char *digest) {
  THAW_TRY(anomaly_network_open(m, log));
  thaw_status status = strcmp(m->digest, digest) == 0
                           ? read_small(m, file)
                           : thaw_fail(THAW_ERR_DATA, "%s: made with weights %.16s..., those of %s are %.16s...",
                                       thaw_h5_path(file), digest, m->weights ? m->weights : "(random)", m->digest);
  THAW_TRY(thaw_agree(m->comm, status));
  if (m->config.method == THAW_ANOMALY_PATCHCORE) return THAW_OK;
  THAW_TRY(thaw_shared_create(m->comm, anomaly_positions(m) * padim_doubles(m) * sizeof(double), &m->gauss));
  status = thaw_shared_must_fill(m->gauss) ? fill_gauss(m, file, thaw_shared_data(m->gauss)) : THAW_OK;
  THAW_TRY(thaw_agree(m->comm, status));
  return thaw_shared_publish(m->gauss);
}

thaw_status thaw_anomaly_load(thaw_comm *comm, const char *path, const char *weights, const thaw_isa *isa,
                              thaw_log *log, thaw_anomaly **out) {
  thaw_h5 *file = NULL;
  thaw_anomaly *m = NULL;
  facts f = {0};
  *out = NULL;
  thaw_status status = thaw_h5_open(path, &file);
  if (status == THAW_OK) status = read_facts(file, &f);
  if (status == THAW_OK) status = create(comm, weights, isa, &f, &m);
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = read_model(m, file, log, f.digest);
  thaw_h5_close(file);
  facts_clear(&f);
  if (status == THAW_OK)
    *out = m;
  else
    thaw_anomaly_destroy(m);
  return status;
}
