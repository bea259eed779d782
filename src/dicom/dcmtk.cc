/* The only file that knows DCMTK: a C interface over its dataset and its codecs (JPEG, JPEG-LS, RLE). */
#include "dcmtk/config/osconfig.h"

#include "dcmtk/dcmdata/dcpixel.h"
#include "dcmtk/dcmdata/dcpixseq.h"
#include "dcmtk/dcmdata/dcpxitem.h"
#include "dcmtk/dcmdata/dcrledrg.h"
#include "dcmtk/dcmdata/dctk.h"
#include "dcmtk/dcmjpeg/djdecode.h"
#include "dcmtk/dcmjpls/djdecode.h"
#include "dcmtk/oflog/oflog.h"

#include <mutex>
#include <new>
#include <string>

extern "C" {
#include "thaw/dicom.h"
#include "thaw/memory.h"
}
#include "dicom/dicom_private.h"

struct thaw_dicom {
  std::string path;
  DcmFileFormat file;
  thaw_dicom_info info;
  bool jpeg2000, decoded, planar;
};

extern "C" bool thaw_dicom_available(void) {
  return true;
}

/* DCMTK keeps its codecs in a global list, and would write its own messages to the terminal. */
static void prepare_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    OFLog::configure(OFLogger::OFF_LOG_LEVEL);
    DJDecoderRegistration::registerCodecs(EDC_photometricInterpretation, EUC_default, EPC_colorByPixel);
    DJLSDecoderRegistration::registerCodecs(EJLSUC_default, EJLSPC_colorByPixel);
    DcmRLEDecoderRegistration::registerCodecs();
  });
}

static bool is_jpeg2000(E_TransferSyntax syntax) {
  return syntax == EXS_JPEG2000LosslessOnly || syntax == EXS_JPEG2000;
}

static thaw_status need_short(thaw_dicom *d, const DcmTagKey &tag, const char *keyword, Uint16 *out) {
  if (d->file.getDataset()->findAndGetUint16(tag, *out).good()) return THAW_OK;
  return thaw_fail(THAW_ERR_DATA, "%s: has no %s", d->path.c_str(), keyword);
}

/* DCMTK sets its argument to 0 where the element is absent. */
static void may_have(DcmItem *set, const DcmTagKey &tag, Uint16 *out) {
  Uint16 value;
  if (set->findAndGetUint16(tag, value).good()) *out = value;
}

static void read_number(DcmItem *item, const DcmTagKey &tag, double *out) {
  Float64 value;
  if (item->findAndGetFloat64(tag, value).good()) *out = value;
}

static thaw_status check_photometric(thaw_dicom *d, int32_t samples) {
  const std::string name = d->info.photometric;
  d->info.inverted = name == "MONOCHROME1";
  const bool grey = name == "MONOCHROME1" || name == "MONOCHROME2";
  const bool colour = name == "RGB" || name.compare(0, 3, "YBR") == 0;
  if (!grey && !colour)
    return thaw_fail(THAW_ERR_DATA, "%s: PhotometricInterpretation '%s' cannot be imported", d->path.c_str(),
                     name.c_str());
  if (samples != (grey ? 1 : 3))
    return thaw_fail(THAW_ERR_DATA, "%s: PhotometricInterpretation '%s' with %d samples per pixel", d->path.c_str(),
                     name.c_str(), static_cast<int>(samples));
  return THAW_OK;
}

