# jobs/common.sh: what the scripts of this folder share; they source it. shellcheck shell=bash
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
root=$(dirname "$here")
fail() { echo "${0##*/}: $*" >&2 && exit 2; }
number() { [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "$1 needs a number, found '${2:-}'"; }
say() { printf '\n== %s\n' "$*"; }

# find_thaw [GROUP ...]: $thaw is the command that $THAW names, or this project's, built where it is missing; GROUP: packages
# besides those for building.
find_thaw() {
  thaw=${THAW:-$root/build-release/src/cli/thaw}
  [ ! -x "$thaw" ] || return 0
  "$here/install-packages.sh" build "$@"
  cmake -S "$root" -B "$root/build-release" -G Ninja -DTHAW_TESTS=OFF >/dev/null
  ninja -C "$root/build-release"
}

# find_weights ARCHITECTURE: $weights becomes an absolute path; `none` stays; of nothing VGG16's are fetched.
find_weights() {
  if [ -z "$weights" ] && [ "$1" = vgg16 ]; then
    weights=$root/weights/vgg16_imagenet_notop.h5
    "$root/datasets/fetch-vgg16.sh" "$weights"
  fi
  [ -n "$weights" ] || fail "--weights FILE: the weights of $1, or none"
  [ "$weights" = none ] || weights=$(readlink -e "$weights") || fail "--weights: no such file"
}

run() { "$here/mpirun.sh" "${ranks:?}" "$thaw" "$@"; }
