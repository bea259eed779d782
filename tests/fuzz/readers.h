/* readers.h: readers that several targets call. With them comes a thaw_weight_most_like that takes no time. */
#ifndef THAW_FUZZ_READERS_H
#define THAW_FUZZ_READERS_H

/* Weights (all generations), a whole model, a data set, a checkpoint, a block of the feature cache. */
void fuzz_read_everything(const char *path);
/* The weights of conv2d `first`, batch_normalization `norm` and depthwise_conv2d `spread`. */
void fuzz_read_weights(const char *path);

#endif
