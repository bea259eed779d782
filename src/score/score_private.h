/* score_private.h: what the files of src/score share. */
#ifndef THAW_SCORE_PRIVATE_H
#define THAW_SCORE_PRIVATE_H

#include "thaw/score.h"

/* Outputs are in 0 .. 1, and sum to 1 where one of several classes is true. */
bool score_are_probabilities(const thaw_scored *scored);
/* One row of outputs at a temperature; exactly the outputs at temperature 1. */
void score_at_temperature(thaw_label_kind kind, const float *y, int32_t outputs, double temperature, double *out);

#endif
