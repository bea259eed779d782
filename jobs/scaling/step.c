/* step.c: a training step's communication by the program's own code (src/comm), for SimGrid's simulator: each rank
 * computes for given times, layer by layer, and takes part in the exact sum. Prints ranks, bytes that a rank brings
 * into a step, and simulated seconds per step.
 *
 *     step EARLY STEPS FORWARD LAYER...    EARLY 1: sums travel while lower layers are computed; 0: all at the end
 *
 * LAYER, from the input to the output: PARAMETERS:INPUTS:SIZE[:SIZE...], seconds for the layer's parameter gradients
 * and for those of its inputs, values of each tensor. All gradients are zero, so simulated ranks may share memory. */
#include "comm/comm_private.h"
#include "thaw/file.h"
#include "thaw/memory.h"
#include "thaw/text.h"

#include <smpi/smpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 256, MOST_TENSORS = 512, LARGE = 24 << 20 };

typedef struct layer {
  double parameters, inputs;
  size_t first; /* tensor */
} layer;

typedef struct network {
  int64_t early, steps;
  double forward;
  layer layer[MOST_LAYERS];
  size_t layers, size[MOST_TENSORS], tensors;
} network;

/* ------------------------------------------------------------------ what stands in for parts of the program */

/* For MPI_Init_thread: the simulator has no threads; the program then polls between its own calls. */
int step_init_thread(int *argc, char ***argv, int required, int *provided);
int step_init_thread(int *argc, char ***argv, int required, int *provided) {
  (void)required;
  *provided = MPI_THREAD_FUNNELED;
  return MPI_Init(argc, argv);
}

/* For src/base/memory.c: the largest blocks, the messages, are the same memory for all ranks. It stays zero. */
void *thaw_new(size_t count, size_t size) {
  size_t bytes = count * size;
  return bytes >= LARGE ? SMPI_SHARED_MALLOC(bytes) : calloc(bytes ? bytes : 1, 1);
}

void thaw_free(void *memory) {
  (void)memory; /* the program is about to end */
}

/* For what src/base/log.c does elsewhere: nothing is logged to a file here. */
char *thaw_copy_text(const char *text) {
  (void)text;
  return NULL;
}

char *thaw_file_temporary(const char *path) {
  (void)path;
  return NULL;
}

/* For src/comm/shared.c: all simulated ranks are threads of one process. */
struct thaw_shared {
  void *data;
};

thaw_status thaw_shared_create(thaw_comm *comm, size_t bytes, thaw_shared **out) {
  void *data = comm->node_rank == 0 ? calloc(bytes, 1) : NULL;
  MPI_Bcast(&data, sizeof data, MPI_BYTE, 0, comm->node);
  *out = thaw_new(1, sizeof **out);
  (*out)->data = data;
  return THAW_OK;
}

void *thaw_shared_data(thaw_shared *shared) {
  return shared->data;
}

bool thaw_shared_is_private(const thaw_shared *shared) {
  (void)shared;
  return false;
}

void thaw_shared_destroy(thaw_shared *shared) {
  (void)shared;
}

/* ------------------------------------------------------------------ a step */

static thaw_comm *communicator; /* of this rank: the simulator keeps one copy of each variable per rank */

/* The platform's processors do 1e9 a second. While it computes a rank looks after its messages as the thread of
 * src/comm/progress.c does. */
static void compute(double seconds, bool under_way) {
  const double look = 250e-6;
  for (; under_way && seconds > look; seconds -= look) {
    smpi_execute_flops(look * 1e9);
    thaw_exact_poll(communicator);
  }
  smpi_execute_flops(seconds * 1e9);
}

static thaw_status one_step(thaw_exact *exact, const network *net) {
  int64_t flags[THAW_EXACT_FLAGS] = {0}, slice;
  thaw_verdict verdict;
  size_t tensor;
  thaw_exact_begin(exact, thaw_comm_size(communicator));
  compute(net->forward, false);
  for (size_t i = net->layers; i-- > 0;) {
    compute(net->layer[i].parameters, net->early);
    if (net->early) thaw_exact_final(exact, communicator, net->layer[i].first);
    compute(net->layer[i].inputs, net->early);
  }
  return thaw_exact_reduce(exact, communicator, flags, &verdict, &tensor, &slice);
}

static thaw_status run(const network *net) {
  thaw_exact *exact;
  THAW_TRY(thaw_exact_create(net->size, net->tensors, &exact));
  THAW_TRY(thaw_exact_connect(exact, communicator));
  double start = MPI_Wtime();
  thaw_status status = THAW_OK;
  for (int64_t i = 0; i < net->steps && status == THAW_OK; i++) status = one_step(exact, net);
  if (thaw_comm_rank(communicator) == 0)
    printf("%d %zu %.9f\n", thaw_comm_size(communicator), thaw_exact_bytes(exact),
           (MPI_Wtime() - start) / (double)net->steps);
  thaw_exact_destroy(exact);
  return status;
}

/* ------------------------------------------------------------------ arguments */

static bool parse_layer(network *net, char *text) {
  layer *l = &net->layer[net->layers++];
  l->first = net->tensors;
  double *const seconds[] = {&l->parameters, &l->inputs};
  for (int field = 0; text; field++) {
    char *colon = strchr(text, ':');
    int64_t value;
    if (colon) *colon = 0;
    if (field < 2) {
      if (thaw_parse_double(text, seconds[field]) != THAW_OK) return false;
    } else {
      if (net->tensors == MOST_TENSORS || thaw_parse_int(text, &value) != THAW_OK || value < 1) return false;
      net->size[net->tensors++] = (size_t)value;
    }
    text = colon ? colon + 1 : NULL;
  }
  return true;
}

static bool parse(network *net, int argc, char **argv) {
  if (argc < 5 || argc > 4 + MOST_LAYERS || thaw_parse_int(argv[1], &net->early) != THAW_OK ||
      thaw_parse_int(argv[2], &net->steps) != THAW_OK || net->steps < 1 ||
      thaw_parse_double(argv[3], &net->forward) != THAW_OK)
    return false;
  for (int i = 4; i < argc; i++)
    if (!parse_layer(net, argv[i])) return false;
  return net->tensors > 0;
}

int main(int argc, char **argv) {
  network *net = calloc(1, sizeof *net);
  if (!net || !parse(net, argc, argv)) return 2;
  thaw_status status = thaw_comm_create(&argc, &argv, &communicator);
  if (status == THAW_OK) status = run(net);
  if (status != THAW_OK) fprintf(stderr, "%s\n", thaw_message());
  MPI_Finalize();
  return thaw_exit_code(status);
}
