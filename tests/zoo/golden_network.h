/* golden_network.h: networks whose weights and images come from a formula, and what others computed with them
 * (golden/formula.py). */
#ifndef THAW_GOLDEN_NETWORK_H
#define THAW_GOLDEN_NETWORK_H

#include "thaw_test.h"

#include "thaw/zoo.h"

enum { GOLDEN_LAYERS = 16 };

typedef struct golden_layer {
  char name[64];
  size_t count;
  double mean, absolute, value[4];
} golden_layer;

/* "network NAME H W A PARAMETERS B": what A and B are, the file's maker says. */
typedef struct golden_network {
  char name[32];
  int h, w, a;
  long parameters;
  unsigned b;
  golden_layer layer[GOLDEN_LAYERS];
  int32_t count;
} golden_network;

/* What a layer is called where the golden values come from; NULL: as here. `out` is for a made name. */
typedef const char *golden_name(const char *name, char out[64]);

/* Calls `check` for each network of the file, or for that which THAW_TEST_ARCHITECTURE names; returns how many the file
 * has. */
int golden_each(const char *path, void (*check)(const golden_network *e));
uint32_t golden_hash(uint32_t value, const char *text); /* FNV-1a; begins with GOLDEN_SEED */
enum { GOLDEN_SEED = 0x811C9DC5 };
/* Every parameter of a bound graph. */
void golden_fill(thaw_graph *graph, golden_name *name);
/* [h][w][channels]; thaw_free. */
float *golden_image(const golden_network *e, int32_t channels);
/* Runs the network up to the layers from `first` on, fused as it is in use, and compares them. */
void golden_compare(const golden_network *e, const thaw_graph *graph, const float *x, int32_t first, golden_name *name);

#endif
