/* JPEG 2000 code streams by OpenJPEG: Debian's DCMTK has no codec for them. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dicom/dicom_private.h"

#include <openjpeg.h>

typedef struct stream {
  const unsigned char *data;
  size_t size, at;
} stream;

static OPJ_SIZE_T read_stream(void *buffer, OPJ_SIZE_T wanted, void *context) {
  stream *s = context;
  size_t left = s->size - s->at, count = wanted < left ? wanted : left;
  if (!count) return (OPJ_SIZE_T)-1;
  memcpy(buffer, s->data + s->at, count);
  s->at += count;
  return count;
}

static OPJ_OFF_T skip_stream(OPJ_OFF_T count, void *context) {
  stream *s = context;
  if (count < 0 || (size_t)count > s->size - s->at) return -1;
  s->at += (size_t)count;
  return count;
}

static OPJ_BOOL seek_stream(OPJ_OFF_T to, void *context) {
  stream *s = context;
  if (to < 0 || (size_t)to > s->size) return OPJ_FALSE;
  s->at = (size_t)to;
  return OPJ_TRUE;
}

static void be_quiet(const char *message, void *context) {
  (void)message, (void)context;
}

static const char *take(const opj_image_t *image, int32_t h, int32_t w, int32_t c, int32_t *out) {
  if (image->numcomps != (OPJ_UINT32)c) return "another number of components than SamplesPerPixel";
  for (int32_t k = 0; k < c; k++) {
    const opj_image_comp_t *component = &image->comps[k];
    if (component->w != (OPJ_UINT32)w || component->h != (OPJ_UINT32)h || !component->data)
      return "another size than Rows and Columns";
    for (size_t i = 0; i < (size_t)h * (size_t)w; i++) out[i * (size_t)c + (size_t)k] = component->data[i];
  }
  return NULL;
}

static const char *decode(opj_codec_t *codec, opj_stream_t *source, int32_t h, int32_t w, int32_t c, int32_t *out) {
  opj_dparameters_t parameters;
  opj_image_t *image = NULL;
  opj_set_default_decoder_parameters(&parameters);
  opj_set_error_handler(codec, be_quiet, NULL);
  opj_set_warning_handler(codec, be_quiet, NULL);
  opj_set_info_handler(codec, be_quiet, NULL);
  const char *wrong = "the code stream is broken";
  if (opj_setup_decoder(codec, &parameters) && opj_read_header(source, codec, &image)) {
    if (image->x1 - image->x0 != (OPJ_UINT32)w || image->y1 - image->y0 != (OPJ_UINT32)h)
      wrong = "another size than Rows and Columns";
    else if (opj_decode(codec, source, image))
      wrong = take(image, h, w, c, out);
  }
  if (image) opj_image_destroy(image);
  return wrong;
}

const char *dicom_jpeg2000(const unsigned char *data, size_t size, int32_t h, int32_t w, int32_t c, int32_t *out) {
  stream s = {data, size, 0};
  opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
  opj_stream_t *source = opj_stream_default_create(OPJ_TRUE);
  const char *wrong = "out of memory";
  if (codec && source) {
    opj_stream_set_user_data(source, &s, NULL);
    opj_stream_set_user_data_length(source, size);
    opj_stream_set_read_function(source, read_stream);
    opj_stream_set_skip_function(source, skip_stream);
    opj_stream_set_seek_function(source, seek_stream);
    wrong = decode(codec, source, h, w, c, out);
  }
  if (source) opj_stream_destroy(source);
  if (codec) opj_destroy_codec(codec);
  return wrong;
}
