/* thaw embed: the embeddings of a trained run for shards, or for images straight from a folder. */
#include "cli/run.h"
#include "thaw/match.h"
#include "thaw/memory.h"

#include <stdio.h>
#include <string.h>

typedef struct embed_options {
  const char *checkpoint, *output, *layer, *isa;
  bool normalize, strict;
} embed_options;

static const char details[] =
    "DATA is a catalog.yaml, a shard, a folder with a catalog.yaml, an image file, or a folder of PNG and JPEG\n"
    "files. The person of an image is its class in shards (else its group), or the folder that it lies in.\n"
    "FILE.h5 is HDF5 (/embeddings, /ids, /persons), FILE.npy a NumPy array with the names beside it in\n"
    "FILE.npy.csv, any other name CSV. The bits do not depend on the number of ranks.\n\n"
    "  mpirun -n 4 thaw embed runs/faces shards/lfw --output lfw.h5\n"
    "  thaw match lfw.h5 --pairs pairs.txt\n";

static thaw_status parse(cli_context *cli, embed_options *o) {
  const cli_option options[] = {
      cli_output_option(&o->output, "embeddings.h5 in the run folder", "HDF5, NumPy or CSV, by its name"),
      {.name = "layer",
       .kind = CLI_TEXT,
       .target = &o->layer,
       .value = "NAME",
       .fallback = "the last layer, before a cosine_dense",
       .help = "layer of the head whose output is the embedding"},
      {.name = "normalize",
       .kind = CLI_FLAG,
       .target = &o->normalize,
       .help = "divide each embedding by its length, where the network does not do so itself"},
      cli_checkpoint_option(&o->checkpoint),
      {.name = "strict", .kind = CLI_FLAG, .target = &o->strict, .help = "an image that cannot be read is an error"},
      cli_isa_option(&o->isa),
  };
  const cli_usage usage = {.positional = "RUN DATA",
                           .summary = "Writes the embedding of each image: what the network makes of it before it "
                                      "names a class.",
                           .details = details,
                           .min = 2,
                           .max = 2,
                           .options = options,
                           .count = sizeof options / sizeof *options};
  return cli_parse(cli, &usage);
}

/* ------------------------------------------------------------------ rank 0: names and the file */

static thaw_status describe_source(const cli_run *run, thaw_embeddings *e) {
  const thaw_graph *graph = run->session->graph;
  e->source =
      thaw_format("%s, checkpoint %s, layer %s, backbone %.12s", run->job->name, thaw_path_name(run->checkpoint),
                  thaw_graph_view(graph, thaw_graph_count(graph) - 1)->layer.name, run->session->weights_digest);
  return e->source ? THAW_OK : THAW_ERR_MEMORY;
}

static thaw_status write_file(cli_context *cli, const cli_run *run, const embed_options *o, const char *path,
                              thaw_embeddings *e) {
  THAW_TRY(describe_source(run, e));
  if (o->normalize) THAW_TRY(thaw_embeddings_normalize(e));
  THAW_TRY(thaw_embeddings_write(path, e));
  thaw_info(cli->log, "wrote %s: %lld embeddings of width %d", path, (long long)e->count, e->width);
  return THAW_OK;
}

static thaw_status name_samples(const thaw_session_data *data, thaw_embeddings *e) {
  thaw_strings group = {0};
  THAW_TRY(thaw_catalog_ids(data->catalog, 0, e->count, &e->id));
  if (!data->labels) THAW_TRY(thaw_catalog_groups(data->catalog, 0, e->count, &group));
  thaw_status status = THAW_OK;
  for (int64_t i = 0; i < e->count && status == THAW_OK; i++) {
    char number[16] = "";
    const char *name = number;
    if (data->labels) {
      size_t class = (size_t)thaw_label(data->labels, (uint64_t)i, 0);
      snprintf(number, sizeof number, "%zu", class);
      if (class < data->info->classes.count) name = data->info->classes.item[class];
    } else if ((size_t)i < group.count)
      name = group.item[i];
    status = thaw_strings_add(&e->person, name);
  }
  thaw_strings_clear(&group);
  return status;
}

/* "lfw/Ann_Other/Ann_Other_0001.jpg" -> "Ann_Other"; "" for a file that lies nowhere. */
static thaw_status add_person_of_path(thaw_strings *person, const char *path) {
  char *folder = thaw_path_folder(path);
  if (!folder) return THAW_ERR_MEMORY;
  const char *name = thaw_path_name(folder);
  thaw_status status = thaw_strings_add(person, strcmp(name, ".") && strcmp(name, "..") ? name : "");
  thaw_free(folder);
  return status;
}