static thaw_status read_shape(thaw_dicom *d) {
  DcmDataset *set = d->file.getDataset();
  Uint16 rows, columns, samples = 1, allocated, stored, representation = 0, planar = 0;
  Sint32 frames = 1;
  const char *text = nullptr;
  THAW_TRY(need_short(d, DCM_Rows, "Rows", &rows));
  THAW_TRY(need_short(d, DCM_Columns, "Columns", &columns));
  THAW_TRY(need_short(d, DCM_BitsAllocated, "BitsAllocated", &allocated));
  stored = allocated;
  may_have(set, DCM_BitsStored, &stored);
  may_have(set, DCM_SamplesPerPixel, &samples);
  may_have(set, DCM_PixelRepresentation, &representation);
  may_have(set, DCM_PlanarConfiguration, &planar);
  Sint32 number;
  if (set->findAndGetSint32(DCM_NumberOfFrames, number).good()) frames = number;
  if (set->findAndGetString(DCM_PhotometricInterpretation, text).bad() || !text)
    return thaw_fail(THAW_ERR_DATA, "%s: has no PhotometricInterpretation", d->path.c_str());
  snprintf(d->info.photometric, sizeof d->info.photometric, "%.16s", text);
  if ((allocated != 8 && allocated != 16) || stored < 1 || stored > allocated)
    return thaw_fail(THAW_ERR_DATA, "%s: %d bits allocated, %d stored; 8 to 16 bits can be imported", d->path.c_str(),
                     static_cast<int>(allocated), static_cast<int>(stored));
  if (rows < 1 || columns < 1 || frames < 1 || frames > 100000)
    return thaw_fail(THAW_ERR_DATA, "%s: %d x %d pixels in %d frames", d->path.c_str(), static_cast<int>(rows),
                     static_cast<int>(columns), static_cast<int>(frames));
  d->info.frames = frames, d->info.h = rows, d->info.w = columns, d->info.c = samples;
  d->info.bits = stored, d->info.is_signed = representation == 1;
  d->planar = planar == 1 && samples == 3;
  return check_photometric(d, samples);
}

/* An enhanced multi-frame image keeps these in its functional groups. */
static void read_mapping(thaw_dicom *d) {
  DcmItem *set = d->file.getDataset(), *group = nullptr, *item = nullptr;
  thaw_dicom_info *i = &d->info;
  i->slope = 1;
  read_number(set, DCM_RescaleSlope, &i->slope);
  read_number(set, DCM_RescaleIntercept, &i->intercept);
  if (set->findAndGetSequenceItem(DCM_SharedFunctionalGroupsSequence, group).good() && group &&
      group->findAndGetSequenceItem(DCM_PixelValueTransformationSequence, item).good() && item) {
    read_number(item, DCM_RescaleSlope, &i->slope);
    read_number(item, DCM_RescaleIntercept, &i->intercept);
  }
  read_number(set, DCM_WindowCenter, &i->centre);
  read_number(set, DCM_WindowWidth, &i->width);
  i->has_window = i->width >= 1;
}

static thaw_status open_file(const char *path, thaw_dicom *d) {
  d->path = path;
  OFCondition result = d->file.loadFile(path);
  if (result.bad()) return thaw_fail(THAW_ERR_DATA, "%s: no readable DICOM file: %s", path, result.text());
  DcmDataset *set = d->file.getDataset();
  const DcmXfer syntax(set->getOriginalXfer());
  snprintf(d->info.syntax, sizeof d->info.syntax, "%.64s", syntax.getXferID() ? syntax.getXferID() : "");
  d->jpeg2000 = is_jpeg2000(set->getOriginalXfer());
  if (!set->tagExists(DCM_PixelData)) return thaw_fail(THAW_ERR_DATA, "%s: has no PixelData", path);
  THAW_TRY(read_shape(d));
  read_mapping(d);
  if (!(d->info.slope != 0)) return thaw_fail(THAW_ERR_DATA, "%s: RescaleSlope is 0", path);
  return THAW_OK;
}

extern "C" thaw_status thaw_dicom_open(const char *path, thaw_dicom **out) {
  *out = nullptr;
  try {
    prepare_once();
    thaw_dicom *d = new thaw_dicom();
    thaw_status status = open_file(path, d);
    if (status == THAW_OK)
      *out = d;
    else
      delete d;
    return status;
  } catch (const std::bad_alloc &) {
    return thaw_fail(THAW_ERR_MEMORY, "%s: out of memory", path);
  } catch (...) {
    return thaw_fail(THAW_ERR_DATA, "%s: no readable DICOM file", path);
  }
}

extern "C" void thaw_dicom_close(thaw_dicom *dicom) {
  delete dicom;
}

extern "C" const thaw_dicom_info *thaw_dicom_about(const thaw_dicom *dicom) {
  return &dicom->info;
}

