#!/usr/bin/env bash
# overlap.sh THAW SOURCE: all of VGG16's block5 is live (57 MB of sums per step), so between hosts the sum travels while the layers below
# are computed. Several hosts (network namespaces; as root) give the bits of one host and of one rank.
set -u
thaw=$1 source=$2 here=$(dirname "$(readlink -f "$0")")
. "$here/common.sh"
net=thwo$$x
if ! { [ "$(id -u)" = 0 ] && command -v ip >/dev/null && "$here/net-up.sh" 3 $net 2>/dev/null; }; then
  "$here/net-down.sh" $net 2>/dev/null
  echo "skipped: no right to make network namespaces"
  exit 77
fi
cleanup+=("$here/net-down.sh $net")
export OPENBLAS_NUM_THREADS=1
"$make_data" train 203 5 32 4 1 && "$make_data" validation 21 5 32 1 2 || exit 1
cat >job.yaml <<YAML
name: job
seed: 3
backbone: {architecture: vgg16, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 32, activation: relu}
  - {layer: dense, units: 5, activation: softmax}
data: {train: train/catalog.yaml, validation: validation/catalog.yaml}
training:
  loss: categorical_crossentropy
  batch_size: 52
  slice: 4
  phases:
    - {epochs: 4, unfreeze: block5, optimizer: {name: adam, learning_rate: 1.0e-4}}
YAML
table() {
  sed 's/,[^,]*$//' "$1/metrics.csv" | md5sum
}
on_hosts() { # RANKS HOSTS ARGUMENT ...
  local ranks=$1 hosts=$2
  shift 2
  THAW_NET=$net "$here/net-shell.sh" node0 "cd $folder && exec env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    mpirun --host $hosts -np $ranks --mca plm_rsh_agent $here/net-shell.sh --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include eth0 \
    --mca mpi_yield_when_idle 1 --bind-to none --oversubscribe -x OPENBLAS_NUM_THREADS=1 $thaw train job.yaml -o $*"
}
# The thread that moves sums on while its rank computes sleeps 0.2 ms between two looks and blocks when there is no sum: how often it slept.
looks() {
  local task most=0 slept
  for task in $(for host in 0 1 2; do ip netns pids "${net}$host"; done | sed 's|.*|/proc/&/task/*|'); do
    [ "$(cat "$task/comm" 2>/dev/null)" = thaw-sum ] || continue
    slept=$(sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "$task/status" 2>/dev/null)
    [ "${slept:-0}" -gt "$most" ] && most=$slept
  done
  echo "$most"
}

timeout 120 "$mpirun" 1 "$thaw" train job.yaml -o one >one.log 2>&1 || { cat one.log; exit 1; }
timeout 120 "$mpirun" 3 "$thaw" train job.yaml -o host >host.log 2>&1 || { cat host.log; exit 1; }
expected=$(digest one.log)
[ -n "$expected" ] && [ "$(digest host.log)" = "$expected" ] || fail "three ranks on one host: $(digest host.log) instead of $expected"
for placement in "3 node0,node1,node2" "5 node0:2,node1:2,node2:1" "2 node0,node1"; do
  # shellcheck disable=SC2086
  timeout 200 bash -c true && on_hosts $placement placed --overwrite >placed.log 2>&1 &
  launcher=$! most=0
  while alive $launcher; do
    now=$(looks)
    [ "$now" -gt "$most" ] && most=$now
    sleep 0.1
  done
  wait $launcher || fail "on $placement: $(tail -5 placed.log)"
  [ "$(digest placed.log)" = "$expected" ] || fail "on $placement: $(digest placed.log) instead of $expected"
  [ "$(table placed)" = "$(table one)" ] || fail "on $placement: another table of losses: $(diff placed/metrics.csv one/metrics.csv)"
  [ "$most" -ge 50 ] || fail "on $placement: no sum went on during the backward pass ($most looks)"
  echo "$placement: the bits of one rank; sums went on beside the computation ($most looks)"
done
exit $((failures > 0))
