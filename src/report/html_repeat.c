/* How to repeat a run: command, files with their digests, environment, what happened when. */
#include "report/report_private.h"
#include "thaw/memory.h"

#include <string.h>

static void add_fact(thaw_text *out, const char *name, const char *value) {
  if (!value || !*value) return;
  thaw_text_add(out, "<tr><th>%s</th><td>", name);
  report_add_escaped(out, value);
  thaw_text_add(out, "</td></tr>\n");
}

static void add_file(thaw_text *out, const char *name, const char *path, const char *digest) {
  if (!path && !digest) return;
  thaw_text_add(out, "<tr><th>%s</th><td>", name);
  report_add_escaped(out, path ? path : "");
  if (digest) {
    thaw_text_add(out, "%s<small>sha256 ", path ? "<br>" : "");
    report_add_escaped(out, digest);
    thaw_text_add(out, "</small>");
  }
  thaw_text_add(out, "</td></tr>\n");
}

/* What the run ended with: a repetition has ended the same. */
static const char *result_of(const report_log *log) {
  const char *digest = NULL;
  for (int32_t i = 0; i < log->count; i++)
    if (!strcmp(log->event[i].kind, "end")) digest = report_text_of(log->event[i].map, "parameters_sha256");
  return digest;
}

void report_add_repeat(thaw_text *out, const thaw_yaml *environment, const report_log *log) {
  const char *command = report_text_of(environment, "command");
  thaw_text_add(out,
                "<h2 id=repeat>How to repeat this run</h2>\n<p>With the job below as <code>job.yaml</code>, files of "
                "these digests, and the same build of thaw, on any number of ranks:</p>\n<pre>thaw train job.yaml"
                "</pre>\n<table class=facts>\n");
  add_fact(out, "command that was given", command);
  add_fact(out, "in the folder", report_text_of(environment, "working_folder"));
  add_fact(out, "thaw", report_text_of(environment, "version"));
  add_fact(out, "compiler", report_text_of(environment, "compiler"));
  add_fact(out, "instruction set", report_text_of(environment, "instruction_set"));
  add_fact(out, "hosts x ranks", report_text_of(environment, "hosts"));
  add_file(out, "weights", report_text_of(environment, "weights"), report_text_of(environment, "weights_sha256"));
  add_file(out, "training data", report_text_of(environment, "train"), report_text_of(environment, "train_sha256"));
  add_file(out, "validation data", report_text_of(environment, "validation"),
           report_text_of(environment, "validation_sha256"));
  add_file(out, "trained parameters", NULL, result_of(log));
  thaw_text_add(out, "</table>\n");
}

/* Starts, stops and ends; epochs and checkpoints are told elsewhere. */
void report_add_history(thaw_text *out, const report_log *log) {
  static const char *const shown[] = {"start", "resume", "stop", "fail", "end"};
  thaw_text_add(out, "<details><summary>what happened when</summary>\n<div class=wide><table class=facts>\n");
  for (int32_t i = 0; i < log->count; i++) {
    const report_event *event = &log->event[i];
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) {
      if (strcmp(event->kind, shown[k])) continue;
      const char *ranks = report_text_of(event->map, "ranks"), *steps = report_text_of(event->map, "steps");
      const char *message = report_text_of(event->map, "message");
      thaw_text_add(out, "<tr><th>");
      report_add_escaped(out, event->time);
      thaw_text_add(out, "</th><td>%s", shown[k]);
      if (steps) thaw_text_add(out, " at step "), report_add_escaped(out, steps);
      if (ranks) thaw_text_add(out, ", ranks "), report_add_escaped(out, ranks);
      if (message) thaw_text_add(out, ": "), report_add_escaped(out, message);
      thaw_text_add(out, "</td></tr>\n");
    }
  }
  thaw_text_add(out, "</table></div></details>\n");
}
