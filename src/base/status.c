#include "thaw/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 2048 };

/* The failure record of a thread. Thread-local rather than passed around, as libgit2 does: a status stays one word. */
static _Thread_local char message[MESSAGE_SIZE];

/* One failure is one line: control characters of file or key names cannot break a log. */
static void flatten(char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = ' ';
}

thaw_status thaw_fail(thaw_status code, const char *format, ...) {
  char text[MESSAGE_SIZE]; /* the arguments may include thaw_message() itself */
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  flatten(text);
  memcpy(message, text, sizeof message);
  return code == THAW_OK ? THAW_ERR_INTERNAL : code;
}

thaw_status thaw_fail_in(thaw_status code, const char *format, ...) {
  char text[MESSAGE_SIZE];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length >= 0 && length < MESSAGE_SIZE) snprintf(text + length, sizeof text - (size_t)length, "%s", message);
  flatten(text);
  memcpy(message, text, sizeof message);
  return code;
}

const char *thaw_message(void) {
  return message[0] ? message : "no further information";
}

int thaw_exit_code(thaw_status status) {
  switch (status) {
  case THAW_OK:
    return 0;
  case THAW_ERR_RUN:
  case THAW_ERR_MEMORY:
  case THAW_ERR_DISK:
    return 1;
  case THAW_ERR_USAGE:
    return 2;
  case THAW_ERR_DATA:
    return 3;
  case THAW_STOPPED:
    return 75;
  case THAW_ERR_INTERNAL:
    break;
  }
  return 4;
}
