/* predict_example MODEL: what a trained model says about a grey image. All of thaw/predict.h in one small program. */
#include "thaw/predict.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  thaw_model *model;
  int32_t h, w, c;
  if (argc != 2 || thaw_model_load(argv[1], &model) != THAW_OK) {
    fprintf(stderr, "%s\n", argc == 2 ? thaw_message() : "usage: predict_example MODEL");
    return 1;
  }
  thaw_model_input(model, &h, &w, &c);
  size_t values = (size_t)h * (size_t)w * (size_t)c;
  float *image = malloc(values * sizeof *image), *output = malloc((size_t)thaw_model_outputs(model) * sizeof *output);
  for (size_t i = 0; image && i < values; i++) image[i] = 128;
  if (!image || !output || thaw_model_predict(model, image, 1, output) != THAW_OK) {
    fprintf(stderr, "%s\n", thaw_message());
    return 1;
  }
  for (int32_t i = 0; i < thaw_model_outputs(model); i++)
    printf("%d %s %.6f\n", (int)i, thaw_model_class(model, i), (double)output[i]);
  free(image);
  free(output);
  thaw_model_free(model);
  return 0;
}
