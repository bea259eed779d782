/* schema.h: option tables. One table per thing that can be configured (a layer type, an optimiser, a section of the job
 * file) serves parsing, defaults, ranges, the echo in the run folder, help texts and the Keras JSON. All [local].
 *
 *     typedef struct { int32_t units; int32_t activation; bool use_bias; } dense_config;
 *     static const thaw_field dense_fields[] = {
 *         {.name = "units", .kind = THAW_FIELD_INT, .offset = offsetof(dense_config, units), .low = 1, .high = 1 << 20,
 *          .required = true, .help = "width of the output"},
 *         {.name = "activation", .kind = THAW_FIELD_CHOICE, .offset = ..., .choices = thaw_activation_names, .fallback
 * = 0},
 *     };
 *     const thaw_schema dense_schema = {"dense", sizeof(dense_config), dense_fields, 2, "fully connected layer"};
 */
#ifndef THAW_SCHEMA_H
#define THAW_SCHEMA_H

#include "thaw/memory.h"
#include "thaw/status.h"
#include "thaw/text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum thaw_field_kind {
  THAW_FIELD_BOOL,    /* bool */
  THAW_FIELD_INT,     /* int32_t */
  THAW_FIELD_INT64,   /* int64_t */
  THAW_FIELD_FLOAT,   /* double */
  THAW_FIELD_CHOICE,  /* int32_t: index into `choices` */
  THAW_FIELD_TEXT,    /* char *: arena-owned, NULL when absent and no fallback_text */
  THAW_FIELD_TEXTS,   /* thaw_text_list: arena-owned; a single scalar is a list of one */
  THAW_FIELD_NUMBERS, /* thaw_number_list: arena-owned; a single number is a list of one; absent: empty */
  THAW_FIELD_RANGE    /* double[2]: one number x means [-x, x], or a list of two (Keras' augmentation arguments) */
} thaw_field_kind;

typedef struct thaw_text_list {
  const char **item;
  int32_t count;
} thaw_text_list;

typedef struct thaw_number_list {
  double *item;
  int32_t count;
} thaw_number_list;

typedef struct thaw_field {
  const char *name; /* the key in the job file, Keras' own name */
  thaw_field_kind kind;
  size_t offset;    /* in the config struct */
  double low, high; /* inclusive; both 0: no range check */
  double fallback;  /* default for BOOL, INT, INT64, FLOAT, CHOICE and both ends of RANGE */
  bool required;    /* no default */
  bool open_low;    /* `low` itself is not allowed */
  bool quiet;       /* a BOOL, INT, FLOAT or CHOICE that is left out of the echo while it has its default */
  const char *fallback_text;
  const char *const *choices; /* NULL-terminated */
  const char *help;
} thaw_field;

typedef struct thaw_schema {
  const char *name; /* "dense", "adam", "early_stopping" */
  size_t size;      /* of the config struct */
  const thaw_field *fields;
  int32_t count;
  const char *help;
} thaw_schema;

/* A NULL-terminated list of schemas from which a `name:` (or `layer:`) key chooses. */
typedef struct thaw_schema_list {
  const char *key;  /* "layer" for heads, "name" for optimisers and losses */
  const char *what; /* for messages: "layer", "optimizer", "loss" */
  const thaw_schema *const *schemas;
} thaw_schema_list;

/* A chosen schema with its filled config. */
typedef struct thaw_choice {
  const thaw_schema *schema; /* NULL: absent */
  void *config;              /* arena-owned, of schema->size bytes */
  char *label;               /* the `name:` given to a layer, or NULL */
  int32_t line;              /* in the job file */
} thaw_choice;

/* A new config with all defaults; required fields are zero. NULL when memory is gone. */
void *thaw_schema_defaults(const thaw_schema *schema, thaw_arena *arena);
const thaw_schema *thaw_schema_find(const thaw_schema_list *list, const char *name); /* NULL when unknown */
/* "  units (integer 1..1048576, required): width of the output\n" for each field. */
void thaw_schema_help(const thaw_schema *schema, thaw_text *out);
/* "{units: 128, activation: relu}": YAML flow text that parses back to the same config. */
void thaw_schema_echo(const thaw_schema *schema, const void *config, thaw_text *out);

#endif
