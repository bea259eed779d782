#!/usr/bin/env bash
# efficiency.sh THAW [SECONDS]: two ranks against one on this machine, as multiples of one rank alone. Two processors may share a core,
# a cache and memory; so two runs that know nothing of each other show what the machine itself allows. Each process keeps to one
# processor. Markdown to standard output.
case "${1:-}" in --help | -h | "") sed -n "2,/^[^#]/s/^# \{0,1\}//p" "$0"; exit 0 ;; esac
set -euo pipefail
thaw=$1 seconds=${2:-3}
export OPENBLAS_NUM_THREADS=1
mpi="${MPIRUN:-mpirun} --bind-to none --oversubscribe"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# rate FILE WHICH: samples per second of the WHICHth total in a bench's output
rate() { grep -o '[0-9.]* \(samples\|images\)/s' "$1" | sed -n "$2s/ .*//p"; }
# compare TITLE WHICH BATCH OPTION...: weak scaling, BATCH samples per rank and step
compare() {
  local title=$1 which=$2 batch=$3 pids=() i
  shift 3
  taskset -c 0 "$thaw" bench "$@" --batch "$batch" --seconds "$seconds" > "$work/one"
  for i in 0 1; do
    taskset -c "$i" "$thaw" bench "$@" --batch "$batch" --seconds "$seconds" > "$work/apart$i" &
    pids+=($!)
  done
  wait "${pids[@]}"
  $mpi -np 2 bash -c 'exec taskset -c "$OMPI_COMM_WORLD_LOCAL_RANK" "$@"' - "$thaw" bench "$@" --batch $((2 * batch)) --seconds "$seconds" > "$work/two"
  awk -v t="$title" -v b="$batch" -v one="$(rate "$work/one" "$which")" -v a="$(rate "$work/apart0" "$which")" \
    -v c="$(rate "$work/apart1" "$which")" -v two="$(rate "$work/two" "$which")" 'BEGIN {
      printf "| %s | %d | %.4g | %.4g (%.2f) | %.4g (%.2f) | %.1f %% |\n", t, b, one, a + c, (a + c) / one, two, two / one, 100 * two / (a + c) }'
}

echo '| trained | samples per rank | one rank, samples/s | two runs apart, together | two ranks | two ranks / two runs apart |'
echo '| --- | ---: | ---: | ---: | ---: | ---: |'
compare 'head, from the cache' 1 512 --head
compare 'head, from the cache' 1 2048 --head
compare 'head, from images (mean of the steps)' 2 16 --unfreeze none
compare 'block5, from the cache (mean of the steps)' 4 32 --unfreeze block5
