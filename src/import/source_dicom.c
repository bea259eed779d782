/* source_dicom.c: DICOM files among the images of a folder or a list: frames become samples, patients become groups,
 * and what names a person becomes a keyed hash (HMAC-SHA-256, RFC 2104) unless plain names were asked for. Ranks read
 * contiguous shares of the headers; all get all of them. */
#include "import/import_private.h"
#include "thaw/digest.h"
#include "thaw/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAMES_ALL, FRAMES_MIDDLE, FRAMES_STACK, KEY_BYTES = 32, HASH_DIGITS = 24, BLOCK = 64 };

/* ------------------------------------------------------------------ keyed hashes */
typedef struct id_key {
  char *bytes; /* NULL: names stay as they are */
  size_t size;
} id_key;

static void from_hex(const char *text, unsigned char *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    unsigned high = (unsigned char)text[2 * i], low = (unsigned char)text[2 * i + 1];
    high = high <= '9' ? high - '0' : high - 'a' + 10;
    low = low <= '9' ? low - '0' : low - 'a' + 10;
    out[i] = (unsigned char)(high << 4 | low);
  }
}

static thaw_status padded_digest(const id_key *key, unsigned char pad, const void *data, size_t size,
                                 char out[THAW_DIGEST_TEXT]) {
  unsigned char block[BLOCK];
  thaw_digest *digest;
  for (size_t i = 0; i < BLOCK; i++) block[i] = (unsigned char)((i < key->size ? key->bytes[i] : 0) ^ pad);
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add(digest, block, sizeof block);
  thaw_digest_add(digest, data, size);
  thaw_digest_finish(digest, out);
  return THAW_OK;
}

/* `what` keeps hashes of different things apart. */
static thaw_status keyed(const id_key *key, const char *what, const char *text, thaw_text *out) {
  char hex[THAW_DIGEST_TEXT];
  unsigned char inner[32];
  if (!key->bytes) {
    thaw_text_add(out, "%s", text);
    return THAW_OK;
  }
  char *whole = thaw_format("%s:%s", what, text);
  if (!whole) return THAW_ERR_MEMORY;
  thaw_status status = padded_digest(key, 0x36, whole, strlen(whole), hex);
  if (status == THAW_OK) {
    from_hex(hex, inner, sizeof inner);
    status = padded_digest(key, 0x5c, inner, sizeof inner, hex);
  }
  thaw_free(whole);
  if (status == THAW_OK) thaw_text_add(out, "%.*s", HASH_DIGITS, hex);
  return status;
}

static thaw_status make_key(const char *path) {
  char bytes[KEY_BYTES], text[2 * KEY_BYTES + 2];
  if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
    return thaw_fail(THAW_ERR_RUN, "%s: no random numbers: %s", path, strerror(errno));
  for (size_t i = 0; i < KEY_BYTES; i++) snprintf(text + 2 * i, 4, "%02x\n", (unsigned)(unsigned char)bytes[i]);
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (file < 0) return thaw_fail(THAW_ERR_DISK, "%s: cannot be made: %s", path, strerror(errno));
  bool written = write(file, text, 2 * KEY_BYTES + 1) == 2 * KEY_BYTES + 1 && fsync(file) == 0;
  written &= close(file) == 0;
  return written ? THAW_OK : thaw_fail(THAW_ERR_DISK, "%s: cannot be written: %s", path, strerror(errno));
}

/* The secret of --id-key, or of OUTPUT.id-key; made when it is not there. The same key gives the same ids. */
static thaw_status read_key(const thaw_import_options *options, thaw_log *log, id_key *out) {
  size_t length = strlen(options->output);
  while (length > 1 && options->output[length - 1] == '/') length--;
  char *path =
      options->id_key ? thaw_copy_text(options->id_key) : thaw_format("%.*s.id-key", (int)length, options->output);
  if (!path) return THAW_ERR_MEMORY;
  thaw_status status = THAW_OK;
  if (!thaw_file_exists(path)) {
    status = make_key(path);
    if (status == THAW_OK) thaw_info(log, "%s: a new secret key for ids; keep it apart from the shards", path);
  }
  if (status == THAW_OK) status = thaw_file_read(path, 4096, &out->bytes, &out->size);
  while (status == THAW_OK && out->size && strchr("\r\n ", out->bytes[out->size - 1])) out->size--;
  if (status == THAW_OK && (out->size < 16 || out->size > BLOCK))
    status = thaw_fail(THAW_ERR_DATA, "%s: a key has 16 to %d bytes, not %zu", path, (int)BLOCK, out->size);
  thaw_free(path);
  return status;
}

