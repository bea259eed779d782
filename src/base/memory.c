#include "thaw/memory.h"
#include "thaw/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

enum {
  LARGE_BLOCK = 64 << 20, /* bytes: below this the check would cost more than it saves */
  HUGE_PAGE = 2 << 20,
  HUGE_FROM = 2 * HUGE_PAGE
};

static size_t round_up(size_t bytes) {
  return (bytes + THAW_ALIGN - 1) / THAW_ALIGN * THAW_ALIGN;
}

/* The number behind `key` in a small file of numbers ("MemAvailable:" in /proc/meminfo), or behind nothing at all; -1
 * where there is none ("max" in a cgroup file). */
static int64_t read_number(const char *path, const char *key) {
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  char line[256];
  int64_t value = -1;
  while (value < 0 && fgets(line, sizeof line, file))
    if (strncmp(line, key, strlen(key)) == 0) {
      char *end;
      const char *digits = line + strlen(key);
      long long number = strtoll(digits, &end, 10);
      if (end != digits) value = number;
    }
  fclose(file);
  return value;
}

int64_t thaw_memory_available(void) {
  int64_t kilobytes = read_number("/proc/meminfo", "MemAvailable:"), available = kilobytes < 0 ? -1 : kilobytes * 1024;
  /* A batch system limits a job by its control group (version 2, then 1). */
  static const char *const limits[][2] = {
      {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
      {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}};
  for (int i = 0; i < 2; i++) {
    int64_t limit = read_number(limits[i][0], ""), used = read_number(limits[i][1], "");
    if (limit >= 0 && used >= 0 && (available < 0 || limit - used < available)) available = limit - used;
  }
  return available;
}

/* Large blocks are refused before they are touched: where the kernel promises more than there is, touching them would
 * end the process without a word. */
static bool too_large(size_t bytes) {
  if (bytes < LARGE_BLOCK) return false;
  int64_t available = thaw_memory_available();
  if (available < 0 || bytes <= (size_t)available) return false;
  thaw_fail(THAW_ERR_MEMORY, "out of memory: %zu MB are needed in one block, %lld MB are free on this node",
            bytes >> 20, (long long)(available >> 20));
  return true;
}

/* Kernels walk through tens of megabytes in strides of pages: huge pages where the system gives them to those that ask
 * (transparent_hugepage "madvise"), a few per cent of a training step. Being refused is no failure. */
static void *allocate(size_t bytes) {
  if (bytes < HUGE_FROM) return aligned_alloc(THAW_ALIGN, bytes);
  void *pointer = NULL; /* aligned_alloc would want a multiple of HUGE_PAGE */
  if (posix_memalign(&pointer, HUGE_PAGE, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
  (void)madvise(pointer, bytes, MADV_HUGEPAGE);
#endif
  return pointer;
}

void *thaw_new(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
    thaw_fail(THAW_ERR_MEMORY, "out of memory: %zu x %zu bytes is more than can be addressed", count, size);
    return NULL;
  }
  bytes = round_up(bytes ? bytes : 1);
  if (too_large(bytes)) return NULL;
  void *pointer = allocate(bytes);
  if (!pointer) {
    thaw_fail(THAW_ERR_MEMORY, "out of memory: %zu bytes could not be allocated", bytes);
    return NULL;
  }
  return memset(pointer, 0, bytes);
}

char *thaw_copy_text(const char *text) {
  if (!text) return NULL;
  size_t size = strlen(text) + 1;
  char *copy = thaw_new(size, 1);
  return copy ? memcpy(copy, text, size) : NULL;
}

char *thaw_format(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  char *text = length < 0 ? NULL : thaw_new((size_t)length + 1, 1);
  if (!text) return NULL;
  va_start(arguments, format);
  vsnprintf(text, (size_t)length + 1, format, arguments);
  va_end(arguments);
  return text;
}

void thaw_free(void *pointer) {
  free(pointer);
}

int thaw_grow(void **array, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return 0;
  size_t wanted = *capacity < 8 ? 8 : *capacity * 2;
  void *bigger = thaw_new(wanted, size);
  if (!bigger) return -1;
  if (count) memcpy(bigger, *array, count * size);
  thaw_free(*array);
  *array = bigger;
  *capacity = wanted;
  return 0;
}

/* A list of chunks; small requests share one, large requests get their own. */
typedef struct chunk {
  struct chunk *next;
  size_t used, size;
} chunk;

struct thaw_arena {
  chunk *first;
};

enum { CHUNK_HEADER = THAW_ALIGN, CHUNK_SIZE = 1 << 16 };
_Static_assert(sizeof(chunk) <= CHUNK_HEADER, "the chunk header fits one cache line");

thaw_arena *thaw_arena_create(void) {
  return thaw_new(1, sizeof(thaw_arena));
}

void *thaw_arena_new(thaw_arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 4) return thaw_new(SIZE_MAX, 2);
  bytes = round_up(bytes ? bytes : 1);
  chunk *head = arena->first;
  if (!head || head->size - head->used < bytes) {
    size_t room = bytes > CHUNK_SIZE ? bytes : CHUNK_SIZE;
    head = thaw_new(CHUNK_HEADER + room, 1);
    if (!head) return NULL;
    head->size = room;
    head->next = arena->first;
    arena->first = head;
  }
  void *pointer = (char *)head + CHUNK_HEADER + head->used;
  head->used += bytes;
  return pointer;
}

char *thaw_arena_text(thaw_arena *arena, const char *text) {
  if (!text) return NULL;
  size_t size = strlen(text) + 1;
  char *copy = thaw_arena_new(arena, size, 1);
  return copy ? memcpy(copy, text, size) : NULL;
}

void thaw_arena_destroy(thaw_arena *arena) {
  if (!arena) return;
  for (chunk *next, *at = arena->first; at; at = next) {
    next = at->next;
    thaw_free(at);
  }
  thaw_free(arena);
}
