/* readers.h: every reader of HDF5 files, one after the other, on one file. */
#ifndef THAW_FUZZ_READERS_H
#define THAW_FUZZ_READERS_H

/* Weights (all generations), a whole model, a data set, a checkpoint, a block of the feature cache. */
void fuzz_read_everything(const char *path);

#endif
