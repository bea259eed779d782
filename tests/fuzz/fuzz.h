/* fuzz.h: what the fuzz targets share. A target is one function that libFuzzer calls with bytes; whatever they are, the
 * reader must return: a status, no crash, no leak. */
#ifndef THAW_FUZZ_H
#define THAW_FUZZ_H

#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* A target may have a mutator of its own, which may call libFuzzer's. Both return the new size, at most `most`. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* The folder for temporary files, which run.sh removes. */
static inline const char *fuzz_folder(void) {
  const char *folder = getenv("TMPDIR");
  return folder ? folder : "/dev/shm";
}

/* The bytes as a file in memory; the same path for the whole process. */
static inline const char *fuzz_file(const uint8_t *data, size_t size, const char *suffix) {
  static char path[256];
  snprintf(path, sizeof path, "%s/thaw-fuzz-%d%s", fuzz_folder(), (int)getpid(), suffix);
  FILE *file = fopen(path, "wb");
  if (!file || (size && fwrite(data, 1, size, file) != size) || fclose(file) != 0) abort();
  return path;
}

/* A status that is looked at: an error needs a message of one line. */
static inline void fuzz_expect(thaw_status status) {
  if (status != THAW_OK && status != THAW_ERR_MEMORY && (!thaw_message()[0] || strchr(thaw_message(), '\n'))) abort();
}

#endif
