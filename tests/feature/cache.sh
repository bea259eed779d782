#!/usr/bin/env bash
# cache.sh THAW SOURCE: one job gives the same digest with the feature cache cold, warm, off, damaged, without room, and after a
# signal during filling, on 1 and 3 ranks; and thaw inspect shows the cache and the augmentation.
set -u
thaw=$1 source=$2
make_data=$(dirname "$thaw")/../../tests/train/make_data
mpirun=$source/tests/support/mpirun.sh
folder=$(mktemp -d /tmp/thaw-cache-XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0 digest=
"$make_data" train 90 3 32 2 1 && "$make_data" validation 20 3 32 1 2 || exit 1

job() { # job NAME CACHE
  cat > "$1.yaml" <<YAML
name: $1
output: $1
seed: 4
backbone: {architecture: vgg16, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 3, activation: softmax}
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
  augment: {horizontal_flip: true, rotation: 15, brightness: 0.1, noise: 0.02, views: 2}
cache: $2
training:
  loss: categorical_crossentropy
  batch_size: 16
  phases:
    - {epochs: 3, optimizer: {name: adam, learning_rate: 0.001}}
YAML
}

fail() {
  echo "FAILED: $*"
  sed 's/^/  | /' out.txt
  failures=$((failures + 1))
}

# train WHAT RANKS NAME [OPTION ...]: the digest must be that of the first run
train() {
  local what=$1 ranks=$2 name=$3
  shift 3
  timeout 120 "$mpirun" "$ranks" "$thaw" train "$name.yaml" "$@" > out.txt 2>&1 || fail "$what: exit code $?"
  local found
  found=$(sed -n 's/^parameters sha256 //p' out.txt)
  [ -n "$digest" ] || digest=$found
  [ -n "$found" ] && [ "$found" = "$digest" ] || fail "$what: digest '$found' instead of '$digest'"
}
says() { grep -qE "$2" out.txt || fail "$1: no line with '$2'"; }
is_silent() { if grep -qE "$2" out.txt; then fail "$1: a line with '$2'"; fi; }

job on '{folder: cache}'
train "cold, 1 rank" 1 on
says "cold, 1 rank" '^features of view 1: 90 images'
train "warm, 3 ranks" 3 on --overwrite
is_silent "warm, 3 ranks" '^features'
job off '{enabled: false}'
train "off, 1 rank" 1 off
train "off, 3 ranks" 3 off --overwrite
rm -rf cache
train "cold, 3 ranks" 3 on --overwrite

for block in cache/*/block-000001.h5; do printf 'damage' | dd of="$block" bs=1 seek=$(($(stat -c %s "$block") - 900)) conv=notrunc status=none; done
for block in cache/*/block-000002.h5; do truncate -s 1500 "$block"; done
train "damaged" 3 on --overwrite
says "damaged" 'warning: feature cache.*anew'
train "mended" 1 on --overwrite
is_silent "mended" 'warning: feature cache|^features'

job tiny '{folder: tiny-cache, limit_gb: 0.00001}'
train "no room under the limit" 3 tiny
says "no room under the limit" 'warning: cache.limit_gb leaves no room'
job nowhere '{folder: train/catalog.yaml/x}'
train "unwritable folder" 3 nowhere
says "unwritable folder" 'warning: .*the feature cache is switched off'

# A signal while features are computed (or, on a fast machine, later): stop with 75, resume elsewhere, same digest.
rm -rf cache on
"$thaw" train on.yaml > out.txt 2>&1 &
pid=$!
sleep 0.4
kill -TERM $pid 2> /dev/null
wait $pid
code=$?
case $code in
  75 | 0) train "resumed" 3 on --resume ;;
  143) train "started anew" 3 on ;; # before the handler was set
  *) fail "signal: exit code $code" ;;
esac

"$thaw" inspect cache cache > out.txt 2>&1 || fail "inspect cache: exit code $?"
says "inspect cache" '^[0-9a-f]{8}  global_average_pooling2d +512 +90 +1  float32'
says "inspect cache" '^3 entries'
"$thaw" inspect --augment on.yaml --sheet sheet.png > out.txt 2>&1 || fail "inspect --augment: exit code $?"
says "inspect --augment" '^8 samples of .*in 2 of 2 views: sheet.png'
[ "$(head -c 4 sheet.png | tail -c 3)" = PNG ] || fail "sheet.png is no PNG"
"$thaw" inspect --augment on.yaml > out.txt 2>&1
[ $? -eq 2 ] || fail "inspect --augment without --sheet is no usage error"

[ $failures -eq 0 ] && echo "digest $digest in every case"
exit $((failures > 0))
