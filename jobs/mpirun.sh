#!/usr/bin/env bash
# jobs/mpirun.sh RANKS COMMAND [ARG ...]: mpirun on one machine, also as root or with more ranks than cores.
#   jobs/mpirun.sh 2 build-release/src/cli/thaw train jobs/tutorial.yaml
# Ranks are pinned to one core each where there are enough of them. On several machines use mpirun itself, with
# --hostfile, or Slurm (jobs/train.sbatch); see jobs/README.md.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
ranks=$1
shift
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
if [ "$ranks" -le "$(nproc)" ]; then
  export OMPI_MCA_hwloc_base_binding_policy=core:if-supported
else
  export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
fi
export OMPI_MCA_btl_vader_single_copy_mechanism=none # containers forbid reading another process's memory
exec mpirun -np "$ranks" "$@"