/* [collective] */
static thaw_status share_key(thaw_comm *comm, const thaw_import_options *options, thaw_log *log, id_key *key) {
  if (options->keep_ids) return THAW_OK;
  bool root = thaw_comm_rank(comm) == 0;
  THAW_TRY(thaw_agree(comm, root ? read_key(options, log, key) : THAW_OK));
  return thaw_comm_broadcast_new(comm, 0, &key->bytes, &key->size);
}

/* ------------------------------------------------------------------ headers */

static bool is_dicom(const char *path) {
  const char *dot = strrchr(thaw_path_name(path), '.');
  return (dot && (strcasecmp(dot, ".dcm") == 0 || strcasecmp(dot, ".dicom") == 0)) || thaw_dicom_recognize(path);
}

static void add_string(thaw_text *out, const thaw_text *text) {
  thaw_text_add_bytes(out, text->data ? text->data : "", text->length);
  thaw_text_add_bytes(out, "", 1);
}

/* Zero-terminated words of one image: kind, frames, colour, id, group, where the group is from, attributes. */
static thaw_status describe(thaw_dicom *dicom, const char *fallback_id, const id_key *key,
                            const thaw_strings *attributes, thaw_text *out) {
  const thaw_dicom_info *info = thaw_dicom_about(dicom);
  char *instance = NULL, *patient = NULL, *study = NULL;
  thaw_text id = {0}, group = {0};
  thaw_status status = thaw_dicom_text(dicom, "SOPInstanceUID", &instance);
  if (status == THAW_OK) status = thaw_dicom_text(dicom, "PatientID", &patient);
  if (status == THAW_OK) status = thaw_dicom_text(dicom, "StudyInstanceUID", &study);
  if (status == THAW_OK) status = keyed(key, "image", key->bytes && *instance ? instance : fallback_id, &id);
  if (status == THAW_OK && *patient) status = keyed(key, "patient", patient, &group);
  if (status == THAW_OK && !*patient && *study) status = keyed(key, "study", study, &group);
  thaw_text_add(out, "d%c%d%c%c%c", 0, info->frames, 0, info->c == 3 ? 'c' : 'g', 0);
  add_string(out, &id);
  add_string(out, &group);
  thaw_text_add(out, "%c%c", status == THAW_OK && *patient ? 'p' : 's', 0);
  for (size_t k = 0; status == THAW_OK && k < attributes->count; k++) {
    char *value;
    status = thaw_dicom_text(dicom, attributes->item[k], &value);
    if (status == THAW_OK) thaw_text_add_bytes(out, value, strlen(value) + 1);
    if (status == THAW_OK) thaw_free(value);
  }
  thaw_free(instance), thaw_free(patient), thaw_free(study);
  thaw_text_clear(&id), thaw_text_clear(&group);
  return status;
}

/* A broken file is a sample that the survey will put into quarantine. */
static thaw_status read_header(const import_source *source, int64_t i, const id_key *key,
                               const thaw_strings *attributes, thaw_text *out) {
  thaw_dicom *dicom;
  if (!is_dicom(source->path[i])) {
    thaw_text_add_bytes(out, "n", 2);
    return THAW_OK;
  }
  thaw_status status = thaw_dicom_open(source->path[i], &dicom);
  if (status == THAW_ERR_DATA) {
    thaw_text id = {0};
    thaw_text_add_bytes(out, "b", 2);
    status = keyed(key, "image", source->id[i], &id);
    add_string(out, &id);
    thaw_text_clear(&id);
    return status;
  }
  THAW_TRY(status);
  status = describe(dicom, source->id[i], key, attributes, out);
  thaw_dicom_close(dicom);
  return status;
}

/* ------------------------------------------------------------------ files -> samples */

typedef struct expansion {
  const thaw_import_options *options;
  const thaw_strings *attributes;
  const id_key *key;
  const char *at; /* in the words of all headers */
  import_source old, *out;
  int64_t colour, grey, without_patient, without_group;
} expansion;

static const char *next_word(expansion *e) {
  const char *word = e->at;
  e->at += strlen(word) + 1;
  return word;
}

static int64_t frames_taken(const expansion *e, int64_t frames) {
  return e->options->frames == FRAMES_MIDDLE ? 1 : frames;
}

static char *keep_text(expansion *e, const char *text) {
  return thaw_arena_text(e->out->arena, text);
}

