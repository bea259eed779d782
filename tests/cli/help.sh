#!/usr/bin/env bash
# Every verb explains itself: usage, a sentence, every option with a meaning, the common options, no line too long.
. "$(dirname "$0")/support.sh"

for verb in $(verbs); do
  run 1 "$verb" --help
  [ "$code" = 0 ] || complain "$verb --help: exit code $code"
  [ ! -s "$work/err" ] || complain "$verb --help: $(cat "$work/err")"
  head -1 "$work/out" | grep -q "^usage: thaw $verb \[options\]" || complain "$verb --help: no usage line"
  sed -n 3p "$work/out" | grep -q '^[A-Z].*\.$' || complain "$verb --help: no sentence that says what it does"
  grep -q '^  -h, --help  *show this text$' "$work/out" || complain "$verb --help: no --help"
  [ "$(awk 'length($0) > 120' "$work/out")" = "" ] || complain "$verb --help: a line is longer than 120 columns"
  # An option without a meaning would be a line of its own before another option.
  awk '/^  .*--[a-z-]+/ { if (bare) print bare; bare = "" }
       /^ +(-[a-zA-Z], )?--[a-z-]+( [^ ]+)?$/ { bare = $0; next } { bare = "" } END { if (bare) print bare }' \
    "$work/out" >"$work/bare"
  [ ! -s "$work/bare" ] || complain "$verb --help: an option without a meaning: $(cat "$work/bare")"
  cp "$work/out" "$work/long"
  run 1 help "$verb"
  cmp -s "$work/out" "$work/long" || complain "help $verb differs from $verb --help"
  run 1 "$verb" -h
  cmp -s "$work/out" "$work/long" || complain "$verb -h differs from $verb --help"
  # The file of the verb and the manual know it, too.
  [ -f "$source_folder/src/cli/cmd_$verb.c" ] || complain "no src/cli/cmd_$verb.c"
done
[ "$(verbs | wc -l)" -ge 1 ] || complain "no verbs"
finish
