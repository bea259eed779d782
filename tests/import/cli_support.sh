# cli_support.sh: sourced by the command-line tests of this folder: $thaw, $work, run RANKS ARG..., digests FOLDER.
set -euo pipefail
export OPENBLAS_NUM_THREADS=1
thaw=$1 root=$2
images=$root/tests/image/golden
work=$(mktemp -d /tmp/thaw-cli-import-XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# Runs the command on so many ranks (one: without mpirun), never longer than a minute.
run() {
  local ranks=$1
  shift
  if [ "$ranks" = 1 ]; then
    timeout 60 "$thaw" "$@"
  else
    timeout 60 "$root/tests/support/mpirun.sh" "$ranks" "$thaw" "$@"
  fi
}

digests() {
  (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum)
}

# A big-endian 32-bit number.
word() {
  printf "\\x$(printf %02x $(($1 >> 24 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"
}

# make_idx COUNT: x.idx with COUNT images of 28 x 28 (text makes good pixels) and y.idx.gz with classes 0 1 2 0 1 2 ...
make_idx() {
  { printf '\0\0\x08\x03'; word "$1"; word 28; word 28; seq 100 999999 | head -c $(($1 * 784)) || true; } >x.idx
  { printf '\0\0\x08\x01'; word "$1"; for ((i = 0; i < $1; i++)); do printf "\\x0$((i % 3))"; done; } | gzip -n >y.idx.gz
}

# Three classes of real image files; one is cut, one is no image, one is left out by its name.
make_folder() {
  mkdir -p photos/cat/deep photos/dog photos/cow
  cp "$images"/rgb8.png "$images"/grey.jpg "$images"/palette4.png photos/cat
  cp "$images"/rgb420.jpg photos/cat/deep
  cp "$images"/exif*.jpg photos/dog
  cp "$images"/grey16.png "$images"/progressive.jpg "$images"/rgba8.png "$images"/cmyk.jpg "$images"/grey1.png photos/cow
  head -c 300 "$images"/rgb444.jpg >photos/cow/cut.jpg
  echo "no picture" >"photos/dog/a, \"strange\" name.png"
  echo "notes" >photos/dog/notes.txt
}
