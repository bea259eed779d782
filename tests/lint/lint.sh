#!/usr/bin/env bash
# lint.sh RULE FOLDER: checks one rule over the source tree in FOLDER; each breach is one line "file:line: ...".
# To prove that the rules bite: lint.sh --self-test.
set -euo pipefail

folders=(base comm h5 image dicom nifti config kernel layer graph zoo weights shard leak import loader feature loss optim score match eval explain anomaly style train report sweep cli)

# folder_of HEADER: the folder that owns thaw/HEADER.h.
folder_of() {
  case $1 in
  status | memory | rng | file | text | digest | zip | log | csv) echo base ;;
  job | schema) echo config ;;
  predict) echo eval ;;
  *) echo "$1" ;;
  esac
}

rank_of() {
  local i
  for i in "${!folders[@]}"; do [ "${folders[$i]}" = "$1" ] && echo "$i" && return; done
  echo -1
}

sources() { find src include tests -name '*.[ch]' | sort; }

# A folder includes only headers of folders before it; private headers are included by their own folder alone.
rule_order() {
  local file line text header mine theirs
  while IFS=: read -r file line text; do
    case $file in
    src/*) mine=$(cut -d/ -f2 <<<"$file") ;;
    *) mine=$(folder_of "$(basename "$file" .h)") ;;
    esac
    header=$(sed -n 's/.*#include "\([^"]*\)".*/\1/p' <<<"$text")
    case $header in
    thaw/*) theirs=$(folder_of "$(basename "$header" .h)") ;;
    */*)
      theirs=${header%%/*}
      [ "$theirs" = "$mine" ] || echo "$file:$line: $header is private to src/$theirs"
      ;;
    *) echo "$file:$line: include \"$header\" by its folder" && continue ;;
    esac
    [ "$(rank_of "$theirs")" -ge 0 ] || { echo "$file:$line: $header belongs to no folder"; continue; }
    [ "$(rank_of "$theirs")" -le "$(rank_of "$mine")" ] || echo "$file:$line: $mine may not use $theirs ($header)"
  done < <(grep -rnE '^ *# *include "' src include --include='*.[ch]' || true)
}

# Each third-party library is visible in one folder, and in no public header.
rule_libraries() {
  local entry header owner
  for entry in mpi.h=comm hdf5.h=h5 H5public.h=h5 png.h=image jpeglib.h=image yaml.h=config cblas.h=kernel jansson.h=weights \
    zip.h=base zlib.h=base protobuf-c/protobuf-c.h=weights onnx.pb-c.h=weights; do
    header=${entry%%=*} owner=${entry##*=}
    grep -rnE "#include <$header>" src include | grep -v "^src/$owner/" | sed "s|\$|  (only src/$owner may)|" || true
  done
  grep -rnE '#include <openssl/' src include | grep -v '^src/base/' || true
  grep -rnE '#include <Random123/' src include | grep -v '^src/base/' || true
  grep -rnE '#include .(dcmtk/|openjpeg)' src include | grep -v '^src/dicom/' || true
  grep -rnE '#include <lbfgs' src include | grep -v '^src/style/' || true
  grep -rnE '#include <cairo' src include | grep -v '^src/report/' || true
}

# Functions that cannot report bad input or that overflow, flags that change results, and checks that vanish.
rule_banned() {
  local banned='atoi|atof|atol|strtok|sprintf|vsprintf|strcpy|strcat|gets|rand|srand|alloca|tmpnam'
  grep -rnE "(^|[^A-Za-z0-9_])($banned) *\(" src include tests --include='*.[ch]' | grep -vE ':[0-9]+: *(\*|//|/\*)' || true
  grep -rnE '#include <assert.h>' src include || true
  grep -rnE --include=CMakeLists.txt -e '-(ffast-math|Ofast|funsafe-math)' CMakeLists.txt src tests || true
  # Library code returns a status; it neither prints nor ends the process.
  grep -rnE --include='*.c' '(^|[^A-Za-z0-9_>.])(printf|puts|exit|abort|system) *\(' src |
    grep -vE '^src/cli/|:[0-9]+: *(\*|//|/\*)' || true
}

rule_format() {
  command -v clang-format >/dev/null || { echo "skipped: clang-format is not installed"; exit 77; }
  sources | xargs clang-format --dry-run 2>&1 | grep -E 'warning:|error:' | sort -u || true
}

# Long files are where review stops: 500 lines for sources; tests may take a little more.
rule_length() {
  find src include -name '*.[ch]' -exec awk 'END { if (FNR > 500) print FILENAME ":" FNR ": longer than 500 lines" }' {} \;
  find tests -name '*.[ch]' -exec awk 'END { if (FNR > 700) print FILENAME ":" FNR ": longer than 700 lines" }' {} \;
  find src include tests -name '*.[ch]' -exec awk 'length($0) > 120 { print FILENAME ":" FNR ": longer than 120 columns" }' {} \;
}

# No path of one machine, no unfinished mark.
rule_paths() {
  grep -rnE '(^|[^A-Za-z0-9_.])/(work|home|root|mnt)/' . --include='*.[ch]' --include='*.sh' --include='*.py' --include='*.md' --include='*.yaml' \
    --include=CMakeLists.txt --include='*.sbatch' --exclude-dir='build*' --exclude-dir=.git --exclude-dir=quickstart |
    grep -v '^./tests/lint/lint.sh:' || true
  grep -rnEw 'TODO|FIXME|XXX|HACK' src include tests jobs datasets 2>/dev/null | grep -v '^tests/lint/lint.sh:' || true
}

# Every source is in its folder's list: an orphan is never compiled and never tested.
rule_sources() {
  local file folder lists
  while read -r file; do
    folder=$(dirname "$file")
    lists=("$folder/CMakeLists.txt" "$(dirname "$folder")/CMakeLists.txt")
    grep -qwsF "$(basename "$file" .c)" "${lists[@]}" || echo "$file: is in no list of ${lists[0]}"
  done < <(find src tests -name '*.c' | sort)
}

# A failure is one line without a newline or a full stop of its own.
rule_messages() {
  grep -rnE 'thaw_fail(_in)?\(.*\\n' src || true
}

run_rule() {
  local breaches
  breaches=$("rule_$1")
  [ -z "$breaches" ] || { echo "$breaches"; echo "$1: $(wc -l <<<"$breaches") breach(es)"; exit 1; }
  echo "$1: clean"
}

# A tree with one breach of each rule must fail each rule.
self_test() {
  local tree rule
  tree=$(mktemp -d)
  trap "rm -rf '$tree'" EXIT
  mkdir -p "$tree"/src/base "$tree"/src/graph "$tree"/include/thaw "$tree"/tests/base
  printf '#include "thaw/graph.h"\n#include "graph/inner.h"\n#include <mpi.h>\nint f(char*a){return atoi(a);}\n' >"$tree/src/base/a.c"
  printf '/* %s */ // TODO /home/x\nvoid g(void) { thaw_fail(1, "a\\n"); }\n' "$(printf 'x%.0s' {1..120})" >>"$tree/src/base/a.c"
  cp "$0" "$tree/lint.sh"
  touch "$tree/CMakeLists.txt" "$tree/src/base/CMakeLists.txt"
  for rule in order libraries banned format length paths sources messages; do
    if bash "$tree/lint.sh" "$rule" "$tree" >/dev/null; then echo "self-test: rule $rule finds nothing" && exit 1; fi
  done
  echo "self-test: every rule bites"
}

[ "${1:-}" != --self-test ] || { self_test && exit 0; }
cd "${2:?usage: lint.sh RULE FOLDER}"
run_rule "$1"
