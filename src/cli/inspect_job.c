/* thaw inspect JOB: the network of each phase, and what running it will cost. */
#include "cli/inspect.h"
#include "cli/run.h"
#include "thaw/memory.h"

#include <stdio.h>

/* Samples of the training data, or -1 when it is not there (yet). */
static int64_t count_samples(const thaw_job *job) {
  thaw_catalog *catalog;
  if (thaw_catalog_open(job->data.train, &catalog) != THAW_OK) return -1;
  int64_t count = thaw_catalog_info(catalog)->count;
  thaw_catalog_close(catalog);
  return count;
}

static void add_bytes(thaw_text *out, const char *what, double bytes, const char *note) {
  char text[32];
  thaw_text_add(out, "  %-30s %10s%s%s\n", what, thaw_format_bytes(bytes, text), *note ? "  " : "", note);
}

static void add_cache(const thaw_job *job, const thaw_estimate *e, int64_t samples, thaw_text *out) {
  int32_t views = job->data.augment.enabled ? job->data.augment.views : 1;
  double value = job->cache.storage == 1 ? 2 : 4, each = value * (double)e->cut_floats;
  char note[96];
  if (!job->cache.enabled) {
    thaw_text_add(out, "  %-30s %10s\n", "feature cache", "off");
    return;
  }
  if (samples < 0) {
    snprintf(note, sizeof note, "per image and view; the training data cannot be read yet");
    add_bytes(out, "feature cache", each, note);
    return;
  }
  char count[32];
  snprintf(note, sizeof note, "on disk, %s images x %d view%s", thaw_format_count(samples, count), views,
           views == 1 ? "" : "s");
  add_bytes(out, "feature cache, training", each * (double)samples * views, note);
  if (e->later_floats)
    add_bytes(out, "kept along for later phases", value * (double)e->later_floats * (double)samples * views,
              "at most; computed by the same pass where it has room");
}

static void add_estimate(const thaw_job *job, const thaw_estimate *e, int ranks, int64_t samples, thaw_text *out) {
  char note[96], text[32];
  thaw_text_add(out, "arithmetic per image\n");
  thaw_text_add(out, "  %-30s %10.3f GFLOP  %s\n", "constant part", e->frozen_flops * 1e-9,
                job->cache.enabled ? "once, then from the cache" : "in every epoch");
  thaw_text_add(out, "  %-30s %10.3f GFLOP  forward and backward, in every epoch\n", "live part", 3e-9 * e->live_flops);
  thaw_text_add(out, "memory\n");
  snprintf(note, sizeof note, "once per node");
  add_bytes(out, "packed weights", (double)e->packed_bytes, note);
  add_bytes(out, "parameters as read", (double)e->parameter_bytes, "per rank");
  snprintf(note, sizeof note, "per rank, %d images in flight; no plan needs less than %s", e->images_in_flight,
           thaw_format_bytes((double)e->lower_bound_bytes, text));
  add_bytes(out, "activations, constant part", (double)e->activation_bytes, note);
  snprintf(note, sizeof note, "per rank, batch %d on %d rank%s", job->training.batch_size, ranks,
           ranks == 1 ? "" : "s");
  add_bytes(out, "live part", (double)e->live_bytes, note);
  add_bytes(out, "optimizer and exact sums", (double)(e->optimizer_bytes + e->reduced_bytes), "per rank");
  size_t rank = e->parameter_bytes + e->activation_bytes + e->live_bytes + e->optimizer_bytes + e->reduced_bytes;
  add_bytes(out, "one rank, with packed weights", (double)(rank + e->packed_bytes), "");
  thaw_text_add(out, "communication\n");
  add_bytes(out, "reduced per step", (double)e->reduced_bytes, "by each rank, in one MPI_Allreduce");
  thaw_text_add(out, "disk\n");
  add_cache(job, e, samples, out);
}

static void add_phase_title(const thaw_job *job, int32_t phase, thaw_text *out) {
  const thaw_phase_config *p = &job->training.phases[phase];
  thaw_text_add(out, "phase %d of %d: %d epoch%s, %s", phase + 1, job->training.phase_count, p->epochs,
                p->epochs == 1 ? "" : "s", p->optimizer.schema->name);
  for (int32_t i = 0; i < p->unfreeze.count; i++)
    thaw_text_add(out, "%s%s", i ? ", " : ", unfreeze ", p->unfreeze.item[i]);
  thaw_text_add(out, "\n");
}

/* [local] */
static thaw_status describe(const thaw_job *job, thaw_session *session, int ranks, thaw_text *out) {
  int64_t samples = count_samples(job);
  for (int32_t phase = 0; phase < job->training.phase_count; phase++) {
    thaw_estimate e;
    THAW_TRY(thaw_session_estimate(session, phase, &e));
    if (phase) thaw_text_add(out, "\n");
    add_phase_title(job, phase, out);
    thaw_graph_summary(session->graph, job->name, out);
    add_estimate(job, &e, ranks, samples, out);
  }
  return out->failed ? THAW_ERR_MEMORY : THAW_OK;
}

thaw_status cli_inspect_job(cli_context *cli, const char *path) {
  thaw_job *job;
  THAW_TRY(cli_read_job(cli, path, &job));
  thaw_session *session = NULL;
  const thaw_session_options options = {.dry = true, .ahead = true};
  thaw_text text = {0};
  thaw_status status = thaw_session_create(cli->comm, job, &options, cli->log, &session);
  if (status == THAW_OK) status = thaw_agree(cli->comm, describe(job, session, thaw_comm_size(cli->comm), &text));
  if (status == THAW_OK) cli_print_text(cli, &text);
  thaw_text_clear(&text);
  thaw_session_destroy(session);
  thaw_job_destroy(job);
  return status;
}
