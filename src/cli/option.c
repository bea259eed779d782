/* The option parser: one table per verb serves parsing, defaults and the help text. */
#include "cli/cli.h"
#include "thaw/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 30, HELP_WIDTH = 100, MAX_OPTIONS = 64 };

bool cli_is_root(const cli_context *cli) {
  return thaw_comm_rank(cli->comm) == 0;
}

void cli_print(const cli_context *cli, const char *format, ...) {
  if (!cli_is_root(cli)) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stdout, format, arguments);
  va_end(arguments);
}

void cli_print_text(const cli_context *cli, const thaw_text *text) {
  if (cli_is_root(cli) && text->data) fwrite(text->data, 1, text->length, stdout);
}

/* ------------------------------------------------------------------ help */

static const char *value_name(const cli_option *option) {
  if (option->value) return option->value;
  switch (option->kind) {
  case CLI_INT:
  case CLI_INT64:
    return "N";
  case CLI_FLOAT:
    return "X";
  case CLI_CHOICE:
    return "WORD";
  default:
    return "TEXT";
  }
}

static void add_default(const cli_option *option, thaw_text *out) {
  if (option->fallback) {
    thaw_text_add(out, " (default: %s)", option->fallback);
    return;
  }
  switch (option->kind) {
  case CLI_FLAG:
    break;
  case CLI_INT:
    thaw_text_add(out, " (default: %d)", *(const int32_t *)option->target);
    break;
  case CLI_INT64:
    thaw_text_add(out, " (default: %lld)", (long long)*(const int64_t *)option->target);
    break;
  case CLI_FLOAT:
    thaw_text_add(out, " (default: %g)", *(const double *)option->target);
    break;
  case CLI_TEXT: {
    const char *text = *(const char *const *)option->target;
    if (text) thaw_text_add(out, " (default: %s)", text);
    break;
  }
  case CLI_CHOICE:
    thaw_text_add(out, " (default: %s)", option->choices[*(const int32_t *)option->target]);
    break;
  }
}

static void add_choices(const cli_option *option, thaw_text *out) {
  for (int32_t i = 0; option->choices[i]; i++) thaw_text_add(out, "%s%s", i ? ", " : ": ", option->choices[i]);
}

/* Appends `text` wrapped to HELP_WIDTH with an indent of `column`; the cursor stands at `at`. */
static void add_wrapped(const char *text, int at, int column, thaw_text *out) {
  while (*text) {
    int word = (int)strcspn(text, " ");
    if (at > column && at + 1 + word > HELP_WIDTH) {
      thaw_text_add(out, "\n%*s", column, "");
      at = column;
    } else if (at > column) {
      thaw_text_add(out, " ");
      at++;
    }
    thaw_text_add_bytes(out, text, (size_t)word);
    at += word;
    text += word;
    text += strspn(text, " ");
  }
  thaw_text_add(out, "\n");
}

static void add_row(const char *left, const char *right, thaw_text *out) {
  int length = (int)strlen(left);
  thaw_text_add(out, "%s", left);
  if (length > HELP_COLUMN - 2) {
    thaw_text_add(out, "\n");
    length = 0;
  }
  thaw_text_add(out, "%*s", HELP_COLUMN - length, "");
  add_wrapped(right, HELP_COLUMN, HELP_COLUMN, out);
}

static void add_option(const cli_option *option, thaw_text *out) {
  thaw_text left = {0}, right = {0};
  bool on = option->kind == CLI_FLAG && *(const bool *)option->target;
  if (option->letter)
    thaw_text_add(&left, "  -%c, ", option->letter);
  else
    thaw_text_add(&left, "      ");
  thaw_text_add(&left, "--%s%s", on ? "no-" : "", option->name);
  if (option->kind != CLI_FLAG) thaw_text_add(&left, " %s", value_name(option));
  thaw_text_add(&right, "%s", option->help);
  if (option->choices) add_choices(option, &right);
  add_default(option, &right);
  if (left.data && right.data) add_row(left.data, right.data, out);
  thaw_text_clear(&left);
  thaw_text_clear(&right);
}

