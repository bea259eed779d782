# support.sh: what the tests of the command share. Sourced by a script that is called with: THAW SOURCE_FOLDER.
set -euo pipefail
thaw=$1 source_folder=$2
make_data=$(dirname "$thaw")/../../tests/train/make_data # FOLDER COUNT CLASSES SIDE SHARDS SEED
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

complain() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# run RANKS [ARG ...]: the command with a time limit; RANKS 1 is without mpirun. Sets code; stdout and stderr are in
# $work/out and $work/err, the latter without what mpirun itself says.
run() {
  local ranks=$1
  shift
  code=0
  if [ "$ranks" = 1 ]; then
    timeout 60 "$thaw" "$@" >"$work/out" 2>"$work/err" || code=$?
  else
    timeout 60 "$source_folder/tests/support/mpirun.sh" "$ranks" "$thaw" "$@" >"$work/out" 2>"$work/all" || code=$?
    sed -n '/^-----/,/^-----/!p' "$work/all" >"$work/err"
  fi
}

same() { cmp -s "$1" "$2" || complain "$1 and $2 differ"; }

# must_run RANKS ARG ...: without success there is nothing more to test.
must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat "$work/err")"; finish; }
}

# fails CODE MESSAGE ARG ...: on 1 and on 5 ranks, one line "error: ..." that contains MESSAGE, nothing on stdout.
fails() {
  local expected=$1 message=$2 ranks
  shift 2
  for ranks in 1 5; do
    run "$ranks" "$@"
    [ "$code" = "$expected" ] || complain "thaw $* on $ranks ranks: exit code $code, expected $expected"
    [ "$(grep -c . "$work/err")" = 1 ] || complain "thaw $* on $ranks ranks: not one line: $(cat "$work/err")"
    grep -qF -- "$message" "$work/err" || complain "thaw $* on $ranks ranks: '$(cat "$work/err")' lacks '$message'"
    grep -q '^error: ' "$work/err" || complain "thaw $* on $ranks ranks: no 'error: ' in front"
  done
}

finish() {
  [ "$failures" = 0 ] || { echo "$failures failures" && exit 1; }
  echo "all passed"
}

# The verbs, as the command lists them.
verbs() { "$thaw" --help | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -v '^help$'; }
