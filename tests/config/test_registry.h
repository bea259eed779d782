/* test_registry.h: a small registry of option tables that stands in for the real layers, losses and optimizers. */
#ifndef TEST_REGISTRY_H
#define TEST_REGISTRY_H

#include "thaw/job.h"

typedef struct every_config {
  bool flag;
  int32_t number, word;
  int64_t large;
  double real, range[2];
  char *text, *kind;
  thaw_text_list texts;
} every_config;
typedef struct dense_config {
  int32_t units, activation;
} dense_config;
typedef struct rate_config {
  double rate;
} rate_config;
typedef struct optimizer_config {
  double learning_rate, momentum;
  bool nesterov;
} optimizer_config;
typedef struct loss_config {
  double label_smoothing;
} loss_config;

extern const thaw_schema test_every_schema;
thaw_job_schemas test_schemas(void);

#endif