static void add_help(const char *verb, const cli_usage *usage, thaw_text *out) {
  thaw_text_add(out, "usage: thaw %s [options]%s%s\n\n%s\n\noptions:\n", verb, usage->positional ? " " : "",
                usage->positional ? usage->positional : "", usage->summary);
  for (int32_t i = 0; i < usage->count; i++) add_option(&usage->options[i], out);
  add_row("  -v, --verbose", "say more; twice: for debugging", out);
  add_row("  -q, --quiet", "say only warnings, errors and results", out);
  add_row("  -h, --help", "show this text", out);
  if (usage->details) thaw_text_add(out, "\n%s", usage->details);
}

/* ------------------------------------------------------------------ parsing */

typedef struct parser {
  cli_context *cli;
  const cli_usage *usage;
  int at; /* index of the next word */
  int verbose;
  bool quiet;
} parser;

static const cli_option *find(const cli_usage *usage, const char *name, size_t length) {
  for (int32_t i = 0; i < usage->count; i++)
    if (strlen(usage->options[i].name) == length && !strncmp(usage->options[i].name, name, length))
      return &usage->options[i];
  return NULL;
}

static const cli_option *find_letter(const cli_usage *usage, char letter) {
  for (int32_t i = 0; i < usage->count; i++)
    if (usage->options[i].letter == letter) return &usage->options[i];
  return NULL;
}

static thaw_status unknown_option(const parser *p, const char *word, const char *name) {
  const char *known[MAX_OPTIONS + 3] = {"help", "verbose", "quiet"};
  size_t count = 3;
  for (int32_t i = 0; i < p->usage->count && i < MAX_OPTIONS; i++) known[count++] = p->usage->options[i].name;
  const char *near = name ? thaw_nearest(name, known, count) : NULL;
  return thaw_fail(THAW_ERR_USAGE, "unknown option '%s'%s%s%s; 'thaw %s --help' lists the options", word,
                   near ? " (did you mean '--" : "", near ? near : "", near ? "'?)" : "", p->cli->verb);
}

static thaw_status check_range(const cli_option *option, const char *text, double value) {
  if (option->low == 0 && option->high == 0) return THAW_OK;
  if (value >= option->low && value <= option->high) return THAW_OK;
  return thaw_fail(THAW_ERR_USAGE, "option --%s: %s is out of range %.15g .. %.15g", option->name, text, option->low,
                   option->high);
}

static thaw_status set_number(const cli_option *option, const char *text) {
  int64_t whole = 0;
  double real = 0;
  bool is_float = option->kind == CLI_FLOAT;
  if ((is_float ? thaw_parse_double(text, &real) : thaw_parse_int(text, &whole)) != THAW_OK)
    return thaw_fail(THAW_ERR_USAGE, "option --%s: '%s' is not a %s", option->name, text,
                     is_float ? "number" : "whole number");
  THAW_TRY(check_range(option, text, is_float ? real : (double)whole));
  if (is_float)
    *(double *)option->target = real;
  else if (option->kind == CLI_INT64)
    *(int64_t *)option->target = whole;
  else if (whole > INT32_MAX || whole < INT32_MIN)
    return thaw_fail(THAW_ERR_USAGE, "option --%s: %s is too large", option->name, text);
  else
    *(int32_t *)option->target = (int32_t)whole;
  return THAW_OK;
}

static thaw_status set_choice(const cli_option *option, const char *text) {
  size_t count = 0;
  for (; option->choices[count]; count++) {
    if (strcmp(option->choices[count], text)) continue;
    *(int32_t *)option->target = (int32_t)count;
    return THAW_OK;
  }
  thaw_text list = {0};
  add_choices(option, &list);
  thaw_status status =
      thaw_fail(THAW_ERR_USAGE, "option --%s: '%s' is not one of%s", option->name, text, list.data ? list.data : "");
  thaw_text_clear(&list);
  return status;
}

static thaw_status set_value(const cli_option *option, const char *text) {
  switch (option->kind) {
  case CLI_TEXT:
    *(const char **)option->target = text;
    return THAW_OK;
  case CLI_CHOICE:
    return set_choice(option, text);
  default:
    return set_number(option, text);
  }
}

/* The value of `option`: after '=', or the next word. */
static thaw_status take_value(parser *p, const cli_option *option, const char *inlined) {
  if (inlined) return set_value(option, inlined);
  const char *next = p->at < p->cli->argc ? p->cli->argv[p->at] : NULL;
  if (!next || !strncmp(next, "--", 2))
    return thaw_fail(THAW_ERR_USAGE, "option --%s needs a value (%s)", option->name, value_name(option));
  p->at++;
  return set_value(option, next);
}

