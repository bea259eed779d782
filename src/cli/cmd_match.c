/* thaw match: how well embeddings tell who is who: verification by pairs, identification by a gallery. */
#include "cli/cli.h"
#include "cli/match.h"
#include "thaw/memory.h"

#include <math.h>
#include <string.h>

typedef struct match_options {
  const char *pairs, *threshold_pairs, *gallery, *output;
  bool allow_missing;
} match_options;

static const char details[] =
    "EMBEDDINGS is a file of `thaw embed`. A pair's score is the cosine of its two embeddings.\n\n"
    "Verification: ROC, its area, the equal error rate, true accepts at false accept rates of 1e-1 to 1e-4. With\n"
    "--pairs in the layout of LFW's pairs.txt also the accuracy, with the threshold of each fold chosen on the\n"
    "others, as LFW's protocol has it; with pairsDevTest.txt and --threshold-pairs pairsDevTrain.txt that of view 1.\n"
    "Without --pairs all pairs of images are judged by the persons' names.\n\n"
    "Identification: probes against a gallery, by the nearest image of each person: rank-1, rank-5 and the\n"
    "cumulative match curve; open set: the share found at rank 1 (DIR) when strangers are named at a rate of 1e-1 to\n"
    "1e-4 (FPIR). Without --gallery the first image of each person with several is the gallery, and persons\n"
    "with one image are the strangers.\n\n"
    "What is not defined, too little, or missing is named and counted, never taken for 0.\n\n"
    "  thaw match lfw.h5 --pairs pairs.txt --output lfw-match\n"
    "  thaw match visitors.h5 --gallery staff.h5\n";

static thaw_status parse(cli_context *cli, match_options *o) {
  const cli_option options[] = {
      {.name = "pairs",
       .kind = CLI_TEXT,
       .target = &o->pairs,
       .value = "FILE",
       .fallback = "all pairs",
       .help = "list of pairs in the layout of LFW's pairs.txt"},
      {.name = "threshold-pairs",
       .kind = CLI_TEXT,
       .target = &o->threshold_pairs,
       .value = "FILE",
       .fallback = "the other folds",
       .help = "list of other pairs, on which the threshold of the accuracy is chosen"},
      {.name = "gallery",
       .kind = CLI_TEXT,
       .target = &o->gallery,
       .value = "FILE",
       .fallback = "one image of each person",
       .help = "embeddings of known persons; those of EMBEDDINGS are then all probes"},
      {.name = "output",
       .letter = 'o',
       .kind = CLI_TEXT,
       .target = &o->output,
       .value = "FOLDER",
       .fallback = "EMBEDDINGS with -match in place of its extension",
       .help = "where match.json, roc.png, roc.csv, cmc.png, cmc.csv and pairs.csv go"},
      {.name = "allow-missing",
       .kind = CLI_FLAG,
       .target = &o->allow_missing,
       .help = "go on without pairs that name an image without an embedding"},
  };
  const cli_usage usage = {.positional = "EMBEDDINGS",
                           .summary =
                               "Verification and identification with embeddings of faces, or whatever else is told "
                               "apart by distances.",
                           .details = details,
                           .min = 1,
                           .max = 1,
                           .options = options,
                           .count = sizeof options / sizeof *options};
  THAW_TRY(cli_parse(cli, &usage));
  if (!cli->done && o->threshold_pairs && !o->pairs)
    return thaw_fail(THAW_ERR_USAGE, "--threshold-pairs goes with --pairs");
  return THAW_OK;
}

/* ------------------------------------------------------------------ rank 0 */

static thaw_status read_pairs(const char *path, const thaw_embeddings *e, bool allow_missing, thaw_pairs *out) {
  THAW_TRY(thaw_pairs_read(path, e, out));
  if (!out->missing.count || allow_missing) return THAW_OK;
  thaw_status status = thaw_fail(
      THAW_ERR_DATA, "%s: %zu of %lld pairs name an image without an embedding (%s); --allow-missing leaves them out",
      path, out->missing.count, (long long)out->missing.count + (long long)out->count, out->missing.item[0]);
  thaw_pairs_clear(out);
  return status;
}

