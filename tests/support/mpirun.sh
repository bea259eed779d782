#!/usr/bin/env bash
# mpirun.sh RANKS PROGRAM [ARG ...]: mpirun as every test needs it: as root, with more ranks than cores, one BLAS thread.
set -euo pipefail
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OPENBLAS_NUM_THREADS=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none
ranks=$1
shift
exec mpirun -np "$ranks" "$@"
