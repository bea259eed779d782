/* safetensors files. The mutator keeps the header's length and the amount of data true most of the time, as nothing
 * behind these two checks would be reached otherwise. */
#include "fuzz.h"
#include "readers.h"
#include "weights/weights_private.h"

enum { PREFIX = 8, MOST_DATA = 1 << 14, MOST_VALUES = 1 << 16 };

static void read_values(const thaw_weight_file *file) {
  static float values[MOST_VALUES];
  for (size_t i = 0; i < file->count; i++)
    for (size_t j = 0; j < file->layer[i].count; j++)
      if (file->layer[i].weight[j].info.count <= MOST_VALUES)
        fuzz_expect(thaw_weight_read(file, &file->layer[i].weight[j], values));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *path = fuzz_file(data, size, ".safetensors");
  thaw_weight_file file = {.path = path};
  thaw_status status = thaw_weight_open_safetensors(&file);
  fuzz_expect(status);
  if (status == THAW_OK) read_values(&file);
  thaw_weight_file_close(&file);
  fuzz_read_weights(path);
  return 0;
}

/* ------------------------------------------------------------------ mutation */

/* The largest number before a "]" that ends a pair of offsets: where the data should end. */
static size_t announced(const char *header) {
  static const char key[] = "\"data_offsets\":";
  size_t most = 0;
  for (const char *at = strstr(header, key); at; at = strstr(at + 1, key)) {
    const char *comma = at + strcspn(at, ",]"), *number = *comma == ']' ? comma : comma + strcspn(comma, "0123456789");
    unsigned long long end = strtoull(number, NULL, 10);
    if (end > most && end <= MOST_DATA) most = (size_t)end;
  }
  return most;
}

static size_t change_header(uint8_t *data, size_t length, size_t most) {
  char *text = malloc(most + 1);
  if (!text) return 0;
  memcpy(text, data + PREFIX, length);
  length = LLVMFuzzerMutate((uint8_t *)text, length, most - PREFIX);
  text[length] = '\0';
  size_t values = announced(text), total = PREFIX + length + values;
  if (total <= most) {
    for (int i = 0; i < PREFIX; i++) data[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(data + PREFIX, text, length);
    memset(data + PREFIX + length, 0x3c, values);
  }
  free(text);
  return total <= most ? total : 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned int seed) {
  uint64_t length = 0;
  size_t changed = 0;
  for (int i = PREFIX - 1; i >= 0 && size > PREFIX; i--) length = length << 8 | data[i];
  if (seed % 8 && size > PREFIX && length > 0 && length <= size - PREFIX)
    changed = change_header(data, (size_t)length, most);
  return changed ? changed : LLVMFuzzerMutate(data, size, most);
}
