#!/usr/bin/env bash
# tests/fuzz/run.sh [--minutes N | --seconds N] [--build FOLDER] [TARGET ...]: fuzzes the readers of foreign files with libFuzzer
# under the address and undefined-behaviour sanitizers.
#   --minutes N      of each target (default: 20 seconds)
#   --build FOLDER   build folder (default build-fuzz); its corpus/ grows from run to run
#   TARGET           image job table model catalog hdf5 tree keras safetensors onnx; default: all
# Exit code 1 after a finding, whose input lies in FOLDER/findings; 77 where there is no clang with libFuzzer.
# Crashes inside libhdf5 are no findings as long as `thaw inspect` makes one line of them (cli/quarantine.h).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
seconds=20 folder=build-fuzz targets=()
while [ $# -gt 0 ]; do
  case $1 in
  --minutes) seconds=$((60 * ${2:?--minutes needs a number})) && shift ;;
  --seconds) seconds=${2:?--seconds needs a number} && shift ;;
  --build) folder=${2:?--build needs a folder} && shift ;;
  -h | --help) sed -n '2,9s/^# //p' "$0" && exit 0 ;;
  -*) echo "run.sh: unknown option $1 (see --help)" >&2 && exit 2 ;;
  *) targets+=("$1") ;;
  esac
  shift
done

probe=$(mktemp -d /dev/shm/thaw-fuzz-XXXXXX)
trap 'rm -rf "$probe"' EXIT
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n); int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { (void)d; return n > 9; }' >"$probe/probe.c"
if ! clang -fsanitize=fuzzer,address "$probe/probe.c" -o "$probe/probe" 2>/dev/null; then
  echo "run.sh: no clang with libFuzzer (Debian: clang libclang-rt-14-dev), skipped"
  exit 77
fi

mkdir -p "$folder"
{ cmake -S . -B "$folder" -G Ninja -DTHAW_FUZZ=ON -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DTHAW_SANITIZE=address,undefined,fuzzer-no-link && ninja -C "$folder"; } >"$folder/run.log" 2>&1 ||
  { grep -E -A 12 'error|FAILED' "$folder/run.log" || tail -40 "$folder/run.log"; echo "run.sh: the build failed"; exit 1; }
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^ *thaw_fuzz_target(fuzz_\([a-z0-9]*\) .*/\1/p' tests/fuzz/CMakeLists.txt)
folder=$(readlink -f "$folder")
export ASAN_OPTIONS=allocator_may_return_null=1 TMPDIR=$probe
export LSAN_OPTIONS=suppressions=$PWD/tests/support/lsan.supp:print_suppressions=0

# seeds TARGET: into FOLDER/seeds/TARGET; files that other tests have serve here, too.
seeds() {
  mkdir -p "$folder/seeds/$1" "$folder/corpus/$1" "$folder/findings/$1"
  if [ -d "tests/fuzz/seeds/$1" ]; then cp "tests/fuzz/seeds/$1"/* "$folder/seeds/$1/"; fi
  case $1 in
  hdf5) cp tests/weights/*.h5 tests/weights/models/nested.h5 tests/h5/weights.h5 "$folder/seeds/$1/" ;;
  keras | onnx) cp tests/weights/models/*."$1" "$folder/seeds/$1/" ;;
  safetensors) cp tests/weights/*.safetensors "$folder/seeds/$1/" ;;
  esac
}

# is_hdf5 TARGET: whether its inputs reach libhdf5 as they are.
is_hdf5() { [ "$1" = hdf5 ] || [ "$1" = keras ]; }

# in_libhdf5: whether the innermost frame that is neither the sanitizer's nor the C library's, in `again`, is this library's.
in_libhdf5() {
  grep -E '^ +#[0-9]+ ' "$probe/again" |
    grep -vE 'sanitizer|fuzzer::|libc\.so|sysdeps|__asan|Asan|__interceptor| in (str[a-z]+|[a-z]*alloc) ' | head -1 | grep -q libhdf5
}

# inspect FILE: the command's exit code; what it writes is in out and err. (The MPI library keeps memory until the process ends.)
inspect() {
  local code=0
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 timeout 120 "$folder/src/cli/thaw" inspect "$1" >"$probe/out" 2>"$probe/err" || code=$?
  echo $code
}

# judge TARGET FILE: a crash or an endless loop of the library must become one line of the command, and exit code 3. The file may turn
# out to be readable where the library only asked for much memory, or when nothing happens with the file alone: the process had read
# thousands before it, and the library keeps lists of its own through all of them.
judge() {
  local code alone=0
  timeout 60 "$folder/tests/fuzz/fuzz_$1" -timeout=10 -rss_limit_mb=0 -malloc_limit_mb=3000 "$2" >"$probe/again" 2>&1 || alone=$?
  [ $alone = 0 ] || in_libhdf5 || return 1
  cp "$2" "$probe/input.$1"
  code=$(inspect "$probe/input.$1")
  if [ "$code" = 0 ] && [ ! -s "$probe/err" ]; then [ $alone = 0 ] || [[ $2 == */oom-* ]] && return 0; fi
  [ "$code" = 3 ] && [ "$(grep -c . "$probe/err")" = 1 ] && grep -q '^error: ' "$probe/err"
}

# processor_seconds BEFORE AFTER: of the children between two outputs of `times`. A busy machine fuzzes less than its clock says.
processor_seconds() {
  sed 's/[ms]/ /g' "$1" "$2" | awk 'NR % 2 == 0 { seconds = 60 * ($1 + $3) + $2 + $4 - seconds } END { printf "%d", seconds }'
}

# fuzz TARGET: one line; fails after a finding.
fuzz() {
  local more=(-timeout=20) log=$folder/$1.log found=0 library=0 used
  [ -x "$folder/tests/fuzz/fuzz_$1" ] || { echo "fuzz_$1: not in this build" && return; }
  seeds "$1"
  # libhdf5 goes round for ever in some files: not to be waited for long
  if is_hdf5 "$1"; then more=(-timeout=5 -fork=1 -ignore_crashes=1 -ignore_timeouts=1 -ignore_ooms=1 -max_len=65536); fi
  times >"$probe/before"
  "$folder/tests/fuzz/fuzz_$1" -max_total_time="$seconds" -rss_limit_mb=3000 -malloc_limit_mb=3000 \
    -dict=tests/fuzz/keywords.dict -artifact_prefix="$folder/findings/$1/" "${more[@]}" "$folder/corpus/$1" \
    "$folder/seeds/$1" >"$log" 2>&1 || true
  times >"$probe/after"
  used=$(processor_seconds "$probe/before" "$probe/after")
  for input in "$folder/findings/$1"/*; do
    [ -e "$input" ] || continue
    if is_hdf5 "$1" && judge "$1" "$input"; then
      library=$((library + 1)) && rm "$input"
    else
      found=$((found + 1)) && echo "finding: $input"
    fi
  done
  echo "fuzz_$1: $seconds seconds, $used of a processor, $(find "$folder/corpus/$1" -type f | wc -l) inputs in the corpus, $found findings$(
    [ $library = 0 ] || echo ", $library crashes of libhdf5 that the command survived")"
  [ $found = 0 ]
}

failed=0
# A command that refuses every file would prove nothing.
sound=$(inspect tests/weights/keras3_flat.h5)
[ "$sound" = 0 ] || { echo "run.sh: a sound file is refused, exit code $sound: $(cat "$probe/err")" && failed=1; }
for target in "${targets[@]}"; do fuzz "$target" || failed=1; done
exit $failed
