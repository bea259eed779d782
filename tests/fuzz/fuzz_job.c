/* Job files: YAML, the schema of every section, and the effective job written out again. */
#include "fuzz.h"
#include "thaw/job.h"
#include "thaw/layer.h"
#include "thaw/loss.h"
#include "thaw/optim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const thaw_job_schemas schemas = {.layers = thaw_layer_head_schemas(),
                                    .losses = thaw_loss_schemas(),
                                    .optimizers = thaw_optim_schemas(),
                                    .schedules = thaw_schedule_schemas()};
  thaw_job *job = NULL;
  thaw_text text = {0};
  char *copy = thaw_new(size + 1, 1); /* the parser's text ends with a zero, as files read by thaw do */
  if (!copy) return 0;
  if (size) memcpy(copy, data, size);
  thaw_status status = thaw_job_parse("fuzz.yaml", copy, size, &schemas, &job);
  fuzz_expect(status);
  if (status == THAW_OK) fuzz_expect(thaw_job_echo(job, false, &text));
  thaw_text_clear(&text);
  if (status == THAW_OK) thaw_job_destroy(job);
  thaw_free(copy);
  return 0;
}
