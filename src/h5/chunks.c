/* Chunks that are missing from a dataset's index. HDF5 reads them as fill values, without an error; but the index of
 * chunks is the one part of a file that no checksum covers, so a damaged index would turn images and labels to zeros.
 */
#include "h5/h5_private.h"

/* Each look into the index walks through it, so foreign datasets of very many chunks are believed. */
enum { MOST_CHUNKS = 4096 };

#if H5_VERSION_GE(1, 10, 5)

typedef struct chunk_grid {
  int rank;
  hsize_t size[THAW_H5_MAX_RANK], first[THAW_H5_MAX_RANK], end[THAW_H5_MAX_RANK]; /* chunk, selection */
  bool checksum;
} chunk_grid;

/* False where there is nothing to check. */
static bool describe_grid(hid_t dataset, const thaw_h5_info *info, int64_t first, int64_t rows, chunk_grid *grid) {
  hid_t list = H5Dget_create_plist(dataset);
  if (list < 0) return false;
  bool chunked = H5Pget_layout(list) == H5D_CHUNKED && H5Pget_chunk(list, THAW_H5_MAX_RANK, grid->size) == info->rank;
  grid->rank = info->rank;
  grid->checksum = chunked && H5Pget_filter_by_id2(list, H5Z_FILTER_FLETCHER32, NULL, NULL, NULL, 0, NULL, NULL) >= 0;
  H5Eclear2(H5E_DEFAULT);
  H5Pclose(list);
  int64_t chunks = 1;
  for (int i = 0; chunked && i < info->rank && chunks <= MOST_CHUNKS; i++) {
    hsize_t dim = (hsize_t)info->dim[i];
    grid->first[i] = i == 0 ? (hsize_t)first / grid->size[0] * grid->size[0] : 0;
    grid->end[i] = i == 0 ? (hsize_t)(first + rows) : dim;
    chunks *= (int64_t)((dim + grid->size[i] - 1) / grid->size[i]);
  }
  return chunked && chunks <= MOST_CHUNKS;
}

/* The next chunk in row-major order; false after the last. */
static bool advance(const chunk_grid *grid, hsize_t *at) {
  for (int i = grid->rank - 1; i >= 0; i--) {
    at[i] += grid->size[i];
    if (at[i] < grid->end[i]) return true;
    at[i] = grid->first[i];
  }
  return false;
}

thaw_status thaw_h5_check_chunks(const thaw_h5 *file, const char *name, hid_t dataset, const thaw_h5_info *info,
                                 int64_t first, int64_t rows) {
  chunk_grid grid = {0};
  if (file->temporary || info->count == 0 || rows == 0 || !describe_grid(dataset, info, first, rows, &grid))
    return THAW_OK;
  hsize_t at[THAW_H5_MAX_RANK];
  for (int i = 0; i < grid.rank; i++) at[i] = grid.first[i];
  do {
    unsigned skipped = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t bytes = 0;
    herr_t found = H5Dget_chunk_info_by_coord(dataset, at, &skipped, &address, &bytes);
    H5Eclear2(H5E_DEFAULT);
    if (found < 0 || address == HADDR_UNDEF || (grid.checksum && skipped))
      return thaw_fail(THAW_ERR_DATA, "%s: %s: the chunk at row %llu is %s: the file is damaged or was never finished",
                       file->path, name, (unsigned long long)at[0],
                       address == HADDR_UNDEF ? "missing" : "without its checksum");
  } while (advance(&grid, at));
  return THAW_OK;
}

#else

thaw_status thaw_h5_check_chunks(const thaw_h5 *file, const char *name, hid_t dataset, const thaw_h5_info *info,
                                 int64_t first, int64_t rows) {
  (void)file, (void)name, (void)dataset, (void)info, (void)first, (void)rows;
  return THAW_OK; /* this HDF5 cannot tell */
}

#endif
