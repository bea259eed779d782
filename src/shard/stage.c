/* stage.c: copies of shards on a disk of this node. A copy lies under a name made of the digest of its source's path
 * and the source's own name; beside it NAME.proof tells what it is a copy of:
 *
 *     SIZE SECONDS.NANOSECONDS SHA-256         size and time of change of the source, digest of the bytes
 *
 * The proof is written last, so a copy without one is a copy that was not finished. */
#include "shard/shard_private.h"
#include "thaw/digest.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4 << 20, PROOF_BYTES = 160, NAME_DIGITS = 12 };

struct thaw_stage {
  char *folder;
  int lock;           /* shared as long as copies are used; -1: the file system knows no locks */
  thaw_strings names; /* of the copies that were made or found */
};

const char *thaw_stage_folder(const thaw_stage *stage) {
  return stage->folder;
}

/* ------------------------------------------------------------------ the folder */

/* A folder in a place like /tmp is somebody else's until proved otherwise. */
static thaw_status check_folder(const char *path) {
  struct stat found;
  if (lstat(path, &found) != 0) return thaw_fail(THAW_ERR_DISK, "%s: cannot be looked at: %s", path, strerror(errno));
  if (!S_ISDIR(found.st_mode)) return thaw_fail(THAW_ERR_DISK, "%s: is no folder", path);
  if (found.st_uid != geteuid())
    return thaw_fail(THAW_ERR_DISK, "%s: belongs to user %ld, not to %ld", path, (long)found.st_uid, (long)geteuid());
  return THAW_OK;
}

static thaw_status make_folder(const char *parent, const char *path) {
  THAW_TRY(thaw_folder_create(parent));
  if (mkdir(path, 0700) != 0 && errno != EEXIST)
    return thaw_fail(THAW_ERR_DISK, "%s: cannot be made: %s", path, strerror(errno));
  return check_folder(path);
}

/* What killed processes left behind; only while nobody else is at work here. */
static void remove_unfinished(const thaw_stage *stage) {
  thaw_strings names = {0};
  if (flock(stage->lock, LOCK_EX | LOCK_NB) != 0) return;
  thaw_status status = thaw_folder_list(stage->folder, &names);
  for (size_t i = 0; status == THAW_OK && i < names.count; i++) {
    char *path = strstr(names.item[i], ".tmp-") ? thaw_path_join(stage->folder, names.item[i]) : NULL;
    if (path) unlink(path);
    thaw_free(path);
  }
  thaw_strings_clear(&names);
}

static thaw_status open_lock(thaw_stage *stage) {
  char *path = thaw_path_join(stage->folder, "lock");
  if (!path) return THAW_ERR_MEMORY;
  stage->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  thaw_status status = THAW_OK;
  if (stage->lock < 0) status = thaw_fail(THAW_ERR_DISK, "%s: cannot be made: %s", path, strerror(errno));
  thaw_free(path);
  if (status != THAW_OK) return status;
  remove_unfinished(stage);
  /* Waits only for a process that removes copies. Where there are no locks (ENOLCK), nothing is ever removed. */
  while (flock(stage->lock, LOCK_SH) != 0) {
    if (errno == EINTR) continue;
    close(stage->lock);
    stage->lock = -1;
    break;
  }
  return THAW_OK;
}

thaw_status thaw_stage_open(const char *folder, thaw_stage **out) {
  thaw_stage *stage = thaw_new(1, sizeof *stage);
  *out = NULL;
  if (!stage) return THAW_ERR_MEMORY;
  stage->lock = -1;
  char *name = thaw_format("thaw-stage-%ld", (long)geteuid());
  stage->folder = name ? thaw_path_join(folder, name) : NULL;
  thaw_free(name);
  thaw_status status = stage->folder ? make_folder(folder, stage->folder) : THAW_ERR_MEMORY;
  if (status == THAW_OK) status = open_lock(stage);
  if (status == THAW_OK)
    *out = stage;
  else
    thaw_stage_close(stage, false);
  return status;
}

