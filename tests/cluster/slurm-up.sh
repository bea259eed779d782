#!/usr/bin/env bash
# slurm-up.sh FOLDER NODES PREFIX: a private Slurm cluster on this machine, as root, without systemd: each slurmd in its own network
# and host name (net-up.sh), slurmctld on the bridge. Nothing outside FOLDER and /etc/netns is touched. Then: . FOLDER/env.sh,
# and `control COMMAND...` runs a Slurm command. slurm-down.sh FOLDER PREFIX ends it.
set -eu
folder=$1 nodes=$2 prefix=$3
here=$(dirname "$(readlink -f "$0")")
mkdir -p "$folder"/{state,spool,log,run,munge,tmp}
chmod 755 "$folder" "$folder"/*
chmod 700 "$folder/munge"
(umask 077 && head -c 128 /dev/urandom >"$folder/munge/key")
munged --key-file="$folder/munge/key" --socket="$folder/run/munge.sock" --pid-file="$folder/run/munged.pid" \
  --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
last=$((nodes - 1))
{
  # cred_expire: a requeued job waits for its old credential to expire; 120 s is the default. KillOnBadExit: else the other ranks of
  # a job wait for ever for one that was killed. preempt_send_user_signal: a preempted job gets the signal of its --signal at once. TmpFS by node: PMIx keeps its files there.
  cat <<CONF
ClusterName=thaw
SlurmctldHost=control(10.78.0.1)
SlurmctldPort=16827
SlurmdPort=16828
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/run/munge.sock,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
TmpFS=$folder/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.log
SwitchType=switch/none
MpiDefault=pmix
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2,bf_interval=2,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PropagateResourceLimits=NONE
ReturnToService=2
JobRequeue=1
KillWait=5
KillOnBadExit=1
SlurmctldTimeout=10
SlurmdTimeout=10
MinJobAge=600
CONF
  for ((i = 0; i < nodes; i++)); do echo "NodeName=node$i NodeHostname=node$i NodeAddr=10.78.0.$((10 + i)) CPUs=2 RealMemory=4000 State=UNKNOWN"; done
  echo "PartitionName=main Nodes=node[0-$last] Default=YES MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30"
  echo "PartitionName=urgent Nodes=node[0-$last] MaxTime=60 State=UP PriorityTier=10 PreemptMode=OFF"
} >"$folder/slurm.conf"
# No resource is confined, so that this works with either version of cgroups and with none; 22.05 wants some plugin named.
printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=no\n' >"$folder/cgroup.conf"
cat >"$folder/env.sh" <<ENV
export SLURM_CONF=$folder/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
control() { ip netns exec ${prefix}hub unshare --uts bash -c 'hostname control; exec "\$@"' x "\$@"; }
start_node() { rm -rf $folder/tmp/node\$1/* && ip netns exec ${prefix}\$1 unshare --uts bash -c "hostname node\$1; exec slurmd -f $folder/slurm.conf -N node\$1"; }
ENV
. "$folder/env.sh"
"$here/net-up.sh" "$nodes" "$prefix"
control slurmctld -f "$SLURM_CONF"
for ((i = 0; i < nodes; i++)); do
  mkdir -p "$folder/spool/node$i" "$folder/tmp/node$i"
  start_node $i
done
for ((i = 0; i < 100; i++)); do
  [ "$(control sinfo -h -N -p main -t idle -o %N 2>/dev/null | wc -l)" != "$nodes" ] || exit 0
  sleep 0.2
done
echo "the nodes do not become idle:" && control sinfo
exit 1
