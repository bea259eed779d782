#!/usr/bin/env bash
# jobs/install-packages.sh [build|test|data|cluster|fuzz ...]: installs the Debian packages that building, testing, fuzzing, the example data or
# the tests with a Slurm of their own (cluster) need and that are missing. Not root: prints the one command instead and fails. Not Debian: does nothing.
set -euo pipefail
build=(cmake ninja-build pkg-config gcc libc6-dev openmpi-bin libopenmpi-dev libhdf5-dev libpng-dev
  libjpeg62-turbo-dev libyaml-dev librandom123-dev libssl-dev libjansson-dev libcairo2-dev libzip-dev liblbfgs-dev zlib1g-dev
  libprotobuf-c-dev protobuf-c-compiler g++ libdcmtk-dev libopenjp2-7-dev)
test=(libcmocka-dev libopenblas-dev clang-format hdf5-tools python3-pydicom)
fuzz=(clang libclang-rt-14-dev)
data=(dataset-fashion-mnist python3 python3-venv)

wanted=()
for group in "${@:-build}"; do
  case $group in
  build) wanted+=("${build[@]}") ;;
  test) wanted+=("${test[@]}") ;;
  cluster) wanted+=(slurm-wlm munge iproute2 debootstrap) ;;
  fuzz) wanted+=("${fuzz[@]}") ;;
  data) wanted+=("${data[@]}") ;;
  *) sed -n '2,3s/^# //p' "$0" && exit 2 ;;
  esac
done
command -v dpkg-query >/dev/null || { echo "not a Debian system: packages are taken as installed" >&2 && exit 0; }
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "missing packages; install them with: sudo apt-get install -y ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
