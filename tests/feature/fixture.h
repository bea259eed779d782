/* fixture.h: a small catalogue and a small frozen network for the tests of this folder. */
#ifndef THAW_FEATURE_FIXTURE_H
#define THAW_FEATURE_FIXTURE_H

#include "thaw/feature.h"
#include "thaw/graph.h"

enum { FIXTURE_SAMPLES = 203, FIXTURE_SIDE = 12, FIXTURE_FLOATS = 24, FIXTURE_BATCH = 4 };

typedef struct fixture {
  char *folder, *shard, *cache;
  thaw_catalog *catalog;
  thaw_graph *graph;
  thaw_plan *plan;
  void *packed;
  thaw_input input;
  thaw_cache_config config;
  char weights_digest[65];
} fixture;

/* [local] Writes FOLDER/data.h5; call on one rank only. */
thaw_status fixture_write_shard(const char *folder);
/* [local] Opens the shard and builds the network; the cache lies in FOLDER/cache. */
thaw_status fixture_open(const char *folder, fixture *out);
void fixture_close(fixture *fixture);
/* [collective] */
thaw_status fixture_features(fixture *fixture, thaw_comm *comm, thaw_features **out);
/* [local] All samples of a view, computed without cache code: thaw_input_make and thaw_plan_run one by one. */
thaw_status fixture_expected(fixture *fixture, int32_t view, float *out);
/* The block files of all entries below the cache, sorted; thaw_strings_clear. */
thaw_status fixture_blocks(const fixture *fixture, thaw_strings *out);
void fixture_remove_tree(const char *folder);

#endif
