#include "test_registry.h"

#define COUNT(table) ((int32_t)(sizeof(table) / sizeof *(table)))

static const char *const activation_names[] = {"linear", "relu", "softmax", NULL};
static const char *const kind_names[] = {"small", "large", NULL};

static const thaw_field every_fields[] = {
    {.name = "flag", .kind = THAW_FIELD_BOOL, .offset = offsetof(every_config, flag), .fallback = 1, .help = "a flag"},
    {.name = "number",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(every_config, number),
     .low = -5,
     .high = 5,
     .fallback = 2,
     .help = "a number"},
    {.name = "word", .kind = THAW_FIELD_CHOICE, .offset = offsetof(every_config, word), .choices = activation_names},
    {.name = "large", .kind = THAW_FIELD_INT64, .offset = offsetof(every_config, large), .fallback = 7},
    {.name = "real",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(every_config, real),
     .low = 0,
     .high = 1,
     .open_low = true,
     .fallback = 0.1},
    {.name = "range", .kind = THAW_FIELD_RANGE, .offset = offsetof(every_config, range), .low = -10, .high = 10},
    {.name = "text", .kind = THAW_FIELD_TEXT, .offset = offsetof(every_config, text), .fallback_text = "some text"},
    {.name = "kind", .kind = THAW_FIELD_TEXT, .offset = offsetof(every_config, kind), .choices = kind_names},
    {.name = "texts", .kind = THAW_FIELD_TEXTS, .offset = offsetof(every_config, texts)},
};
const thaw_schema test_every_schema = {"every", sizeof(every_config), every_fields, COUNT(every_fields), "every kind"};

static const thaw_field dense_fields[] = {
    {.name = "units",
     .kind = THAW_FIELD_INT,
     .offset = offsetof(dense_config, units),
     .low = 1,
     .high = 1 << 20,
     .required = true,
     .help = "width of the output"},
    {.name = "activation",
     .kind = THAW_FIELD_CHOICE,
     .offset = offsetof(dense_config, activation),
     .choices = activation_names},
};
static const thaw_schema dense_schema = {"dense", sizeof(dense_config), dense_fields, COUNT(dense_fields), "dense"};
static const thaw_field dropout_fields[] = {
    {.name = "rate", .kind = THAW_FIELD_FLOAT, .offset = offsetof(rate_config, rate), .high = 1, .required = true},
};
static const thaw_schema dropout_schema = {"dropout", sizeof(rate_config), dropout_fields, 1, "dropout"};
static const thaw_schema pooling_schema = {"global_average_pooling2d", 0, NULL, 0, "pooling"};

static const thaw_field optimizer_fields[] = {
    {.name = "learning_rate",
     .kind = THAW_FIELD_FLOAT,
     .offset = offsetof(optimizer_config, learning_rate),
     .high = 1000,
     .open_low = true,
     .fallback = 1e-3},
    {.name = "momentum", .kind = THAW_FIELD_FLOAT, .offset = offsetof(optimizer_config, momentum), .high = 1},
    {.name = "nesterov", .kind = THAW_FIELD_BOOL, .offset = offsetof(optimizer_config, nesterov)},
};
static const thaw_schema sgd_schema = {"sgd", sizeof(optimizer_config), optimizer_fields, COUNT(optimizer_fields), ""};
static const thaw_schema adam_schema = {"adam", sizeof(optimizer_config), optimizer_fields, 1, ""};

static const thaw_field loss_fields[] = {
    {.name = "label_smoothing", .kind = THAW_FIELD_FLOAT, .offset = offsetof(loss_config, label_smoothing), .high = 1},
};
static const thaw_schema crossentropy_schema = {"categorical_crossentropy", sizeof(loss_config), loss_fields, 1, ""};
static const thaw_schema squared_schema = {"mean_squared_error", 0, NULL, 0, ""};

static const thaw_schema *const layers[] = {&dense_schema, &dropout_schema, &pooling_schema, NULL};
static const thaw_schema *const losses[] = {&crossentropy_schema, &squared_schema, NULL};
static const thaw_schema *const optimizers[] = {&sgd_schema, &adam_schema, NULL};

thaw_job_schemas test_schemas(void) {
  return (thaw_job_schemas){.layers = {"layer", "layer", layers},
                            .losses = {"name", "loss", losses},
                            .optimizers = {"name", "optimizer", optimizers}};
}
