# support.sh: what the training tests share; sourced by a script that is called with THAW SOURCE. Leaves the shell in an empty
# folder that goes with it.
set -u
thaw=$1 source=$2
make_data=$(dirname "$thaw")/../../tests/train/make_data
mpirun=$source/tests/support/mpirun.sh
folder=$(mktemp -d /tmp/thaw-train-XXXXXX)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0

fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# What a run that was started as `... -o NAME > NAME.log` ended with: the digest of its parameters, and its table of metrics without the
# last column, which is the time.
digest() { sed -n 's/^parameters sha256 //p' "$1.log"; }
table() { sed 's/,[^,]*$//' "$1/metrics.csv" | md5sum; }

same_as() { # REFERENCE NAME
  [ -n "$(digest "$2")" ] || { fail "$2 gave no digest: $(grep error: "$2.log")"; return; }
  [ "$(digest "$2")" = "$(digest "$1")" ] || fail "$2: $(digest "$2") instead of $(digest "$1")"
  [ "$(table "$2")" = "$(table "$1")" ] || fail "$2: its metrics.csv differs from that of $1"
}
