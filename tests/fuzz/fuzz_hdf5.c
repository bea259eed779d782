/* Raw bytes as an HDF5 file. libhdf5 itself is not built for fuzzing and may crash; run.sh tells its crashes from ours
 * and sees that the command turns each into an error. */
#include "fuzz.h"
#include "readers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_read_everything(fuzz_file(data, size, ".h5"));
  return 0;
}
