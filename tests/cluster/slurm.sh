#!/usr/bin/env bash
# slurm.sh THAW SOURCE: a real Slurm of three nodes on this machine: srun, USR1, preemption, requeue on another number of nodes, scancel, a
# node that dies, an array. Every run ends with the digest of an undisturbed one.
set -u
thaw=$1 source=$2 here=$(dirname "$(readlink -f "$0")")
skip() {
  echo "skipped: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can start a cluster of its own"
command -v slurmctld >/dev/null && command -v munged >/dev/null && command -v ip >/dev/null ||
  skip "slurm-wlm, munge and iproute2 are not installed (jobs/install-packages.sh cluster)"
. "$here/common.sh"
chmod 755 "$folder" # munge wants to reach its socket
net=tsl$$x
cleanup+=("$here/slurm-down.sh $folder/slurm $net")
"$here/slurm-up.sh" "$folder/slurm" 3 $net >up.log 2>&1 || skip "Slurm does not start here: $(tail -2 up.log)"
. slurm/env.sh

"$make_data" train 203 5 32 4 1 && "$make_data" validation 61 5 32 2 2 || exit 1
write_job job 60
sed -i 's/every_minutes: 0.0005/every_minutes: 0.01/; s/every_epochs: 3/every_epochs: 10/; s/^output: .*//' job.yaml
timeout 200 "$mpirun" 2 "$thaw" train job.yaml -o reference -q >reference.log 2>&1 || { cat reference.log; exit 1; }
expected=$(digest reference.log)
# Each line of log.jsonl takes 0.4 s: long enough to interrupt.
cat >slow-thaw <<SLOW
#!/bin/sh
exec env LD_PRELOAD=$(dirname "$make_data")/../cluster/libfault.so THAW_FAULT="all write log.jsonl 1 400000" $thaw "\$@"
SLOW
chmod +x slow-thaw
export THAW=$folder/slow-thaw OMPI_MCA_mpi_yield_when_idle=1 THAW_JOBS=$source/jobs OPENBLAS_NUM_THREADS=1

judge() { # FAULT STAGE RESULT NOTE
  if [ "$3" = 0 ]; then row "$1" "$2" "$4"; else row "$1" "$2" FAILED; fi
}
state() {
  control squeue -h -j "$1" -o %T 2>/dev/null
}
is() { # JOB STATE
  [ "$(state "$1")" = "$2" ]
}
over() {
  case $(state "$1") in '' | COMPLETED | FAILED | CANCELLED | NODE_FAIL | TIMEOUT) return 0 ;; esac
  return 1
}
submit() { # NAME [OPTION ...]: prints the job id
  local name=$1
  shift
  sed "s/^name: .*/name: $name/" job.yaml >"$name.yaml"
  control sbatch --parsable -J "$name" -o "$name.log" --ntasks-per-node=1 --mem=100 -t 10 "$@" "$source/jobs/train.sbatch" "$name.yaml"
}
at_work() { # NAME: some epochs are done
  grep -qE "epoch [1-9][0-9]+/" "$1.log"
}
finished() { # NAME JOB: waits for the end and compares
  wait_for 240 over "$2" || { fail "$1 does not end: $(control squeue)"; tail -5 "$1.log"; return 1; }
  if [ -z "$(digest "$1.log")" ] && died_in_init "$1.log"; then
    echo "note: $1 died in MPI_Init, submitted again"
    wait_for 240 over "$(submit "$1" --nodes=2)"
  fi
  [ "$(digest "$1.log" | tail -1)" = "$expected" ] && return
  fail "$1: '$(digest "$1.log")' instead of $expected: $(tail -12 "$1.log")"
  return 1
}