static void remove_file(const char *folder, const char *name, const char *suffix) {
  char *path = thaw_format("%s/%s%s", folder, name, suffix);
  if (path) unlink(path);
  thaw_free(path);
}

void thaw_stage_close(thaw_stage *stage, bool remove) {
  if (!stage) return;
  if (remove && stage->lock >= 0 && flock(stage->lock, LOCK_EX | LOCK_NB) == 0) {
    for (size_t i = 0; i < stage->names.count; i++) {
      remove_file(stage->folder, stage->names.item[i], ".proof");
      remove_file(stage->folder, stage->names.item[i], "");
    }
  }
  if (stage->lock >= 0) close(stage->lock);
  thaw_strings_clear(&stage->names);
  thaw_free(stage->folder);
  thaw_free(stage);
}

/* ------------------------------------------------------------------ one file */

static thaw_status name_copy(const char *source, char **out) {
  char digest[THAW_DIGEST_TEXT];
  THAW_TRY(thaw_digest_bytes(source, strlen(source), digest));
  *out = thaw_format("%.*s-%s", (int)NAME_DIGITS, digest, thaw_path_name(source));
  return *out ? THAW_OK : THAW_ERR_MEMORY;
}

/* One file to be copied. */
typedef struct staged_file {
  const char *source;
  char *name, *target, *proof;
  int64_t size;
  char mark[64]; /* the proof's beginning: size and time of change of the source */
} staged_file;

static void clear_file(staged_file *file) {
  thaw_free(file->name);
  thaw_free(file->target);
  thaw_free(file->proof);
}

static thaw_status describe_file(const thaw_stage *stage, const char *source, staged_file *out) {
  struct stat found;
  *out = (staged_file){.source = source};
  if (stat(source, &found) != 0) return thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", source, strerror(errno));
  out->size = found.st_size;
  snprintf(out->mark, sizeof out->mark, "%lld %lld.%09ld ", (long long)found.st_size, (long long)found.st_mtim.tv_sec,
           found.st_mtim.tv_nsec);
  THAW_TRY(name_copy(source, &out->name));
  out->target = thaw_path_join(stage->folder, out->name);
  out->proof = out->target ? thaw_format("%s.proof", out->target) : NULL;
  return out->proof ? THAW_OK : THAW_ERR_MEMORY;
}

/* A copy of this size and a proof for this source are there; digest_out: what the bytes should be. */
static bool seems_present(const staged_file *file, char digest_out[THAW_DIGEST_TEXT]) {
  char *text = NULL;
  size_t size = 0, mark = strlen(file->mark);
  if (thaw_file_size(file->target) != file->size) return false;
  if (thaw_file_read(file->proof, PROOF_BYTES, &text, &size) != THAW_OK) return false;
  bool fits = size >= mark + THAW_DIGEST_TEXT - 1 && memcmp(text, file->mark, mark) == 0;
  if (fits) snprintf(digest_out, THAW_DIGEST_TEXT, "%s", text + mark);
  thaw_free(text);
  return fits;
}

static bool is_whole(const staged_file *file) {
  char wanted[THAW_DIGEST_TEXT], found[THAW_DIGEST_TEXT];
  return seems_present(file, wanted) && thaw_digest_file(file->target, found) == THAW_OK && !strcmp(wanted, found);
}

