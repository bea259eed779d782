/* What every page begins with, and the pictures in it. */
#include "report/report_private.h"
#include "thaw/memory.h"

enum { PICTURE_LIMIT = 16 << 20 };

static const char style[] =
    "*{box-sizing:border-box}"
    "body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;margin:0 auto;padding:1rem;max-width:100rem;"
    "overflow-wrap:break-word}"
    "h1{margin:.2rem 0 .6rem;overflow-wrap:anywhere}h2{margin:2rem 0 .6rem;border-bottom:1px solid #ddd}"
    "nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:0 0 1rem}"
    ".cards{display:flex;flex-wrap:wrap;gap:.8rem}.card{border:1px solid #ddd;border-radius:.5rem;padding:.5rem 1rem}"
    ".card b{display:block;font-size:1.5rem}.card span,.kind span{color:#555;font-size:.9rem}"
    ".pictures,.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,32rem),1fr));gap:1rem;"
    "align-items:start}.grid{grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr))}"
    "img{display:block;max-width:100%;height:auto}.pictures img{width:100%}.pictures .matrix{width:auto}"
    ".kind{border:1px solid #ddd;border-radius:.5rem;padding:.5rem .8rem;min-width:0;overflow-wrap:anywhere}"
    ".kind img{margin-top:.4rem}"
    ".bar{position:relative;margin:.15rem 0;padding:0 .3rem;background:#f4f4f4}.bar span{position:relative;color:#222}"
    ".bar i{position:absolute;left:0;top:0;bottom:0;opacity:.35}.c0{background:#0072b2}.c1{background:#d55e00}"
    ".forest{position:relative;min-width:9rem;height:1.4rem}.forest "
    "i{position:absolute;top:50%;height:2px;background:#0072b2}"
    ".forest b{position:absolute;top:calc(50% - 4px);width:10px;height:10px;margin-left:-5px;border-radius:5px;"
    "background:#0072b2}.forest u{position:absolute;left:50%;top:0;bottom:0;width:1px;background:#777}"
    ".c2{background:#009e73}.bins{display:flex;align-items:flex-end;height:5rem;gap:2px;border-bottom:1px solid #777}"
    ".bins i{flex:1;background:#0072b2;min-height:1px}"
    ".wide{overflow-x:auto}.wide img{max-width:none}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.15rem .7rem;border-bottom:1px solid #eee;text-align:left;vertical-align:top}"
    "h1,th,td,li,b,small,summary{unicode-bidi:isolate}"
    ".facts th{font-weight:normal;color:#666}.facts td{overflow-wrap:anywhere}"
    ".numbers th{overflow-wrap:break-word;max-width:16rem}.numbers td,.numbers small{white-space:nowrap}"
    ".numbers td,.numbers tr:first-child th:not(:first-child){text-align:right}"
    "pre{background:#f6f6f6;padding:.8rem;overflow-x:auto;font-size:.85rem;line-height:1.35}"
    "summary{cursor:pointer;margin:.4rem 0}a{color:#0072b2}"
    "@media(max-width:40rem){body{padding:.7rem}.facts,.facts tbody,.facts tr,.facts th,.facts td{display:block}"
    ".facts th{border:0;padding-bottom:0}.card{flex:1 1 9rem}th,td{padding:.15rem .4rem}}"
    "@media print{pre{white-space:pre-wrap}.wide{overflow:visible}}";

void report_begin_page(thaw_text *out, const char *title) {
  thaw_text_add(out, "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
                     "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>");
  report_add_escaped(out, title);
  thaw_text_add(out, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>", style);
  report_add_escaped(out, title);
  thaw_text_add(out, "</h1>\n");
}

void report_end_page(thaw_text *out) {
  thaw_text_add(out, "</body>\n</html>\n");
}

void report_add_picture(thaw_text *out, const char *name, const char *kind, const thaw_text *png) {
  thaw_text_add(out, "<img class=%s alt=\"", kind);
  report_add_escaped(out, name);
  thaw_text_add(out, "\" src=\"data:image/png;base64,");
  report_add_base64(out, png->data, png->length);
  thaw_text_add(out, "\">\n");
}

thaw_status report_add_file(thaw_text *out, const char *folder, const char *name, const char *title) {
  char *path = thaw_path_join(folder, name);
  thaw_text png = {0};
  thaw_status status = path ? THAW_OK : THAW_ERR_MEMORY;
  if (path && thaw_file_exists(path)) {
    status = thaw_file_read(path, PICTURE_LIMIT, &png.data, &png.length);
    if (status == THAW_OK) report_add_picture(out, title, "plot", &png);
  }
  thaw_text_clear(&png);
  thaw_free(path);
  return status;
}
