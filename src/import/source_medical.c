/* source_medical.c: DICOM and NIfTI files among the images of a folder or a list: frames and slices become samples,
 * patients become groups, and what names a person becomes a keyed hash. Ranks read contiguous shares of the headers;
 * all get all of them. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct expansion {
  const thaw_import_options *options;
  const thaw_strings *attributes;
  const import_key *key;
  const char *at; /* in the words of all headers */
  import_source old, *out;
  import_place *place; /* of every sample, for stacks over files; NULL */
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
  return *name ? thaw_import__keyed(e->key, "patient", name, out) : THAW_OK;
}

static thaw_status read_place(expansion *e, int64_t frames, import_place *out) {
  const char *series = next_word(e), *position = next_word(e), *number = next_word(e);
  *out = (import_place){.series = frames == 1 ? keep_text(e, series) : ""};
  if (!out->series) return THAW_ERR_MEMORY;
  out->has_position = *position && thaw_parse_double(position, &out->position) == THAW_OK;
  out->has_number = *number && thaw_parse_int(number, &out->number) == THAW_OK;
  return THAW_OK;
}

static thaw_status expand_frames(expansion *e, int64_t i) {
  int64_t frames = 1;
  THAW_TRY(thaw_parse_int(next_word(e), &frames));
  ++*(*next_word(e) == 'c' ? &e->colour : &e->grey);
  const char *id = next_word(e), *group = next_word(e);
  bool patient = *next_word(e) == 'p';
  import_place place;
  THAW_TRY(read_place(e, frames, &place));
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
  for (int64_t f = 0; status == THAW_OK && f < taken; f++) {
    if (e->place) e->place[e->out->count] = place;
    status = add_sample(e, i, id, group, (int32_t)(first + f), taken > 1, attributes);
  }
  thaw_text_clear(&listed);
  return status;
}

static thaw_status expand_file(expansion *e, int64_t i) {
  thaw_text group = {0};
  char kind = *next_word(e);
  if (kind == 'd') return expand_frames(e, i);
  const char *id = kind == 'b' ? next_word(e) : e->old.id[i];
  char **none = NULL;
  if (e->attributes->count) {
    none = thaw_arena_new(e->out->arena, e->attributes->count, sizeof *none);
    for (size_t k = 0; none && k < e->attributes->count; k++) none[k] = keep_text(e, "");
    if (!none) return THAW_ERR_MEMORY;
  }
  thaw_status status = list_group(e, i, &group);
  if (e->place) e->place[e->out->count] = (import_place){.series = ""};
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
      for (size_t k = 1; k < MEDICAL_WORDS + e->attributes->count; k++) next_word(e);
    }
    samples += frames_taken(e, frames);
  }
  e->at = start;
  return samples;
}

static thaw_status judge(const expansion *e, thaw_log *log) {
  if (e->without_patient)
    thaw_warn(log, "%lld files have no PatientID: they are grouped by StudyInstanceUID", (long long)e->without_patient);
  if (e->without_group)
    thaw_warn(log, "%lld files have neither PatientID nor StudyInstanceUID: each is a group of its own",
              (long long)e->without_group);
  if (e->colour && e->grey && !e->options->c)
    return thaw_fail(THAW_ERR_DATA, "%s: %lld DICOM files are grey and %lld in colour: choose with --channels 1 or 3",
                     e->out->name, (long long)e->grey, (long long)e->colour);
  return THAW_OK;
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
  if (e->options->frames == FRAMES_STACK) e->place = thaw_new(samples, sizeof *e->place);
  if (!to->id || !to->path || !to->group || !to->frame || (e->options->frames == FRAMES_STACK && !e->place))
    return THAW_ERR_MEMORY;
  to->count = 0;
  for (size_t i = 0; i < files; i++) THAW_TRY(expand_file(e, (int64_t)i));
  if (e->place) THAW_TRY(thaw_import__series(to, e->place, log));
  return judge(e, log);
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
static thaw_status read_headers(thaw_comm *comm, const import_source *source, const import_key *key,
                                const thaw_strings *attributes, char **words, size_t *size) {
  int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  int64_t first = source->count * rank / ranks, last = source->count * (rank + 1) / ranks;
  thaw_text mine = {0};
  thaw_status status = THAW_OK;
  for (int64_t i = first; status == THAW_OK && i < last; i++)
    status = thaw_import__header(source, i, key, attributes, &mine);
  if (status == THAW_OK && mine.failed) status = THAW_ERR_MEMORY;
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = thaw_import__share_bytes(comm, mine.data, mine.length, words, size);
  thaw_text_clear(&mine);
  return status;
}

/* [collective] */
static thaw_status count_medical(thaw_comm *comm, const import_source *source, int64_t *out) {
  int64_t rank = thaw_comm_rank(comm), ranks = thaw_comm_size(comm);
  *out = 0;
  for (int64_t i = source->count * rank / ranks; i < source->count * (rank + 1) / ranks; i++)
    *out += thaw_import__is_medical(source->path[i]);
  return thaw_comm_sum_int(comm, out, 1);
}

/* The key's own hash tells two keys apart without telling them. */
static thaw_status tell_key(const import_key *key, import_source *source) {
  thaw_text text = {0};
  thaw_status status = thaw_import__keyed(key, "key", "", &text);
  if (status == THAW_OK) snprintf(source->key, sizeof source->key, "%.12s", text.data ? text.data : "");
  thaw_text_clear(&text);
  return status;
}

thaw_status thaw_import__medical(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                                 import_source *source) {
  int64_t files;
  import_key key = {0};
  char *words = NULL;
  size_t size = 0;
  if (!source->path) return THAW_OK;
  THAW_TRY(count_medical(comm, source, &files));
  if (!files) return thaw_agree(comm, thaw_import__distinct(source, log));
  THAW_TRY(thaw_dicom_view_parse(options->window ? options->window : "full", &source->view));
  source->view.stack = options->frames == FRAMES_STACK;
  source->axis = (thaw_axis)options->axis;
  source->hide_paths = !options->keep_ids;
  thaw_status status = thaw_import__open_files(source);
  if (status == THAW_OK && options->attributes && !source->attribute)
    status = thaw_import__split_names(options->attributes, &source->attribute_names);
  const thaw_strings none = {0}, *attributes = source->attribute ? &none : &source->attribute_names;
  status = thaw_agree(comm, status);
  if (status == THAW_OK) status = thaw_import__share_key(comm, options, log, &key);
  if (status == THAW_OK && key.bytes) status = tell_key(&key, source);
  if (status == THAW_OK) status = read_headers(comm, source, &key, attributes, &words, &size);
  expansion e = {.options = options, .attributes = attributes, .key = &key, .at = words, .old = *source, .out = source};
  if (status == THAW_OK) status = expand(&e, log);
  if (status == THAW_OK) status = thaw_import__distinct(source, log);
  status = thaw_agree(comm, status);
  if (status == THAW_OK && options->id_list)
    status = thaw_agree(comm, thaw_comm_rank(comm) ? THAW_OK : write_id_list(source, options->id_list));
  thaw_free(e.place);
  thaw_free(words);
  thaw_free(key.bytes);
  return status;
}
