#!/usr/bin/env bash
# tests/run.sh [--all] [-R PATTERN]: installs what is missing (Debian, as root), builds, runs the whole suite.
#   --all          also the long tests, and the unit tests again under the address and undefined-behaviour sanitizers;
#                  a table of the faults that were tried, and their outcomes, follows; each reader is fuzzed for a short time
#   -R PATTERN     only the tests whose name matches the pattern
# The last line counts: "tests: N passed, N failed, N skipped". Build folders: build-test, build-sanitize.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

all=no pattern=.
while [ $# -gt 0 ]; do
  case $1 in
  --all) all=yes ;;
  -R) pattern=${2:?-R needs a pattern} && shift ;;
  -h | --help) sed -n '2,6s/^# //p' "$0" && exit 0 ;;
  *) echo "run.sh: unknown option $1 (see --help)" >&2 && exit 2 ;;
  esac
  shift
done

# build FOLDER [CMAKE OPTION ...]: quiet unless something is wrong.
build() {
  local folder=$1 log=$1/run.log
  shift
  mkdir -p "$folder"
  { cmake -S . -B "$folder" -G Ninja -DTHAW_WERROR=ON -DTHAW_TESTS=ON "$@" && ninja -C "$folder"; } >"$log" 2>&1 ||
    { grep -E -A 12 'error|warning|FAILED' "$log" || tail -40 "$log"; echo "run.sh: the build in $folder failed"; exit 1; }
}

passed=0 failed=0 skipped=0 reasons="" parts=""
# suite NAME FOLDER [CTEST OPTION ...]: runs ctest there, for at most an hour, and adds to the counts. Each test has a limit of its own.
suite() {
  local name=$1 folder=$2 log=$2/ctest.log started=$SECONDS
  shift 2
  timeout --kill-after=60 3600 ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" -R "$pattern" "$@" 2>&1 | tee "$log" ||
    { [ "${PIPESTATUS[0]}" -lt 124 ] || { echo "run.sh: $name: not done after an hour" && failed=$((failed + 1)); }; }
  parts+="$(printf '%-34s | %s s' "$name" $((SECONDS - started)))"$'\n'
  reasons+=$(grep -h '^skipped: ' "$folder/Testing/Temporary/LastTest.log" 2>/dev/null || true)$'\n'
  passed=$((passed + $(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$log" || true)))
  skipped=$((skipped + $(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*Skipped ' "$log" || true)))
  failed=$((failed + $(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*(Failed|Timeout|Exception|Not Run)' "$log" || true)))
}

jobs/install-packages.sh build test data
# For a Slurm of its own, which only root can start; without these packages its test says so and is skipped.
if [ $all = yes ] && [ "$(id -u)" = 0 ]; then jobs/install-packages.sh cluster fuzz || true; fi
build build-test -DCMAKE_BUILD_TYPE=Release
if [ $all = yes ]; then
  export THAW_FAULT_TABLE=$PWD/build-test/faults.txt
  rm -f "$THAW_FAULT_TABLE"
  suite "release build, all tests" build-test
  build build-sanitize -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTHAW_SANITIZE=address,undefined
  # The MPI library keeps memory until the process ends, so leaks are looked for in the tests without it. Whole trainings of
  # VGG16 would take an hour.
  LSAN_OPTIONS=suppressions=$PWD/tests/support/lsan.supp suite "sanitizers, without MPI" build-sanitize -L unit -LE long -E 'fine_tuning|thawing'
  ASAN_OPTIONS=detect_leaks=0 suite "sanitizers, with MPI" build-sanitize -L mpi -LE long -E 'fine_tuning|thawing'
  code=0
  tests/fuzz/run.sh --seconds 15 || code=$?
  case $code in 0) passed=$((passed + 1)) ;; 77) skipped=$((skipped + 1)) ;; *) failed=$((failed + 1)) ;; esac
  if [ -s "$THAW_FAULT_TABLE" ]; then
    printf '\nfaults tried\n%-34s | %-34s | %s\n' fault stage outcome
    sort -t'|' -k2,2 -s "$THAW_FAULT_TABLE" && echo
  fi
else
  suite "release build" build-test -LE long
fi
if [ -n "${reasons//[[:space:]]/}" ]; then
  printf '\nwhy tests, or parts of them, were skipped\n' && sed '/^$/d; s/^skipped: //' <<<"$reasons" | sort | uniq -c
fi
printf '\n%-34s | time\n%s' part "$parts"
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
