#!/usr/bin/env bash
# slurm-down.sh FOLDER PREFIX: ends what slurm-up.sh started.
folder=$1 prefix=$2
[ -f "$folder/env.sh" ] || exit 0
. "$folder/env.sh"
control scancel -u root 2>/dev/null
alive() { # a zombie is dead
  case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in '' | Z | X) return 1 ;; esac
}
# All ids first: slurmctld removes its file at once and lingers. munged last: the others still need it to say goodbye.
daemons=$(cat "$folder"/run/slurmd-*.pid "$folder/run/slurmctld.pid" 2>/dev/null)
munged=$(cat "$folder/run/munged.pid" 2>/dev/null)
for process in $daemons; do kill "$process" 2>/dev/null; done
for ((i = 0; i < 50; i++)); do
  left=0
  for process in $daemons; do alive "$process" && left=1; done
  [ $left = 1 ] || break
  sleep 0.1
done
for process in $daemons; do alive "$process" && kill -9 "$process"; done
[ -z "$munged" ] || kill "$munged" 2>/dev/null
"$(dirname "$(readlink -f "$0")")/net-down.sh" "$prefix"
exit 0
