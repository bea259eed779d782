/* text.h: growable text, strict numbers, human units. All functions are [local]. */
#ifndef THAW_TEXT_H
#define THAW_TEXT_H

#include "thaw/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise; after a failed append `failed` is set and further appends do nothing, so check once at the end. */
typedef struct thaw_text {
  char *data; /* zero-terminated once anything was appended, may be NULL before */
  size_t length, capacity;
  bool failed;
} thaw_text;
void thaw_text_add(thaw_text *text, const char *format, ...) THAW_PRINTF(2, 3);
void thaw_text_add_bytes(thaw_text *text, const char *data, size_t size);
void thaw_text_add_json(thaw_text *text, const char *value); /* a quoted, escaped JSON string */
void thaw_text_add_html(thaw_text *text, const char *value); /* with <, >, &, " and ' escaped */
/* "2 of 5 classes: 'a', 'c'": which of `width` things have a count of 0, the first five by name (by number from `names`
 * on); nothing where all have more. Returns how many. */
int32_t thaw_text_add_missing(thaw_text *text, const char *things, char *const *name, size_t names,
                              const int64_t *count, int32_t width);
void thaw_text_clear(thaw_text *text);

/* The whole of `text` must be the number. */
thaw_status thaw_parse_int(const char *text, int64_t *out) THAW_CHECKED;
thaw_status thaw_parse_double(const char *text, double *out) THAW_CHECKED; /* finite only */

/* $NAME and ${NAME} replaced by the environment's values, into a new string (thaw_free). THAW_ERR_USAGE when one is not
 * set or empty, or when a $ begins no name. */
thaw_status thaw_expand_environment(const char *text, char **out) THAW_CHECKED;

/* The candidate nearest to `word` by edit distance, or NULL when none is within a third of its length (at least 2). */
const char *thaw_nearest(const char *word, const char *const *candidate, size_t count);

/* "1.5 GB", "823 kB" (powers of ten) and "2 h 05 min", "3 min 20 s", "4.2 s" into a caller's buffer; return it. */
const char *thaw_format_bytes(double bytes, char out[32]);
const char *thaw_format_seconds(double seconds, char out[32]);
/* "14,714,688" */
const char *thaw_format_count(int64_t value, char out[32]);

#endif