/* Files that could not be read have no row. */
static thaw_status take_files(const thaw_predictions *p, const thaw_strings *files, thaw_embeddings *e) {
  size_t row = (size_t)e->width;
  e->value = thaw_new((size_t)p->count * row, sizeof *e->value);
  if (!e->value) return THAW_ERR_MEMORY;
  for (int64_t i = 0; i < p->count; i++) {
    if (p->error.item[i][0]) {
      THAW_TRY(thaw_strings_add(&e->failed, files->item[i]));
      THAW_TRY(thaw_strings_add(&e->why, p->error.item[i]));
      continue;
    }
    THAW_TRY(thaw_strings_add(&e->id, files->item[i]));
    THAW_TRY(add_person_of_path(&e->person, files->item[i]));
    memcpy(e->value + (size_t)e->count++ * row, p->y + (size_t)i * row, row * sizeof *e->value);
  }
  return THAW_OK;
}

static thaw_status tell_failed(cli_context *cli, const thaw_embeddings *e, bool strict) {
  enum { NAMED = 10 };
  for (size_t i = 0; i < e->failed.count && i < NAMED; i++)
    thaw_warn(cli->log, "%s", e->why.item[i]); /* it begins with the path */
  if (!e->failed.count) return THAW_OK;
  if (strict || e->count == 0)
    return thaw_fail(THAW_ERR_DATA, "%zu of %lld images could not be read", e->failed.count,
                     (long long)e->failed.count + (long long)e->count);
  thaw_warn(cli->log, "%zu images could not be read and have no embedding", e->failed.count);
  return THAW_OK;
}

/* ------------------------------------------------------------------ the two kinds of data */

static thaw_status embed_catalog(cli_context *cli, const cli_run *run, const embed_options *o, const char *path) {
  thaw_session *s = run->session;
  thaw_session_data unlabelled = s->test;
  thaw_evaluation evaluation;
  unlabelled.labels = NULL;
  THAW_TRY(thaw_session_evaluate(s, cli->comm, &unlabelled, "embed", true, cli->log, &evaluation));
  thaw_embeddings e = {.count = evaluation.count, .width = s->outputs, .value = evaluation.prediction};
  evaluation.prediction = NULL;
  thaw_status status = cli_is_root(cli) ? name_samples(&s->test, &e) : THAW_OK;
  if (status == THAW_OK && cli_is_root(cli)) status = write_file(cli, run, o, path, &e);
  thaw_embeddings_clear(&e);
  thaw_evaluation_clear(&evaluation);
  return cli_share_status(cli, status);
}

static thaw_status embed_images(cli_context *cli, const cli_run *run, const embed_options *o, const thaw_strings *files,
                                const char *path) {
  thaw_import_reader *images;
  THAW_TRY(cli_run_images(cli, run, files, &images));
  thaw_predictions p = {0};
  thaw_status status = cli_run_predict(cli, run, images, &p);
  thaw_embeddings e = {.width = run->session->outputs};
  if (status == THAW_OK && cli_is_root(cli)) status = take_files(&p, thaw_import_reader_ids(images), &e);
  if (status == THAW_OK && cli_is_root(cli)) status = tell_failed(cli, &e, o->strict);
  if (status == THAW_OK && cli_is_root(cli)) status = write_file(cli, run, o, path, &e);
  thaw_predictions_clear(&p);
  thaw_embeddings_clear(&e);
  thaw_import_reader_close(images);
  return cli_share_status(cli, status);
}

static thaw_status embed(cli_context *cli, const embed_options *o, bool catalog, const thaw_strings *files) {
  const char *source = cli->argument[1];
  const thaw_session_options options = {
      .test = catalog, .catalog = catalog ? source : NULL, .isa = o->isa, .embedding = true, .layer = o->layer};
  cli_run run;
  THAW_TRY(cli_run_open(cli, cli->argument[0], o->checkpoint, &options, &run));
  char *fallback = thaw_path_join(run.folder, "embeddings.h5");
  thaw_status status = fallback ? cli_run_one_head(&run, "thaw embed") : THAW_ERR_MEMORY;
  const char *path = o->output ? o->output : fallback;
  if (status == THAW_OK) status = catalog ? embed_catalog(cli, &run, o, path) : embed_images(cli, &run, o, files, path);
  thaw_free(fallback);
  cli_run_close(&run);
  return status;
}

thaw_status cli_embed(cli_context *cli) {
  embed_options o = {0};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  bool catalog = cli_is_catalog(cli->argument[1]);
  thaw_strings files = {0};
  thaw_status status = catalog ? THAW_OK : thaw_image_files(cli->comm, cli->argument[1], true, &files);
  if (status == THAW_OK) status = embed(cli, &o, catalog, &files);
  thaw_strings_clear(&files);
  return status;
}