static thaw_status other_threshold(const match_options *o, const thaw_embeddings *e, double *threshold) {
  thaw_pairs others;
  *threshold = NAN;
  if (!o->threshold_pairs) return THAW_OK;
  THAW_TRY(read_pairs(o->threshold_pairs, e, o->allow_missing, &others));
  thaw_status status = thaw_verify_threshold(e, &others, threshold);
  thaw_pairs_clear(&others);
  return status;
}

static thaw_status verify(const match_options *o, cli_match *m) {
  double threshold;
  THAW_TRY(other_threshold(o, m->embeddings, &threshold));
  if (o->pairs)
    THAW_TRY(read_pairs(o->pairs, m->embeddings, o->allow_missing, &m->pairs));
  else
    THAW_TRY(thaw_pairs_all(m->embeddings, &m->pairs));
  return thaw_verify(m->embeddings, &m->pairs, threshold, &m->verification);
}

static thaw_status identify(cli_match *m) {
  if (m->gallery) {
    m->identified = true;
    return thaw_identify(m->gallery, NULL, m->embeddings, NULL, &m->identification);
  }
  uint8_t *role = thaw_new((size_t)m->embeddings->count, 1);
  if (!role) return THAW_ERR_MEMORY;
  thaw_status status = thaw_gallery_split(m->embeddings, role);
  for (int64_t i = 0; i < m->embeddings->count; i++) m->identified |= role[i] == THAW_GALLERY;
  if (status == THAW_OK && m->identified)
    status = thaw_identify(m->embeddings, role, m->embeddings, role, &m->identification);
  thaw_free(role);
  return status;
}

static char *default_folder(const char *path) {
  const char *name = thaw_path_name(path), *dot = strrchr(name, '.');
  size_t length = dot && dot != name ? (size_t)(dot - path) : strlen(path);
  return thaw_format("%.*s-match", (int)length, path);
}

static thaw_status show(cli_context *cli, const match_options *o, const cli_match *m) {
  thaw_text text = {0};
  char *folder = o->output ? thaw_copy_text(o->output) : default_folder(m->path);
  thaw_status status = folder ? cli_match_write(m, folder) : THAW_ERR_MEMORY;
  cli_match_text(m, &text);
  if (status == THAW_OK) {
    cli_print_text(cli, &text);
    thaw_info(cli->log, "wrote %s/match.json and plots", folder);
  }
  thaw_text_clear(&text);
  thaw_free(folder);
  return status;
}

static thaw_status run(cli_context *cli, const match_options *o, cli_match *m) {
  enum { NAMED = 5 };
  THAW_TRY(verify(o, m));
  THAW_TRY(identify(m));
  m->single = thaw_single_images(m->embeddings, NAMED, &m->single_names);
  THAW_TRY(cli_match_note(m));
  return show(cli, o, m);
}

static thaw_status match(cli_context *cli, const match_options *o) {
  thaw_embeddings embeddings = {0}, gallery = {0};
  cli_match m = {.path = cli->argument[0],
                 .pairs_path = o->pairs,
                 .threshold_path = o->threshold_pairs,
                 .gallery_path = o->gallery,
                 .embeddings = &embeddings,
                 .gallery = o->gallery ? &gallery : NULL};
  thaw_status status = thaw_embeddings_read(m.path, &embeddings);
  if (status == THAW_OK && o->gallery) status = thaw_embeddings_read(o->gallery, &gallery);
  if (status == THAW_OK) status = run(cli, o, &m);
  thaw_pairs_clear(&m.pairs);
  thaw_verification_clear(&m.verification);
  thaw_identification_clear(&m.identification);
  thaw_strings_clear(&m.single_names);
  thaw_strings_clear(&m.notes);
  thaw_embeddings_clear(&embeddings);
  thaw_embeddings_clear(&gallery);
  return status;
}

thaw_status cli_match_verb(cli_context *cli) {
  match_options o = {0};
  THAW_TRY(parse(cli, &o));
  if (cli->done) return THAW_OK;
  return cli_share_status(cli, cli_is_root(cli) ? match(cli, &o) : THAW_OK);
}
