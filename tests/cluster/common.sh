# common.sh, to be sourced: data, jobs and runs for the tests of this folder. Wants $thaw and $source; makes $folder and
# goes there; counts failures.
make_data=$(dirname "$thaw")/../../tests/train/make_data
mpirun=$source/tests/support/mpirun.sh
folder=$(mktemp -d "${base:-/tmp}/thaw-cluster-XXXXXX")
cleanup=()
leave() {
  for command in "${cleanup[@]:-:}"; do eval "$command"; done
  rm -rf "$folder"
}
trap leave EXIT
cd "$folder" || exit 1
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# write_job NAME EPOCHS CACHE: a small head on a small network, checkpoints many times a second
write_job() {
  cat >"$1.yaml" <<YAML
name: $1
seed: 11
output: $1
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: batch_normalization}
  - {layer: dense, units: 32, activation: relu}
  - {layer: dropout, rate: 0.3}
  - {layer: dense, units: 5, activation: softmax}
data:
  train: train/catalog.yaml
  validation: validation/catalog.yaml
cache: {enabled: ${3:-true}}
training:
  loss: categorical_crossentropy
  batch_size: 26
  slice: 4
  checkpoint: {every_minutes: 0.0005, every_epochs: 3}
  phases:
    - {epochs: $2, optimizer: {name: adam, learning_rate: 1.0e-3}}
    - {epochs: 2, unfreeze: block2_conv2, optimizer: {name: adam, learning_rate: 1.0e-4}}
YAML
}

digest() {
  sed -n 's/^parameters sha256 //p' "$1"
}
# ranks_of LAUNCHER: the process ids of the ranks below a launcher, in no order
ranks_of() {
  local child
  for child in $(pgrep -P "$1"); do
    if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = thaw ]; then echo "$child"; else ranks_of "$child"; fi
  done
}
# rank_of PID: its rank, as the launcher told it
rank_of() {
  tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | sed -n 's/^OMPI_COMM_WORLD_RANK=//p; s/^PMIX_RANK=//p' | head -1
}
# rank_pid LAUNCHER RANK
rank_pid() {
  local child
  for child in $(ranks_of "$1"); do
    [ "$(rank_of "$child")" = "$2" ] && echo "$child" && return
  done
}
# wait_for SECONDS COMMAND: until the command succeeds
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.02
  done
}
# alive PID: runs or is stopped; a zombie, which nobody may have reaped, is dead
alive() {
  case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in '' | Z | X) return 1 ;; esac
}
# fault "RANK CALL PATTERN NTH ACTION" RANKS [OPTION ...]: thaw with a file that fails (fault.c), output in fault.log
fault() {
  local what=$1 ranks=$2
  shift 2
  timeout 120 "$mpirun" "$ranks" env LD_PRELOAD="$(dirname "$make_data")/../cluster/libfault.so" THAW_FAULT="$what" "$thaw" "$@" >fault.log 2>&1
}
# row FAULT STAGE OUTCOME: a line of the table that tests/run.sh --all shows
row() {
  printf '%-34s | %-34s | %s\n' "$1" "$2" "$3" | tee -a "${THAW_FAULT_TABLE:-/dev/null}"
}
