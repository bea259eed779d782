/* predict.h: a trained model for use inside another program: load, predict, free. All functions are [local]; no MPI is
 * needed. Build with `pkg-config --cflags --libs thaw`; tests/eval/predict_example.c is a whole program. */
#ifndef THAW_PREDICT_H
#define THAW_PREDICT_H

#include "thaw/status.h"
#include <stdint.h>

typedef struct thaw_model thaw_model;

/* Loads a model: a .keras or .h5 file that `thaw export` or Keras wrote, or a run folder that holds such an export
 * (model.keras or model.h5). Of a model that thaw exported, the images' preprocessing and the class names are known;
 * any other model gets the numbers as they are. The file is read in this process: HDF5 1.10 may crash on one that is
 * damaged or hostile; `thaw inspect FILE` finds that out first. */
thaw_status thaw_model_load(const char *path, thaw_model **out) THAW_CHECKED;
void thaw_model_free(thaw_model *model); /* accepts NULL; no call may be under way */

/* The size of the images, and the number of outputs per image. */
void thaw_model_input(const thaw_model *model, int32_t *height, int32_t *width, int32_t *channels);
int32_t thaw_model_outputs(const thaw_model *model);
/* What output `index` means; "" when that is not known. Borrowed. */
const char *thaw_model_class(const thaw_model *model, int32_t index);

/* images [n][height][width][channels], values 0 .. 255 (RGB order) -> outputs [n][outputs]. May be called from several
 * threads at once: they take turns, and an image's outputs do not depend on its neighbours. */
thaw_status thaw_model_predict(thaw_model *model, const float *images, int32_t n, float *outputs) THAW_CHECKED;

#endif