# Open MPI 4.1 rarely crashes in MPI_Init under srun, before the program has begun (about 1 start of 85 over these networks;
# https://github.com/open-mpi/ompi/issues/12495 is alike). Only that is tried again, and said.
died_in_init() { # LOG
  grep -qE 'Signal: Segmentation fault|MPI_Init' "$1" && grep -qE 'ompi_mpi_init|MPI_Init|mca_btl_tcp|mca_pml' "$1"
}
# start NAME [OPTION ...]: submits until some epochs are done; the job's number is in $id
start() {
  local attempt
  for attempt in 1 2 3; do
    id=$(submit "$@")
    wait_for 90 eval "at_work $1 || over $id"
    at_work "$1" && return
    over "$id" && died_in_init "$1.log" || break
    echo "note: $1 died in MPI_Init, attempt $attempt"
  done
  fail "$1 does not start: $(cat "$1.log")"
}
for attempt in 1 2 3; do
  control timeout 200 srun -N3 -n3 --mpi=pmix --kill-on-bad-exit=1 "$thaw" train job.yaml -o srun -q >srun.log 2>&1 && break
  died_in_init srun.log && [ ! -e srun/log.jsonl ] || break
  echo "note: srun died in MPI_Init, attempt $attempt"
done
[ "$(digest srun.log)" = "$expected" ] || { fail "srun: $(tail -5 srun.log)"; false; }
judge "none: srun --mpi=pmix, 3 nodes" "Slurm" $? "same bits as mpirun on 1 host"

# USR1 to the batch script; the requeued job gets fewer nodes.
start usr1 --nodes=3
control scancel -b -s USR1 "$id"
wait_for 60 grep -q "stopped with a checkpoint, requeued" usr1.log || fail "usr1: no requeue: $(tail -5 usr1.log)"
wait_for 30 is "$id" PENDING
control scontrol update JobId="$id" NumNodes=2-2 NumTasks=2 2>>usr1.log
finished usr1 "$id"
judge "USR1, requeue on 2 of 3 nodes" "Slurm" $? "checkpoint, code 75, requeued by itself: same bits"

# A more urgent job takes the nodes away: TERM with a grace time, then requeued by Slurm.
start preempted --nodes=3
urgent=$(control sbatch --parsable -p urgent -N3 -n3 --exclusive -t 1 -o urgent.log --wrap "sleep 2")
wait_for 90 over "$urgent" || fail "the urgent job does not run: $(control squeue)"
finished preempted "$id"
ended=$?
if grep -q "a checkpoint was written" preempted.log; then how="stopped with a checkpoint"; elif grep -q CANCELLED preempted.log; then how="killed"; else how="waited for by the urgent job"; fi
judge "a partition of higher priority" "Slurm" $ended "$how, finished: same bits"

start cancelled --nodes=2
control scancel "$id"
wait_for 60 over "$id"
grep -q "stopped by .*a checkpoint was written" cancelled.log && [ -z "$(digest cancelled.log)" ] || fail "scancel: $(tail -5 cancelled.log)"
id=$(submit cancelled --nodes=1)
finished cancelled "$id"
judge "scancel, submitted again on 1 node" "Slurm" $? "checkpoint on SIGTERM: same bits"

# A node dies: its slurmd and everything on it.
start dead --nodes=2-3
for process in $(ip netns pids ${net}2); do kill -KILL "$process"; done
wait_for 120 eval "! is $id RUNNING" || fail "dead node: the job is still running"
if over "$id"; then id=$(submit dead --nodes=2); fi
finished dead "$id"
judge "node killed with its slurmd" "Slurm" $? "goes on on the 2 nodes left: same bits"
start_node 2

sed 's/epochs: 60/epochs: 5/' job.yaml >seeds.yaml
id=$(control sbatch --parsable --array=0-2 -o 'seeds-%a.log' --nodes=1 --ntasks-per-node=2 --mem=100 -t 5 "$source/jobs/array.sbatch" seeds.yaml)
wait_for 120 over "$id"
good=0
for seed in 0 1 2; do
  sed "s/^seed: .*/seed: $seed/; s/^name: .*/name: alone-$seed/" seeds.yaml >alone.yaml
  timeout 60 "$thaw" train alone.yaml -q >alone.log 2>&1
  wait_for 60 eval "[ -n \"\$(digest seeds-$seed.log)\" ]"
  [ -n "$(digest alone.log)" ] && [ "$(digest alone.log)" = "$(digest seeds-$seed.log)" ] || { fail "seed $seed: $(cat seeds-$seed.log | tail -3)"; good=1; }
done
judge "none: array of 3 seeds" "Slurm" $good "same bits as each alone"

exit $((failures > 0))
