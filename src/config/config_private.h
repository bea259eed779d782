/* config_private.h: what the files of src/config share. */
#ifndef THAW_CONFIG_PRIVATE_H
#define THAW_CONFIG_PRIVATE_H

#include "thaw/job.h"

enum { CONFIG_PLACE_SIZE = 256 };

/* Where values come from and where texts are kept. */
typedef struct config_source {
  const char *file;
  thaw_arena *arena;
} config_source;

/* THAW_ERR_USAGE "file:line: place: ..." (without "place: " when it is empty). */
thaw_status config_fail(const config_source *source, int32_t line, const char *place, const char *format, ...)
    THAW_PRINTF(4, 5) THAW_CHECKED;
/* Fails with "unknown `what` 'word'", and the nearest of the names, or all of them when they are few. */
thaw_status config_fail_unknown(const config_source *source, int32_t line, const char *place, const char *what,
                                const char *word, const char *const *names, size_t count) THAW_CHECKED;

/* "place.key" or "key" at the top; returns `out`. */
const char *config_place(char out[CONFIG_PLACE_SIZE], const char *place, const char *key);
/* True for an absent node and for an unquoted empty value, "~" or "null". */
bool config_is_null(const thaw_yaml *node);
bool config_read_bool(const thaw_yaml *node, bool *out); /* false: the node is no boolean */

/* Sets all defaults in `config` of schema->size bytes. */
thaw_status config_defaults(const thaw_schema *schema, void *config, thaw_arena *arena) THAW_CHECKED;
/* Fills `config`, which holds the defaults, from a map. Keys in `also` (NULL-terminated, may be NULL) are the caller's
 * business; any other unknown key is an error, and so is a required field that is missing. */
thaw_status config_read_fields(const config_source *source, const thaw_schema *schema, const thaw_yaml *map,
                               const char *place, const char *const *also, void *config) THAW_CHECKED;
/* A number within the field's range. */
thaw_status config_read_number(const config_source *source, const thaw_field *field, const thaw_yaml *node,
                               const char *place, double *out) THAW_CHECKED;
/* A choice: a scalar names a schema with all defaults, a map names it under list->key. */
thaw_status config_read_choice(const config_source *source, const thaw_schema_list *list, const thaw_yaml *node,
                               const char *place, thaw_choice *out) THAW_CHECKED;

/* "key: value" pairs of the fields that have a value, joined by `separator`; names in `skip` (NULL-terminated, may be
 * NULL) are left out. Returns the number of pairs. */
int32_t config_echo_fields(const thaw_schema *schema, const void *config, const char *const *skip,
                           const char *separator, thaw_text *out);
/* A YAML scalar that reads back as this text: plain where that is safe, double-quoted otherwise. */
void config_echo_text(const char *value, thaw_text *out);
void config_echo_number(double value, thaw_text *out); /* the shortest decimal that reads back to the same double */

/* Tables of the job file's sections (job_tables.c). */
extern const thaw_schema config_top_schema, config_backbone_schema, config_data_schema, config_augment_schema,
    config_cache_schema, config_training_schema, config_phase_schema, config_early_stopping_schema,
    config_auto_unfreeze_schema, config_reduce_lr_schema, config_checkpoint_schema, config_head_schema;

/* What a loss is watched by, by its name; NULL: nothing (job.c). */
const char *config_default_metric(const char *loss);

/* The section `heads` (job_heads.c); a job without it is left as it is. */
thaw_status config_read_heads(const config_source *source, const thaw_job_schemas *schemas, const thaw_yaml *root,
                              thaw_job *job) THAW_CHECKED;
/* A list of layers -> an array of the arena; *count_out counts on from 0. */
thaw_status config_read_layers(const config_source *source, const thaw_schema_list *layers, const thaw_yaml *node,
                               const char *place, thaw_choice **out, int32_t *count_out) THAW_CHECKED;
/* Loss and metrics of the section `training` of a job with heads. */
thaw_status config_heads_training(const config_source *source, const thaw_yaml *node, thaw_job *job) THAW_CHECKED;
/* What heads do not go with. */
thaw_status config_check_heads(const config_source *source, const thaw_yaml *root, const thaw_job *job) THAW_CHECKED;

/* Checks across sections, once everything is read (job_check.c). */
thaw_status config_check_job(const config_source *source, const thaw_yaml *root, thaw_job *job) THAW_CHECKED;

#endif