static thaw_status write_block(int out, const char *path, const char *data, size_t size) {
  while (size) {
    ssize_t put = write(out, data, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return thaw_fail(THAW_ERR_DISK, "%s: write failed: %s", path, strerror(errno));
    data += put;
    size -= (size_t)put;
  }
  return THAW_OK;
}

typedef struct transfer {
  int in, out;
  const char *source, *temporary;
  char *block;
  int64_t bytes;
  thaw_digest *digest; /* of what was read */
} transfer;

static thaw_status copy_blocks(transfer *t, thaw_stage_progress *progress) {
  for (;;) {
    if (progress->stop && progress->stop(progress->context))
      return thaw_fail(THAW_STOPPED, "stopped while shards were copied to the nodes; nothing was trained yet, --resume "
                                     "begins");
    ssize_t got = read(t->in, t->block, BLOCK_BYTES);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", t->source, strerror(errno));
    if (got == 0) return THAW_OK;
    thaw_digest_add(t->digest, t->block, (size_t)got);
    THAW_TRY(write_block(t->out, t->temporary, t->block, (size_t)got));
    t->bytes += got;
    progress->bytes += got;
    if (progress->copied) progress->copied(progress->log, progress->bytes);
  }
}

/* To the disk, and out of the page cache, so that reading it back proves the disk. */
static thaw_status finish_writing(const transfer *t) {
  if (fsync(t->out) != 0) return thaw_fail(THAW_ERR_DISK, "%s: fsync failed: %s", t->temporary, strerror(errno));
  (void)posix_fadvise(t->out, 0, 0, POSIX_FADV_DONTNEED);
  return THAW_OK;
}

/* Copies into `temporary`; digest_out: of the bytes read. */
static thaw_status transfer_file(const staged_file *file, const char *temporary, thaw_stage_progress *progress,
                                 char digest_out[THAW_DIGEST_TEXT]) {
  transfer t = {.source = file->source, .temporary = temporary, .block = thaw_new(BLOCK_BYTES, 1), .in = -1, .out = -1};
  thaw_status status = t.block ? thaw_digest_create(&t.digest) : THAW_ERR_MEMORY;
  if (status == THAW_OK && (t.in = open(file->source, O_RDONLY | O_CLOEXEC)) < 0)
    status = thaw_fail(THAW_ERR_DATA, "%s: cannot be read: %s", file->source, strerror(errno));
  if (status == THAW_OK && (t.out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
    status = thaw_fail(THAW_ERR_DISK, "%s: cannot be made: %s", temporary, strerror(errno));
  if (status == THAW_OK) status = copy_blocks(&t, progress);
  if (status == THAW_OK && t.bytes != file->size)
    status = thaw_fail(THAW_ERR_DATA, "%s: gave %lld bytes, expected %lld: it changes while it is copied", file->source,
                       (long long)t.bytes, (long long)file->size);
  if (status == THAW_OK) status = finish_writing(&t);
  if (t.out >= 0 && close(t.out) != 0 && status == THAW_OK)
    status = thaw_fail(THAW_ERR_DISK, "%s: close failed: %s", temporary, strerror(errno));
  if (t.in >= 0) close(t.in);
  if (t.digest) thaw_digest_finish(t.digest, digest_out);
  thaw_free(t.block);
  return status;
}

static thaw_status read_back(const staged_file *file, const char *temporary, const char *wanted) {
  char found[THAW_DIGEST_TEXT];
  THAW_TRY(thaw_digest_file(temporary, found));
  if (strcmp(found, wanted) == 0) return THAW_OK;
  return thaw_fail(THAW_ERR_DISK, "%s: reads back with SHA-256 %.12s..., expected %.12s..., that of %s", temporary,
                   found, wanted, file->source);
}

/* The content of a thaw shard against the digest that the catalogue tells. */
static thaw_status prove_content(const thaw_catalog *catalog, const shard_entry *entry, const char *copy) {
  shard_entry at = *entry;
  shard_handle handle;
  char found[THAW_DIGEST_TEXT];
  if (entry->foreign) return THAW_OK;
  at.path = (char *)(uintptr_t)copy;
  THAW_TRY(thaw_shard__open(&at, &handle));
  thaw_status status = thaw_shard__check(&at, &handle, &catalog->info);
  if (status == THAW_OK) status = thaw_shard__digest(&at, &handle, &catalog->info, found);
  thaw_shard__close(&handle);
  if (status == THAW_OK && entry->digest[0] && strcmp(found, entry->digest) != 0)
    status = thaw_fail(THAW_ERR_DATA, "the content has digest %.12s..., expected %.12s...", found, entry->digest);
  return status == THAW_ERR_DATA ? thaw_fail_in(status, "%s: its copy is not what it should be: ", entry->path)
                                 : status;
}

static thaw_status write_proof(const staged_file *file, const char *digest) {
  char text[PROOF_BYTES];
  int length = snprintf(text, sizeof text, "%s%s\n", file->mark, digest);
  return thaw_file_write(file->proof, text, (size_t)length);
}

static thaw_status make_copy(const staged_file *file, const thaw_catalog *catalog, const shard_entry *entry,
                             thaw_stage_progress *progress) {
  char digest[THAW_DIGEST_TEXT];
  char *temporary = thaw_file_temporary(file->target);
  if (!temporary) return THAW_ERR_MEMORY;
  unlink(file->proof);
  unlink(file->target); /* its room may be needed */
  thaw_status status = transfer_file(file, temporary, progress, digest);
  if (status == THAW_OK) status = read_back(file, temporary, digest);
  if (status == THAW_OK && file->source == entry->path) status = prove_content(catalog, entry, temporary);
  if (status == THAW_OK)
    status = thaw_file_commit(temporary, file->target);
  else
    unlink(temporary);
  thaw_free(temporary);
  if (status != THAW_OK) return status;
  progress->files++;
  return write_proof(file, digest);
}

static thaw_status stage_file(thaw_stage *stage, const thaw_catalog *catalog, const shard_entry *entry,
                              const char *source, thaw_stage_progress *progress) {
  staged_file file;
  thaw_status status = describe_file(stage, source, &file);
  if (status == THAW_OK) status = thaw_strings_add(&stage->names, file.name);
  if (status == THAW_OK && is_whole(&file))
    progress->reused++;
  else if (status == THAW_OK)
    status = make_copy(&file, catalog, entry, progress);
  clear_file(&file);
  return status;
}

/* ------------------------------------------------------------------ a catalogue */

static thaw_status measure_file(const thaw_stage *stage, const char *source, int64_t *bytes, int64_t *missing) {
  staged_file file;
  char digest[THAW_DIGEST_TEXT];
  thaw_status status = describe_file(stage, source, &file);
  if (status == THAW_OK) {
    *bytes += file.size;
    /* What must be copied anew gives its own room back. */
    int64_t there = thaw_file_size(file.target);
    if (!seems_present(&file, digest)) *missing += file.size - (there > 0 ? there : 0);
  }
  clear_file(&file);
  return status;
}

thaw_status thaw_stage_measure(const thaw_stage *stage, const thaw_catalog *catalog, int64_t *bytes, int64_t *missing) {
  for (size_t i = 0; i < catalog->entries; i++) {
    const shard_entry *entry = &catalog->entry[i];
    THAW_TRY(measure_file(stage, entry->path, bytes, missing));
    if (entry->labels_path) THAW_TRY(measure_file(stage, entry->labels_path, bytes, missing));
  }
  return THAW_OK;
}

thaw_status thaw_stage_copy(thaw_stage *stage, const thaw_catalog *catalog, thaw_stage_progress *progress) {
  for (size_t i = 0; i < catalog->entries; i++) {
    const shard_entry *entry = &catalog->entry[i];
    THAW_TRY(stage_file(stage, catalog, entry, entry->path, progress));
    if (entry->labels_path) THAW_TRY(stage_file(stage, catalog, entry, entry->labels_path, progress));
  }
  return THAW_OK;
}

static thaw_status use_copy(char **path, const char *folder) {
  char *name, *copy;
  THAW_TRY(name_copy(*path, &name));
  copy = thaw_path_join(folder, name);
  thaw_free(name);
  if (!copy) return THAW_ERR_MEMORY;
  thaw_free(*path);
  *path = copy;
  return THAW_OK;
}

thaw_status thaw_catalog_use_stage(thaw_catalog *catalog, const char *stage_folder) {
  for (int i = 0; i < SHARD_OPEN_LIMIT; i++) thaw_shard__close(&catalog->handle[i]);
  for (size_t i = 0; i < catalog->entries; i++) {
    shard_entry *entry = &catalog->entry[i];
    THAW_TRY(use_copy(&entry->path, stage_folder));
    if (entry->labels_path) THAW_TRY(use_copy(&entry->labels_path, stage_folder));
  }
  return THAW_OK;
}
