/* digest.h: SHA-256 (OpenSSL libcrypto). All functions are [local]. */
#ifndef THAW_DIGEST_H
#define THAW_DIGEST_H

#include "thaw/status.h"
#include <stddef.h>

typedef struct thaw_digest thaw_digest;
enum { THAW_DIGEST_TEXT = 65 }; /* 64 hexadecimal digits and the terminating zero */

thaw_status thaw_digest_create(thaw_digest **out) THAW_CHECKED;
void thaw_digest_add(thaw_digest *digest, const void *data, size_t size);
void thaw_digest_add_text(thaw_digest *digest, const char *text); /* length-prefixed, so that "ab","c" != "a","bc" */
/* Finishes and frees the digest. */
void thaw_digest_finish(thaw_digest *digest, char out[THAW_DIGEST_TEXT]);

thaw_status thaw_digest_bytes(const void *data, size_t size, char out[THAW_DIGEST_TEXT]) THAW_CHECKED;
thaw_status thaw_digest_file(const char *path, char out[THAW_DIGEST_TEXT]) THAW_CHECKED;

#endif
