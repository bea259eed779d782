/* id_key.c: what names a person becomes a keyed hash (HMAC-SHA-256, RFC 2104) unless plain names were asked for. */
#include "import/import_private.h"
#include "thaw/digest.h"
#include "thaw/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { KEY_BYTES = 32, HASH_DIGITS = 24, BLOCK = 64 };

static void from_hex(const char *text, unsigned char *out, size_t count) {
  for (size_t i = 0; i < count; i++) {
    unsigned high = (unsigned char)text[2 * i], low = (unsigned char)text[2 * i + 1];
    high = high <= '9' ? high - '0' : high - 'a' + 10;
    low = low <= '9' ? low - '0' : low - 'a' + 10;
    out[i] = (unsigned char)(high << 4 | low);
  }
}

static thaw_status padded_digest(const import_key *key, unsigned char pad, const void *data, size_t size,
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

thaw_status thaw_import__keyed(const import_key *key, const char *what, const char *text, thaw_text *out) {
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
static thaw_status read_key(const thaw_import_options *options, thaw_log *log, import_key *out) {
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

thaw_status thaw_import__share_key(thaw_comm *comm, const thaw_import_options *options, thaw_log *log,
                                   import_key *key) {
  if (options->keep_ids) return THAW_OK;
  bool root = thaw_comm_rank(comm) == 0;
  THAW_TRY(thaw_agree(comm, root ? read_key(options, log, key) : THAW_OK));
  return thaw_comm_broadcast_new(comm, 0, &key->bytes, &key->size);
}
