#!/usr/bin/env bash
# tests/run.sh [--all] [-R PATTERN]: installs what is missing (Debian, as root), builds, runs the whole suite.
#   --all          also the long tests, and the unit tests again under the address and undefined-behaviour sanitizers
#   -R PATTERN     only the tests whose name matches the pattern
# The last line counts: "tests: N passed, N failed, N skipped". Build folders: build-test, build-sanitize.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

all=no pattern=.
while [ $# -gt 0 ]; do
  case $1 in
  --all) all=yes ;;
  -R) pattern=${2:?-R needs a pattern} && shift ;;
  -h | --help) sed -n '2,5s/^# //p' "$0" && exit 0 ;;
  *) echo "run.sh: unknown option $1 (see --help)" >&2 && exit 2 ;;
  esac
  shift
done

packages=(cmake ninja-build pkg-config gcc g++ libc6-dev libopenmpi-dev openmpi-bin libopenblas-dev libhdf5-dev hdf5-tools
  libpng-dev libcmocka-dev libyaml-dev librandom123-dev libssl-dev libjansson-dev libjpeg62-turbo-dev libcairo2-dev
  libzip-dev zlib1g-dev clang-format dataset-fashion-mnist python3 python3-venv)

install_missing() {
  command -v dpkg-query >/dev/null || { echo "run.sh: not a Debian system: packages are taken as installed" && return; }
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "run.sh: missing packages; install them with: sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build FOLDER [CMAKE OPTION ...]: quiet unless something is wrong.
build() {
  local folder=$1 log=$1/run.log
  shift
  mkdir -p "$folder"
  { cmake -S . -B "$folder" -G Ninja -DTHAW_WERROR=ON -DTHAW_TESTS=ON "$@" && ninja -C "$folder"; } >"$log" 2>&1 ||
    { grep -E -A 12 'error|warning|FAILED' "$log" || tail -40 "$log"; echo "run.sh: the build in $folder failed"; exit 1; }
}

passed=0 failed=0 skipped=0
# suite FOLDER [CTEST OPTION ...]: runs ctest there and adds to the counts.
suite() {
  local folder=$1 log=$1/ctest.log
  shift
  ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" -R "$pattern" "$@" 2>&1 | tee "$log" || true
  passed=$((passed + $(grep -cE '^ *[0-9]+/[0-9]+ Test +#.* Passed ' "$log" || true)))
  skipped=$((skipped + $(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*Skipped ' "$log" || true)))
  failed=$((failed + $(grep -cE '^ *[0-9]+/[0-9]+ Test +#.*\*\*\*(Failed|Timeout|Exception|Not Run)' "$log" || true)))
}

install_missing
build build-test -DCMAKE_BUILD_TYPE=Release
if [ $all = yes ]; then
  suite build-test
  build build-sanitize -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTHAW_SANITIZE=address,undefined
  # The MPI library keeps memory until the process ends, so leaks are looked for in the tests without it.
  suite build-sanitize -L unit -LE long
  ASAN_OPTIONS=detect_leaks=0 suite build-sanitize -L mpi -LE long
else
  suite build-test -LE long
fi
echo "tests: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