extern "C" thaw_status thaw_dicom_text(thaw_dicom *dicom, const char *keyword, char **out) {
  DcmTag tag;
  OFString text;
  *out = nullptr;
  if (DcmTag::findTagFromName(keyword, tag).bad())
    return thaw_fail(THAW_ERR_USAGE, "'%s' is no DICOM keyword (PatientSex, Manufacturer, ...)", keyword);
  dicom->file.getDataset()->findAndGetOFStringArray(tag, text);
  *out = thaw_copy_text(text.c_str());
  return *out ? THAW_OK : THAW_ERR_MEMORY;
}

/* ------------------------------------------------------------------ pixels */

static size_t frame_values(const thaw_dicom_info *i) {
  return static_cast<size_t>(i->h) * static_cast<size_t>(i->w) * static_cast<size_t>(i->c);
}

/* The code stream of one frame: all fragments where there is one frame, else one fragment per frame. */
static thaw_status code_stream(thaw_dicom *d, int32_t frame, std::string *out) {
  DcmElement *element = nullptr;
  DcmPixelSequence *sequence = nullptr;
  E_TransferSyntax syntax = d->file.getDataset()->getOriginalXfer();
  if (d->file.getDataset()->findAndGetElement(DCM_PixelData, element).bad() ||
      static_cast<DcmPixelData *>(element)->getEncapsulatedRepresentation(syntax, nullptr, sequence).bad() || !sequence)
    return thaw_fail(THAW_ERR_DATA, "%s: PixelData holds no code stream", d->path.c_str());
  const unsigned long fragments = sequence->card() - 1; /* the first is the offset table */
  const unsigned long frames = static_cast<unsigned long>(d->info.frames);
  if (fragments < frames || (frames > 1 && fragments != frames))
    return thaw_fail(THAW_ERR_DATA, "%s: %lu fragments for %lu frames", d->path.c_str(), fragments, frames);
  unsigned long first = frames > 1 ? static_cast<unsigned long>(frame) : 0, last = frames > 1 ? first : fragments - 1;
  for (unsigned long k = first; k <= last; k++) {
    DcmPixelItem *item = nullptr;
    Uint8 *data = nullptr;
    if (sequence->getItem(item, k + 1).bad() || item->getUint8Array(data).bad() || !data)
      return thaw_fail(THAW_ERR_DATA, "%s: fragment %lu cannot be read", d->path.c_str(), k);
    out->append(reinterpret_cast<const char *>(data), item->getLength());
  }
  return THAW_OK;
}

static thaw_status values_jpeg2000(thaw_dicom *d, int32_t frame, int32_t *out) {
  std::string stream;
  THAW_TRY(code_stream(d, frame, &stream));
  const char *wrong = dicom_jpeg2000(reinterpret_cast<const unsigned char *>(stream.data()), stream.size(), d->info.h,
                                     d->info.w, d->info.c, out);
  if (wrong) return thaw_fail(THAW_ERR_DATA, "%s: JPEG 2000: %s", d->path.c_str(), wrong);
  /* The code stream may disagree with PixelRepresentation; the stored bits decide. */
  const int32_t bits = d->info.bits, high = 1 << (bits - 1);
  for (size_t i = 0; i < frame_values(&d->info); i++) {
    out[i] &= (1 << bits) - 1;
    if (d->info.is_signed && out[i] >= high) out[i] -= 1 << bits;
  }
  return THAW_OK;
}

static thaw_status decode(thaw_dicom *d) {
  if (d->decoded) return THAW_OK;
  DcmDataset *set = d->file.getDataset();
  OFCondition result = set->chooseRepresentation(EXS_LittleEndianExplicit, nullptr);
  if (result.bad())
    return thaw_fail(THAW_ERR_DATA, "%s: transfer syntax %s (%s) cannot be decoded: %s", d->path.c_str(),
                     d->info.syntax, DcmXfer(set->getOriginalXfer()).getXferName(), result.text());
  const char *text = nullptr; /* decoders may turn YBR into RGB and interleave */
  Uint16 planar = 0;
  if (set->findAndGetString(DCM_PhotometricInterpretation, text).good() && text)
    snprintf(d->info.photometric, sizeof d->info.photometric, "%.16s", text);
  may_have(set, DCM_PlanarConfiguration, &planar);
  d->planar = planar == 1 && d->info.c == 3;
  d->decoded = true;
  return THAW_OK;
}

