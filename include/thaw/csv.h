/* csv.h: comma-separated values (RFC 4180), read row by row. All functions are [local]. */
#ifndef THAW_CSV_H
#define THAW_CSV_H

#include "thaw/memory.h"
#include "thaw/status.h"
#include "thaw/text.h"
#include <stdbool.h>

enum { THAW_CSV_COLUMNS = 4096 };

/* A cursor over a text that stays where it is. */
typedef struct thaw_csv {
  const char *name, *at, *end; /* name: of the file, for messages */
  int64_t line;                /* of the row in `field`, 1-based */
  int64_t next_line;
  thaw_arena *arena; /* owns the cursor and all fields */
  char *field[THAW_CSV_COLUMNS];
  int32_t fields;
} thaw_csv;

/* Passes over a byte order mark. NULL when memory is gone. */
thaw_csv *thaw_csv_open(const char *name, const char *text, size_t size, thaw_arena *arena);
/* The next row into `field`; blank lines are passed over; *more is false at the end. */
thaw_status thaw_csv_row(thaw_csv *csv, bool *more) THAW_CHECKED;
/* The index of a field of the present row (the header), -1 when absent. */
int32_t thaw_csv_column(const thaw_csv *csv, const char *name);
/* Appends one field, quoted where it must be. */
void thaw_csv_add(thaw_text *out, const char *field);

#endif
