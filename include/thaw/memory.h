/* memory.h: aligned, zeroed, overflow-checked allocation and an arena. All functions are [local]. */
#ifndef THAW_MEMORY_H
#define THAW_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum { THAW_ALIGN = 64 }; /* bytes: one cache line and one AVX-512 register */

/* count * size zeroed bytes aligned to THAW_ALIGN; owned by the caller, ended with thaw_free. On overflow or lack of
 * memory returns NULL with THAW_ERR_MEMORY recorded in thaw_message(). count 0 gives a valid pointer. */
void *thaw_new(size_t count, size_t size);

/* Bytes that this process can still get: the node's available memory, or less where a control group limits the job; -1
 * when it cannot be told. */
int64_t thaw_memory_available(void);

/* A copy of `text` from thaw_new; NULL gives NULL. */
char *thaw_copy_text(const char *text);

/* printf into a new string from thaw_new; NULL when memory is gone. */
char *thaw_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Accepts NULL. */
void thaw_free(void *pointer);

/* Grows *array (count elements of `size` bytes, capacity in *capacity) so that one more fits; zeroes the new part.
 * Returns 0, or -1 with the failure recorded and the array unchanged. */
int thaw_grow(void **array, size_t count, size_t *capacity, size_t size);

/* An arena hands out aligned blocks that are all released together. */
typedef struct thaw_arena thaw_arena;
thaw_arena *thaw_arena_create(void);
void *thaw_arena_new(thaw_arena *arena, size_t count, size_t size); /* zeroed; NULL as thaw_new */
char *thaw_arena_text(thaw_arena *arena, const char *text);
void thaw_arena_destroy(thaw_arena *arena); /* accepts NULL */

#endif
