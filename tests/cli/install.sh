#!/usr/bin/env bash
# cmake --install into a fresh folder; a program of a user is compiled against what lies there, with pkg-config alone.
. "$(dirname "$0")/support.sh"
build=$3

cmake --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
mv "$work/prefix" "$work/moved" # the pkg-config file must not care
export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$work/moved" -name thaw.pc)")
[ "$(pkg-config --modversion thaw)" = "$("$thaw" --version | cut -d' ' -f2)" ] || complain "version of thaw.pc"

cat >"$work/program.c" <<'PROGRAM'
#include <thaw/job.h>
#include <thaw/report.h>
#include <thaw/train.h>
#include <stdio.h>
#include <string.h>
int main(void) {
  static const char text[] = "a: 1\nb: [2, 3]\n";
  thaw_yaml *tree;
  thaw_arena *arena = thaw_arena_create();
  if (thaw_yaml_parse("text", text, strlen(text), arena, &tree) != THAW_OK) return puts(thaw_message()), 1;
  printf("%d %s\n", (int)tree->count, thaw_yaml_get(tree, "b")->child->next->value);
  thaw_plot plot = {.title = "nothing"};
  if (thaw_plot_lines("plot.png", &plot) != THAW_OK) return puts(thaw_message()), 1;
  thaw_arena_destroy(arena);
  return 0;
}
PROGRAM
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -Wall -Wextra -Werror "$work/program.c" -o "$work/program" $(pkg-config --cflags --libs thaw) ||
  complain "a program does not compile against the installed library"
[ "$(cd "$work" && ./program)" = "2 3" ] || complain "the program gives another answer"
[ -s "$work/plot.png" ] || complain "the program drew no plot"

# Each public header compiles by itself.
for header in "$work"/moved/include/thaw/*.h; do
  printf '#include <thaw/%s>\n' "$(basename "$header")" >"$work/one.c"
  # shellcheck disable=SC2046
  ${CC:-cc} -std=c11 -Wall -Wextra -Werror -fsyntax-only "$work/one.c" $(pkg-config --cflags thaw) ||
    complain "thaw/$(basename "$header") does not compile by itself"
done

[ "$("$work/moved/bin/thaw" --version)" = "$("$thaw" --version)" ] || complain "the installed command does not run"
page=$(find "$work/moved" -name thaw.1)
[ -s "$page" ] || complain "no manual page"
for verb in $(verbs); do
  grep -q "^.SH \"THAW ${verb^^}\"" "$page" || complain "the manual page lacks $verb"
done
grep -q '^training' "$page" || complain "the manual page lacks the job file"
if command -v man >/dev/null; then
  man --warnings -l "$page" 2>"$work/err" >/dev/null || complain "man: $(cat "$work/err")"
  [ ! -s "$work/err" ] || complain "man: $(head -3 "$work/err")"
fi
finish
