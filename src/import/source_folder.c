/* source_folder.c: a folder of class folders. Rank 0 looks; the list is broadcast. */
#include "import/import_private.h"
#include "thaw/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { DEPTH_LIMIT = 32 };

/* Paths relative to the root, zero-terminated, one after the other. */
typedef struct folder_scan {
  const char *root;
  thaw_text paths;
  int64_t count, skipped;
  char first_skipped[256];
} folder_scan;

/* Images by their names; formats that thaw does not read are taken too, so that they end in the quarantine list. */
static bool is_image_name(const char *name) {
  static const char *const known[] = {".png", ".jpg", ".jpeg", ".jpe",  ".jfif", ".bmp",
                                      ".gif", ".tif", ".tiff", ".webp", ".dcm"};
  const char *dot = strrchr(name, '.');
  if (thaw_nifti_recognize(name)) return true;
  for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
    if (strcasecmp(dot, known[i]) == 0) return true;
  return false;
}

/* DICOM files often have no ending, or a number for one. */
static bool is_dicom(const folder_scan *scan, const char *relative) {
  char *path = thaw_path_join(scan->root, relative);
  bool found = path && thaw_dicom_recognize(path);
  thaw_free(path);
  return found;
}

static void note_file(folder_scan *scan, const char *relative) {
  if (is_image_name(relative) || is_dicom(scan, relative)) {
    thaw_text_add_bytes(&scan->paths, relative, strlen(relative) + 1);
    scan->count++;
    return;
  }
  if (scan->skipped++ == 0) snprintf(scan->first_skipped, sizeof scan->first_skipped, "%s", relative);
}

static thaw_status scan_folder(folder_scan *scan, const char *relative, int depth);

static thaw_status scan_entry(folder_scan *scan, const char *parent, const char *name, int depth, bool folders_only) {
  if (name[0] == '.') return THAW_OK;
  char *relative = thaw_path_join(parent, name), *full = relative ? thaw_path_join(scan->root, relative) : NULL;
  thaw_status status = full ? THAW_OK : THAW_ERR_MEMORY;
  if (status == THAW_OK && thaw_folder_exists(full))
    status = scan_folder(scan, relative, depth + 1);
  else if (status == THAW_OK && !folders_only)
    note_file(scan, relative);
  thaw_free(full);
  thaw_free(relative);
  return status;
}

static thaw_status scan_folder(folder_scan *scan, const char *relative, int depth) {
  thaw_strings names = {0};
  if (depth > DEPTH_LIMIT)
    return thaw_fail(THAW_ERR_DATA, "%s/%s: folders are nested more than %d deep", scan->root, relative, DEPTH_LIMIT);
  char *full = thaw_path_join(scan->root, relative);
  thaw_status status = full ? thaw_folder_list(full, &names) : THAW_ERR_MEMORY;
  for (size_t i = 0; status == THAW_OK && i < names.count; i++)
    status = scan_entry(scan, relative, names.item[i], depth, false);
  thaw_strings_clear(&names);
  thaw_free(full);
  return status;
}

/* Class folders first; images directly in the root count only where there are no class folders with images. */
static thaw_status scan_root(folder_scan *scan) {
  thaw_strings names = {0};
  THAW_TRY(thaw_folder_list(scan->root, &names));
  thaw_status status = THAW_OK;
  for (size_t i = 0; status == THAW_OK && i < names.count; i++) status = scan_entry(scan, "", names.item[i], 0, true);
  const bool flat = status == THAW_OK && scan->count == 0;
  for (size_t i = 0; flat && i < names.count; i++) {
    char *full = thaw_path_join(scan->root, names.item[i]);
    if (full && names.item[i][0] != '.' && !thaw_folder_exists(full)) note_file(scan, names.item[i]);
    thaw_free(full);
  }
  thaw_strings_clear(&names);
  if (status == THAW_OK && scan->paths.failed) status = THAW_ERR_MEMORY;
  if (status == THAW_OK && scan->count == 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: no images (PNG, JPEG, DICOM or NIfTI) in its folders", scan->root);
  return status;
}

/* The class of "class/sub/name.png" is "class"; consecutive paths of one class share the index. */
static thaw_status classify(import_source *source, int64_t i) {
  const char *slash = strchr(source->id[i], '/');
  if (!slash) {
    source->label_kind = THAW_LABEL_NONE;
    return THAW_OK;
  }
  const size_t length = (size_t)(slash - source->id[i]);
  const thaw_strings *classes = &source->classes;
  const char *last = classes->count ? classes->item[classes->count - 1] : NULL;
  if (!last || strlen(last) != length || strncmp(last, source->id[i], length) != 0) {
    char *name = thaw_arena_new(source->arena, length + 1, 1);
    if (!name) return THAW_ERR_MEMORY;
    memcpy(name, source->id[i], length);
    THAW_TRY(thaw_strings_add(&source->classes, name));
  }
  source->class_index[i] = (int32_t)source->classes.count - 1;
  return THAW_OK;
}

static int64_t count_paths(const char *text, size_t size) {
  int64_t count = 0;
  for (size_t i = 0; i < size; i++) count += text[i] == 0;
  return count;
}

/* Classes are named over all paths before the range is cut out, so that --first and --limit keep the indices. */
static thaw_status fill(const thaw_import_options *options, const char *text, size_t size, import_source *out) {
  const int64_t count = count_paths(text, size);
  out->label_kind = THAW_LABEL_CLASS;
  out->label_width = 1;
  out->in_folders = true;
  out->id = thaw_arena_new(out->arena, (size_t)count, sizeof *out->id);
  out->path = thaw_arena_new(out->arena, (size_t)count, sizeof *out->path);
  out->class_index = thaw_arena_new(out->arena, (size_t)count, sizeof *out->class_index);
  if (!out->id || !out->path || !out->class_index) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < count; i++, text += strlen(text) + 1) {
    out->id[i] = thaw_arena_text(out->arena, text);
    char *path = thaw_path_join(options->source, text);
    out->path[i] = thaw_arena_text(out->arena, path);
    thaw_free(path);
    if (!out->id[i] || !out->path[i]) return THAW_ERR_MEMORY;
    THAW_TRY(classify(out, i));
  }
  if (options->first >= count)
    return thaw_fail(THAW_ERR_USAGE, "%s: holds %lld images, --first %lld leaves none", options->source,
                     (long long)count, (long long)options->first);
  out->id += options->first;
  out->path += options->first;
  out->class_index += options->first;
  out->count = count - options->first;
  if (options->limit > 0 && options->limit < out->count) out->count = options->limit;
  return THAW_OK;
}

thaw_status thaw_import__open_folder(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                                     import_source *out) {
  folder_scan scan = {.root = options->source};
  const bool root = thaw_comm_rank(comm) == 0;
  thaw_status status = thaw_agree(comm, root ? scan_root(&scan) : THAW_OK);
  if (status == THAW_OK && root && scan.skipped)
    thaw_info(log, "%lld files are no images by their names and were left out (first: %s)", (long long)scan.skipped,
              scan.first_skipped);
  char *text = scan.paths.data;
  size_t size = scan.paths.length;
  if (status == THAW_OK) status = thaw_comm_broadcast_new(comm, 0, &text, &size);
  if (status == THAW_OK) status = thaw_agree(comm, fill(options, text, size, out));
  if (!root) thaw_free(text);
  thaw_text_clear(&scan.paths);
  return status;
}
