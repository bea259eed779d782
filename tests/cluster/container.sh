#!/usr/bin/env bash
# container.sh THAW SOURCE: the Apptainer definition on a fresh Debian 12. Where Apptainer is installed it builds jobs/thaw.def; else debootstrap makes
# the Debian and the definition's %post, %environment and %test sections are run in there. Either way two ranks train inside. Needs root and
# a Debian mirror; THAW_DEBIAN names a folder with a fresh Debian that is there already.
set -u
thaw=$1 source=$2
skip() {
  echo "skipped: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "only root can make a Debian of its own"
command -v git >/dev/null && git -C "$source" rev-parse HEAD >/dev/null 2>&1 || skip "the sources are no git checkout"
. "$(dirname "$0")/common.sh"
cd "$folder" && mkdir sources && git -C "$source" archive HEAD | tar -x -C sources || exit 1

section() { # NAME: of the definition, without indentation
  sed -n "/^%$1\$/,/^%/{/^%/!s/^    //p}" "$source/jobs/thaw.def"
}
# What is run inside: 300 grey images, imported and trained on one and on two ranks.
cat >inside.sh <<'INSIDE'
set -eu
cd "$(mktemp -d)"
thaw --version
printf '\0\0\010\003\0\0\001\054\0\0\0\014\0\0\0\014' >images.idx
head -c $((300 * 144)) /dev/urandom >>images.idx
printf '\0\0\010\001\0\0\001\054' >labels.idx
for i in $(seq 100); do printf '\0\001\002'; done >>labels.idx
mpirun -np 2 thaw import images.idx --labels labels.idx -o data --shard-samples 60
cat >job.yaml <<YAML
name: job
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block1_pool}
head: [{layer: global_average_pooling}, {layer: dense, units: 3, activation: softmax}]
data: {train: data/catalog.yaml}
training: {loss: categorical_crossentropy, batch_size: 32, optimizer: adam, epochs: 2}
YAML
mpirun -np 1 thaw train job.yaml -q -o one
mpirun -np 2 thaw train job.yaml -q -o two
INSIDE

if command -v apptainer >/dev/null; then
  how="apptainer build"
  (cd sources && apptainer build ../thaw.sif jobs/thaw.def) >build.log 2>&1 || { tail -20 build.log; exit 1; }
  apptainer exec --bind "$folder" thaw.sif bash "$folder/inside.sh" >inside.log 2>&1
  code=$?
else
  how="%post on a fresh Debian 12"
  command -v unshare >/dev/null && unshare -m true 2>/dev/null || skip "no right to mount"
  debian=${THAW_DEBIAN:-$folder/debian}
  if [ ! -e "$debian/etc/debian_version" ]; then
    command -v debootstrap >/dev/null || skip "neither apptainer nor debootstrap is installed (jobs/install-packages.sh cluster)"
    mirror=$(sed -n 's/^URIs: *//p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
    timeout 600 debootstrap --variant=minbase bookworm "$debian" "${mirror:-http://deb.debian.org/debian}" >debootstrap.log 2>&1 ||
      skip "debootstrap does not work here: $(tail -1 debootstrap.log)"
  fi
  # The way to the mirror is the host's; nothing needs to survive a power cut.
  cp /etc/resolv.conf "$debian/etc/" 2>/dev/null
  cp /etc/apt/apt.conf.d/* "$debian/etc/apt/apt.conf.d/" 2>/dev/null
  echo force-unsafe-io >"$debian/etc/dpkg/dpkg.cfg.d/unsafe-io"
  rm -rf "$debian/opt/thaw" && mkdir -p "$debian/opt" && cp -r sources "$debian/opt/thaw"
  { echo "set -e" && section post; } >"$debian/srv/post.sh"
  { section environment && echo "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1" &&
    section test && cat inside.sh; } >"$debian/srv/inside.sh"
  in_debian() { # SECONDS SCRIPT: mounts and processes end with it
    timeout --kill-after=5 "$1" unshare --mount --pid --fork --kill-child bash -c "
      mount -t proc proc '$debian/proc' && mount --rbind /dev '$debian/dev' && mount -t tmpfs tmpfs '$debian/dev/shm' 2>/dev/null
      exec chroot '$debian' env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv TMPDIR=/tmp LC_ALL=C.UTF-8 bash '$2'"
  }
  in_debian 1200 /srv/post.sh >build.log 2>&1 || { fail "%post: $(tail -20 build.log)"; exit 1; }
  in_debian 120 /srv/inside.sh >inside.log 2>&1
  code=$?
fi
[ $code = 0 ] || { fail "inside: code $code: $(tail -20 inside.log)"; exit 1; }
one=$(digest inside.log | head -1) two=$(digest inside.log | tail -1)
[ -n "$one" ] && [ "$one" = "$two" ] && [ "$(digest inside.log | wc -l)" = 2 ] || fail "inside: '$one' on one rank, '$two' on two"
grep -q "^thaw $("$thaw" --version 2>/dev/null | awk '{print $2; exit}')" inside.log || fail "inside: $(head -3 inside.log)"
row "none: $how" "2 ranks in the container" "$([ $failures = 0 ] && echo "same bits as 1 rank" || echo FAILED)"
exit $((failures > 0))