/* Room for sample number out->count with what file `i` says. */
static void copy_labels(const import_source *from, int64_t i, import_source *to) {
  size_t width = (size_t)from->label_width, at = (size_t)to->count;
  if (from->class_index) to->class_index[at] = from->class_index[i];
  if (from->target) memcpy(to->target + at * width, from->target + (size_t)i * width, width * sizeof(float));
  if (from->multi) memcpy(to->multi + at * width, from->multi + (size_t)i * width, width);
  if (from->attribute) to->attribute[at] = from->attribute[i];
}

static thaw_status add_sample(expansion *e, int64_t i, const char *id, const char *group, int32_t frame, bool number,
                              char **attributes) {
  import_source *to = e->out;
  char *name = number ? thaw_format("%s#%d", id, frame) : thaw_copy_text(id);
  if (!name) return THAW_ERR_MEMORY;
  copy_labels(&e->old, i, to);
  to->id[to->count] = keep_text(e, name);
  to->path[to->count] = e->old.path[i];
  to->group[to->count] = keep_text(e, group);
  to->frame[to->count] = frame;
  if (attributes) to->attribute[to->count] = attributes;
  thaw_free(name);
  bool complete = to->id[to->count] && to->group[to->count];
  to->count++;
  return complete ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status list_group(expansion *e, int64_t i, thaw_text *out) {
  const char *name = e->old.group ? e->old.group[i] : "";
  return *name ? keyed(e->key, "patient", name, out) : THAW_OK;
}

static thaw_status expand_dicom(expansion *e, int64_t i) {
  int64_t frames = 1;
  THAW_TRY(thaw_parse_int(next_word(e), &frames));
  ++*(*next_word(e) == 'c' ? &e->colour : &e->grey);
  const char *id = next_word(e), *group = next_word(e);
  bool patient = *next_word(e) == 'p';
  char **attributes = NULL;
  size_t columns = e->attributes->count;
  if (columns) {
    attributes = thaw_arena_new(e->out->arena, columns, sizeof *attributes);
    if (!attributes) return THAW_ERR_MEMORY;
    for (size_t k = 0; k < columns; k++)
      if (!(attributes[k] = keep_text(e, next_word(e)))) return THAW_ERR_MEMORY;
  }
  thaw_text listed = {0};
  thaw_status status = list_group(e, i, &listed);
  if (listed.length) group = listed.data;
  if (!listed.length && !patient) ++*(*group ? &e->without_patient : &e->without_group);
  int64_t taken = frames_taken(e, frames), first = taken == 1 ? frames / 2 : 0;
  for (int64_t f = 0; status == THAW_OK && f < taken; f++)
    status = add_sample(e, i, id, group, (int32_t)(first + f), taken > 1, attributes);
  thaw_text_clear(&listed);
  return status;
}

static thaw_status expand_file(expansion *e, int64_t i) {
  thaw_text group = {0};
  char kind = *next_word(e);
  if (kind == 'd') return expand_dicom(e, i);
  const char *id = kind == 'b' ? next_word(e) : e->old.id[i];
  char **none = NULL;
  if (e->attributes->count) {
    none = thaw_arena_new(e->out->arena, e->attributes->count, sizeof *none);
    for (size_t k = 0; none && k < e->attributes->count; k++) none[k] = keep_text(e, "");
    if (!none) return THAW_ERR_MEMORY;
  }
  thaw_status status = list_group(e, i, &group);
  if (status == THAW_OK) status = add_sample(e, i, id, group.data ? group.data : "", kind == 'b' ? 0 : -1, false, none);
  thaw_text_clear(&group);
  return status;
}

static int64_t count_samples(expansion *e, int64_t files) {
  const char *start = e->at;
  int64_t samples = 0;
  for (int64_t i = 0; i < files; i++) {
    int64_t frames = 1;
    char kind = *next_word(e);
    if (kind == 'b') next_word(e);
    if (kind == 'd') {
      if (thaw_parse_int(next_word(e), &frames) != THAW_OK) frames = 1;
      for (size_t k = 0; k < 4 + e->attributes->count; k++) next_word(e);
    }
    samples += frames_taken(e, frames);
  }
  e->at = start;
  return samples;
}

static thaw_status expand(expansion *e, thaw_log *log) {
  import_source *to = e->out;
  size_t files = (size_t)to->count, width = (size_t)to->label_width, samples = (size_t)count_samples(e, to->count);
  thaw_arena *arena = to->arena;
  bool own = e->attributes->count > 0;
  to->id = thaw_arena_new(arena, samples, sizeof *to->id);
  to->path = thaw_arena_new(arena, samples, sizeof *to->path);
  to->group = thaw_arena_new(arena, samples, sizeof *to->group);
  to->frame = thaw_arena_new(arena, samples, sizeof *to->frame);
  if (to->class_index) to->class_index = thaw_arena_new(arena, samples, sizeof *to->class_index);
  if (to->target) to->target = thaw_arena_new(arena, samples * width, sizeof *to->target);
  if (to->multi) to->multi = thaw_arena_new(arena, samples, width);
  if (to->attribute || own) to->attribute = thaw_arena_new(arena, samples, sizeof *to->attribute);
  if (!to->id || !to->path || !to->group || !to->frame) return THAW_ERR_MEMORY;
  to->count = 0;
  for (size_t i = 0; i < files; i++) THAW_TRY(expand_file(e, (int64_t)i));
  if (e->without_patient)
    thaw_warn(log, "%lld files have no PatientID: they are grouped by StudyInstanceUID", (long long)e->without_patient);
  if (e->without_group)
    thaw_warn(log, "%lld files have neither PatientID nor StudyInstanceUID: each is a group of its own",
              (long long)e->without_group);
  if (e->colour && e->grey && !e->options->c)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld DICOM files are grey and %lld in colour: choose with --channels 1 or 3",
                     to->name, (long long)e->grey, (long long)e->colour);
  return THAW_OK;
}

