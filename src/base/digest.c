#include "thaw/digest.h"
#include "thaw/memory.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

struct thaw_digest {
  EVP_MD_CTX *context;
};

thaw_status thaw_digest_create(thaw_digest **out) {
  thaw_digest *digest = thaw_new(1, sizeof *digest);
  if (!digest) return THAW_ERR_MEMORY;
  digest->context = EVP_MD_CTX_new();
  if (!digest->context || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) {
    EVP_MD_CTX_free(digest->context);
    thaw_free(digest);
    return thaw_fail(THAW_ERR_INTERNAL, "SHA-256 is not available in this OpenSSL");
  }
  *out = digest;
  return THAW_OK;
}

void thaw_digest_add(thaw_digest *digest, const void *data, size_t size) {
  EVP_DigestUpdate(digest->context, data, size);
}

void thaw_digest_add_text(thaw_digest *digest, const char *text) {
  uint64_t length = strlen(text);
  thaw_digest_add(digest, &length, sizeof length);
  thaw_digest_add(digest, text, length);
}

void thaw_digest_finish(thaw_digest *digest, char out[THAW_DIGEST_TEXT]) {
  unsigned char bytes[EVP_MAX_MD_SIZE] = {0};
  EVP_DigestFinal_ex(digest->context, bytes, NULL);
  for (int i = 0; i < 64; i++) out[i] = "0123456789abcdef"[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
  out[64] = 0;
  EVP_MD_CTX_free(digest->context);
  thaw_free(digest);
}

thaw_status thaw_digest_bytes(const void *data, size_t size, char out[THAW_DIGEST_TEXT]) {
  thaw_digest *digest;
  THAW_TRY(thaw_digest_create(&digest));
  thaw_digest_add(digest, data, size);
  thaw_digest_finish(digest, out);
  return THAW_OK;
}

thaw_status thaw_digest_file(const char *path, char out[THAW_DIGEST_TEXT]) {
  FILE *file = fopen(path, "rb");
  if (!file) return thaw_fail(THAW_ERR_DATA, "%s: cannot be opened: %s", path, strerror(errno));
  thaw_digest *digest;
  thaw_status status = thaw_digest_create(&digest);
  if (status == THAW_OK) {
    char buffer[1 << 16];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0) thaw_digest_add(digest, buffer, got);
    thaw_digest_finish(digest, out);
    if (ferror(file)) status = thaw_fail(THAW_ERR_DATA, "%s: read error: %s", path, strerror(errno));
  }
  fclose(file);
  return status;
}
