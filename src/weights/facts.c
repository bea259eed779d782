/* What thaw wrote into an exported model besides the network. */
#include "thaw/memory.h"
#include "thaw/zip.h"
#include "weights/onnx.h"
#include "weights/weights_private.h"

#include <jansson.h>

static thaw_status read_json(const char *text, thaw_model_facts *out) {
  json_t *json = json_loads(text, 0, NULL);
  const char *mode = json_string_value(json_object_get(json, "preprocessing"));
  const json_t *classes = json_object_get(json, "class_names");
  thaw_status status = THAW_OK;
  if (mode && !(out->preprocessing = thaw_copy_text(mode))) status = THAW_ERR_MEMORY;
  for (size_t i = 0; i < json_array_size(classes) && status == THAW_OK; i++) {
    const char *name = json_string_value(json_array_get(classes, i));
    status = thaw_strings_add(&out->classes, name ? name : "");
  }
  json_decref(json);
  return status;
}

static thaw_status read_archive(const char *path, thaw_model_facts *out) {
  enum { MOST = 1 << 24 };
  thaw_zip *zip;
  char *text = NULL;
  size_t size;
  THAW_TRY(thaw_zip_open(path, &zip));
  thaw_status status = THAW_OK;
  if (thaw_zip_has(zip, "thaw.json")) status = thaw_zip_read(zip, "thaw.json", MOST, &text, &size);
  if (status == THAW_OK && text) status = read_json(text, out);
  thaw_free(text);
  thaw_zip_close(zip);
  return status;
}

static thaw_status read_attributes(const char *path, thaw_model_facts *out) {
  thaw_h5 *h5;
  THAW_TRY(thaw_h5_open(path, &h5));
  thaw_status status = THAW_OK;
  if (thaw_h5_has_attribute(h5, "/", "preprocessing"))
    status = thaw_h5_get_text(h5, "/", "preprocessing", &out->preprocessing);
  if (status == THAW_OK && thaw_h5_has_attribute(h5, "/", "class_names"))
    status = thaw_h5_get_strings(h5, "/", "class_names", &out->classes);
  thaw_h5_close(h5);
  return status;
}

static thaw_status read_onnx(const char *path, thaw_model_facts *out) {
  char *text;
  THAW_TRY(thaw_onnx_read_property(path, "thaw", &text));
  thaw_status status = text ? read_json(text, out) : THAW_OK;
  thaw_free(text);
  return status;
}

static thaw_status read_any(const char *path, thaw_model_facts *out) {
  if (thaw_weight_is_onnx(path)) return read_onnx(path, out);
  return thaw_zip_recognize(path) ? read_archive(path, out) : read_attributes(path, out);
}

thaw_status thaw_weights_read_facts(const char *path, thaw_model_facts *out) {
  *out = (thaw_model_facts){0};
  thaw_status status = read_any(path, out);
  if (status != THAW_OK) thaw_model_facts_clear(out);
  return status;
}

void thaw_model_facts_clear(thaw_model_facts *facts) {
  thaw_free(facts->preprocessing);
  thaw_strings_clear(&facts->classes);
  *facts = (thaw_model_facts){0};
}