/* id,path of every sample, for who may know: only its owner can read the file. */
static thaw_status write_id_list(const import_source *source, const char *path) {
  thaw_text text = {0};
  thaw_text_add(&text, "id,path\n");
  for (int64_t i = 0; i < source->count; i++) {
    thaw_csv_add(&text, source->id[i]);
    thaw_text_add(&text, ",");
    thaw_csv_add(&text, source->path[i]);
    thaw_text_add(&text, "\n");
  }
  mode_t before = umask(0077);
  thaw_status status = text.failed ? THAW_ERR_MEMORY : thaw_file_write(path, text.data, text.length);
  umask(before);
  thaw_text_clear(&text);
  return status;
}

/* ------------------------------------------------------------------ all together */

/* [collective] The words of all headers on every rank. */
static thaw_status read_headers(thaw_comm *comm, const import_source *source, const id_key *key,
                                const thaw_strings *attributes, char **words, size_t *size) {
  int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  int64_t first = source->count * rank / ranks, last = source->count * (rank + 1) / ranks;
  thaw_text mine = {0};
  thaw_status status = THAW_OK;
  for (int64_t i = first; status == THAW_OK && i < last; i++) status = read_header(source, i, key, attributes, &mine);
  if (status == THAW_OK && mine.failed) status = THAW_ERR_MEMORY;
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = thaw_import__share_bytes(comm, mine.data, mine.length, words, size);
  thaw_text_clear(&mine);
  return status;
}

/* [collective] */
static thaw_status count_dicom(thaw_comm *comm, const import_source *source, int64_t *out) {
  int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  *out = 0;
  for (int64_t i = source->count * rank / ranks; i < source->count * (rank + 1) / ranks; i++)
    *out += is_dicom(source->path[i]);
  return thaw_comm_sum_int(comm, out, 1);
}

thaw_status thaw_import__dicom(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                               import_source *source) {
  int64_t files;
  id_key key = {0};
  char *words = NULL;
  size_t size = 0;
  if (!source->path) return THAW_OK;
  THAW_TRY(count_dicom(comm, source, &files));
  if (!files) return THAW_OK;
  THAW_TRY(thaw_dicom_view_parse(options->window ? options->window : "full", &source->view));
  source->view.stack = options->frames == FRAMES_STACK;
  source->hide_paths = !options->keep_ids;
  thaw_status status = THAW_OK;
  if (options->attributes && !source->attribute)
    status = thaw_import__split_names(options->attributes, &source->attribute_names);
  const thaw_strings none = {0}, *attributes = source->attribute ? &none : &source->attribute_names;
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = share_key(comm, options, log, &key);
  if (status == THAW_OK) status = read_headers(comm, source, &key, attributes, &words, &size);
  expansion e = {.options = options, .attributes = attributes, .key = &key, .at = words, .old = *source, .out = source};
  if (status == THAW_OK) status = thaw_agree(comm, expand(&e, log));
  if (status == THAW_OK && options->id_list)
    status = thaw_agree(comm, thaw_comm_rank(comm) ? THAW_OK : write_id_list(source, options->id_list));
  thaw_free(words);
  thaw_free(key.bytes);
  return status;
}

thaw_status thaw_import__dicom_image(const import_source *source, int64_t i, thaw_image *out) {
  thaw_dicom *dicom;
  THAW_TRY(thaw_dicom_open(source->path[i], &dicom));
  thaw_status status = thaw_dicom_render(dicom, &source->view, source->frame[i], out);
  thaw_dicom_close(dicom);
  return status;
}
