#!/usr/bin/env bash
# net-down.sh PREFIX: removes what net-up.sh made, and ends the processes inside.
prefix=$1
for name in $(ip netns list | awk '{print $1}' | grep -E "^$prefix([0-9]+|hub)$"); do
  for process in $(ip netns pids "$name"); do kill -9 "$process" 2>/dev/null; done
  ip netns del "$name"
  rm -rf "/etc/netns/${name:?}"
done
rmdir /etc/netns 2>/dev/null
exit 0
