#!/usr/bin/env bash
# The frame of the command: usage errors are one line with the right exit code on any number of ranks, and never hang.
. "$(dirname "$0")/support.sh"

fails 2 "unknown verb 'reprot' (did you mean 'report'?)" reprot
fails 2 "unknown verb 'xyzzy'; 'thaw --help' lists the verbs" xyzzy
fails 2 "unknown option '--frobnicate'; the verb comes first" --frobnicate
fails 2 "unknown verb 'reprot' (did you mean 'report'?)" help reprot
fails 2 "unexpected argument 'b'" help report b
fails 2 "'thaw report' needs RUN" report
fails 2 "unknown option '--verbos' (did you mean '--verbose'?)" report --verbos x
fails 2 "unknown option '--xyzzy'; 'thaw report --help' lists the options" report --xyzzy x
fails 2 "unknown option '-x'; 'thaw report --help'" report -x
fails 2 "unknown option '--quiet=1'" report --quiet=1 x
fails 3 "/nonexistent: no such folder" report /nonexistent
fails 3 "--odd-name: no such folder" report -- --odd-name

# Options of every kind, on the verb that has them all.
if verbs | grep -qx import; then
  fails 2 "option --seed needs a value (N)" import source --seed
  fails 2 "option --seed needs a value (N)" import source --seed --strict
  fails 2 "option --seed: 'seven' is not a whole number" import source --seed seven
  fails 2 "option --seed: '7.5' is not a whole number" import source --seed=7.5
  fails 2 "option --deflate: 10 is out of range 0 .. 9" import source --deflate 10
  fails 2 "option --value-max: 'x' is not a number" import source --value-max x
  fails 2 "option --fit: 'strech' is not one of: stretch, crop, pad" import source --fit strech
  fails 2 "option --strict takes no value" import source --strict=yes
  fails 2 "unknown option '--no-seed'" import source --no-seed
  fails 2 "unexpected argument 'second'" import source second -o "$work/x"
fi

# No verb: the list of verbs, and still a failure.
run 1
[ "$code" = 2 ] || complain "no verb: exit code $code"
grep -q '^verbs:' "$work/out" || complain "no verb: no list of verbs"

for ranks in 1 5; do
  run $ranks --version
  [ "$code" = 0 ] && [ "$(cat "$work/out")" = "thaw $(sed -n 's/^project(thaw VERSION \([0-9.]*\).*/\1/p' \
    "$source_folder/CMakeLists.txt")" ] || complain "--version on $ranks ranks: $code, '$(cat "$work/out")'"
  run $ranks --help
  [ "$code" = 0 ] && [ "$(grep -c '^verbs:' "$work/out")" = 1 ] || complain "--help on $ranks ranks"
  run $ranks help report
  [ "$code" = 0 ] && [ "$(grep -c '^usage: thaw report' "$work/out")" = 1 ] || complain "help report on $ranks ranks"
done

# A full disk behind the standard output is an error; a reader that has seen enough is none.
if [ -w /dev/full ]; then
  code=0
  "$thaw" --help >/dev/full 2>"$work/err" || code=$?
  [ "$code" = 1 ] && grep -q '^error: standard output: cannot write$' "$work/err" || complain "full disk: $code"
fi
"$thaw" --help 2>"$work/err" | true
[ "${PIPESTATUS[0]}" = 0 ] && [ ! -s "$work/err" ] || complain "closed pipe: $(cat "$work/err")"
finish
