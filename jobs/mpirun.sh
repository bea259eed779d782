#!/usr/bin/env bash
# jobs/mpirun.sh RANKS COMMAND [ARG ...]: mpirun on one machine, also as root or with more ranks than cores.
#   jobs/mpirun.sh 2 build-release/src/cli/thaw train jobs/tutorial.yaml
# Ranks are pinned to one core each where there are enough of them. THAW_HOSTS=FILE: on the machines of a host file
# ("node1 slots=16" a line). For Slurm see jobs/train.sbatch, and jobs/README.md for all of it.
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
# A cut cable or a dead node is noticed by mpirun after 25 seconds; Open MPI's own values make it eight minutes.
export OMPI_MCA_oob_tcp_keepalive_time=10 OMPI_MCA_oob_tcp_keepalive_intvl=5 OMPI_MCA_oob_tcp_keepalive_probes=3
if [ -n "${THAW_HOSTS:-}" ]; then
  unset OMPI_MCA_rmaps_base_oversubscribe OMPI_MCA_mpi_yield_when_idle
  export OMPI_MCA_hwloc_base_binding_policy=core:if-supported
  exec mpirun --hostfile "$THAW_HOSTS" -x OPENBLAS_NUM_THREADS -np "$ranks" "$@"
fi
exec mpirun -np "$ranks" "$@"