/* ITU-R 601 full range (PS3.3 C.7.6.3.1.2). */
static void to_rgb(int32_t *pixel) {
  const double y = pixel[0], cb = pixel[1] - 128.0, cr = pixel[2] - 128.0;
  const double rgb[3] = {y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb};
  for (int k = 0; k < 3; k++) pixel[k] = rgb[k] < 0 ? 0 : rgb[k] > 255 ? 255 : static_cast<int32_t>(rgb[k] + 0.5);
}

/* Two luma samples share one pair of chroma: Y Y Cb Cr. */
static void unpack_422(const Uint8 *in, size_t pixels, int32_t *out) {
  for (size_t i = 0; i + 1 < pixels; i += 2, in += 4)
    for (size_t k = 0; k < 2; k++) {
      int32_t *pixel = out + 3 * (i + k);
      pixel[0] = in[k], pixel[1] = in[2], pixel[2] = in[3];
    }
}

template <typename T> static void unpack(const thaw_dicom *d, const T *in, int32_t *out) {
  const size_t pixels = static_cast<size_t>(d->info.h) * static_cast<size_t>(d->info.w),
               c = static_cast<size_t>(d->info.c);
  const int32_t bits = d->info.bits, mask = (1 << bits) - 1, high = 1 << (bits - 1);
  for (size_t i = 0; i < pixels; i++)
    for (size_t k = 0; k < c; k++) {
      int32_t value = static_cast<int32_t>(d->planar ? in[k * pixels + i] : in[i * c + k]) & mask;
      out[i * c + k] = d->info.is_signed && value >= high ? value - (mask + 1) : value;
    }
}

static thaw_status values_plain(thaw_dicom *d, int32_t frame, int32_t *out) {
  THAW_TRY(decode(d));
  DcmDataset *set = d->file.getDataset();
  const bool half = strcmp(d->info.photometric, "YBR_FULL_422") == 0;
  const size_t pixels = static_cast<size_t>(d->info.h) * static_cast<size_t>(d->info.w);
  const size_t values = half ? 2 * pixels : frame_values(&d->info), at = static_cast<size_t>(frame) * values;
  unsigned long count = 0;
  const Uint8 *bytes = nullptr;
  const Uint16 *words = nullptr;
  Uint16 allocated = 8;
  may_have(set, DCM_BitsAllocated, &allocated);
  DcmElement *element = nullptr;
  if (set->findAndGetElement(DCM_PixelData, element).good() && element) {
    /* OW and OB differ in what findAndGet offers; the bytes are the same after decoding to little endian. */
    Uint8 *raw8 = nullptr;
    Uint16 *raw16 = nullptr;
    if (element->getUint16Array(raw16).good() && raw16) words = raw16, bytes = reinterpret_cast<const Uint8 *>(raw16);
    if (!words && element->getUint8Array(raw8).good() && raw8)
      bytes = raw8, words = reinterpret_cast<const Uint16 *>(raw8);
    count = element->getLength() / (allocated / 8);
  }
  if (!bytes || count < at + values)
    return thaw_fail(THAW_ERR_DATA, "%s: PixelData ends early: %lu values, expected %zu", d->path.c_str(), count,
                     values * static_cast<size_t>(d->info.frames));
  if (half && allocated == 8 && pixels % 2 == 0)
    unpack_422(bytes + at, pixels, out);
  else if (allocated == 8)
    unpack(d, bytes + at, out);
  else
    unpack(d, words + at, out);
  if (strncmp(d->info.photometric, "YBR_FULL", 8) == 0 && allocated == 8)
    for (size_t i = 0; i < pixels; i++) to_rgb(out + 3 * i);
  return THAW_OK;
}

extern "C" thaw_status thaw_dicom_values(thaw_dicom *dicom, int32_t frame, int32_t *out) {
  try {
    return dicom->jpeg2000 ? values_jpeg2000(dicom, frame, out) : values_plain(dicom, frame, out);
  } catch (const std::bad_alloc &) {
    return thaw_fail(THAW_ERR_MEMORY, "%s: out of memory", dicom->path.c_str());
  } catch (...) {
    return thaw_fail(THAW_ERR_DATA, "%s: PixelData cannot be decoded", dicom->path.c_str());
  }
}