/* The options every verb has; false: `name` is none of them. */
static bool common_option(parser *p, const char *name, size_t length) {
  static const char *const names[] = {"help", "verbose", "quiet"};
  size_t i = 0;
  while (i < 3 && (strlen(names[i]) != length || strncmp(names[i], name, length))) i++;
  if (i == 0) p->cli->done = true;
  if (i == 1) p->verbose++;
  if (i == 2) p->quiet = true;
  return i < 3;
}

static thaw_status long_option(parser *p, const char *word) {
  const char *name = word + 2, *inlined = strchr(name, '=');
  size_t length = inlined ? (size_t)(inlined - name) : strlen(name);
  if (inlined) inlined++;
  if (!inlined && common_option(p, name, length)) return THAW_OK;
  const cli_option *option = find(p->usage, name, length);
  bool on = true;
  if (!option && length > 3 && !strncmp(name, "no-", 3)) {
    option = find(p->usage, name + 3, length - 3);
    if (option && option->kind != CLI_FLAG) option = NULL;
    on = false;
  }
  if (!option) {
    char bare[128];
    snprintf(bare, sizeof bare, "%.*s", (int)(length < sizeof bare ? length : sizeof bare - 1), name);
    return unknown_option(p, word, bare);
  }
  if (option->kind != CLI_FLAG) return take_value(p, option, inlined);
  if (inlined) return thaw_fail(THAW_ERR_USAGE, "option --%s takes no value", option->name);
  *(bool *)option->target = on;
  return THAW_OK;
}

/* "-v", "-qv", "-o FILE", "-oFILE". */
static thaw_status short_options(parser *p, const char *word) {
  for (const char *at = word + 1; *at; at++) {
    const cli_option *option = find_letter(p->usage, *at);
    if (*at == 'h')
      p->cli->done = true;
    else if (*at == 'v')
      p->verbose++;
    else if (*at == 'q')
      p->quiet = true;
    else if (!option)
      return unknown_option(p, word, NULL);
    else if (option->kind == CLI_FLAG)
      *(bool *)option->target = true;
    else
      return take_value(p, option, at[1] ? at + 1 : NULL);
  }
  return THAW_OK;
}

static thaw_status read_words(parser *p) {
  cli_context *cli = p->cli;
  bool options = true;
  while (p->at < cli->argc) {
    const char *word = cli->argv[p->at++];
    if (options && !strcmp(word, "--"))
      options = false;
    else if (options && !strncmp(word, "--", 2))
      THAW_TRY(long_option(p, word));
    else if (options && word[0] == '-' && word[1])
      THAW_TRY(short_options(p, word));
    else
      cli->argument[cli->arguments++] = word;
    if (cli->done) return THAW_OK;
  }
  return THAW_OK;
}

static thaw_status check_count(const cli_context *cli, const cli_usage *usage) {
  if (cli->arguments < usage->min)
    return thaw_fail(THAW_ERR_USAGE, "'thaw %s' needs %s; see 'thaw %s --help'", cli->verb, usage->positional,
                     cli->verb);
  if (usage->max >= 0 && cli->arguments > usage->max)
    return thaw_fail(THAW_ERR_USAGE, "unexpected argument '%s'; see 'thaw %s --help'", cli->argument[usage->max],
                     cli->verb);
  return THAW_OK;
}

thaw_status cli_parse(cli_context *cli, const cli_usage *usage) {
  parser p = {.cli = cli, .usage = usage};
  thaw_text help = {0}; /* made first: parsing overwrites the defaults */
  add_help(cli->verb, usage, &help);
  cli->argument = thaw_new((size_t)cli->argc + 1, sizeof *cli->argument);
  thaw_status status = cli->argument ? read_words(&p) : THAW_ERR_MEMORY;
  if (status == THAW_OK && cli->done)
    cli_print_text(cli, &help);
  else if (status == THAW_OK)
    status = check_count(cli, usage);
  thaw_text_clear(&help);
  if (status != THAW_OK || cli->done || !cli_is_root(cli)) return status;
  thaw_level level = p.quiet ? THAW_QUIET : p.verbose > 1 ? THAW_DEBUG : p.verbose ? THAW_VERBOSE : THAW_NORMAL;
  return thaw_log_create(usage->quiet_output ? stderr : stdout, level, &cli->log);
}
