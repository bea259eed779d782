#!/usr/bin/env bash
# net-up.sh HOSTS PREFIX: network namespaces PREFIX0, PREFIX1, ... as hosts node0, node1, ... with addresses 10.78.0.10, ... on a bridge in
# the namespace PREFIXhub. As root. net-down.sh removes them with every process inside.
set -eu
hosts=$1 prefix=$2
net=10.78.0
ip netns add "${prefix}hub"
ip -n "${prefix}hub" link set lo up
ip -n "${prefix}hub" link add br0 type bridge
ip -n "${prefix}hub" link set br0 up
ip -n "${prefix}hub" addr add $net.1/24 dev br0
names() {
  echo "127.0.0.1 localhost"
  echo "$net.1 control"
  for ((j = 0; j < hosts; j++)); do echo "$net.$((10 + j)) node$j"; done
}
# What lies in /etc/netns/NAME is what processes of that namespace see in /etc.
mkdir -p "/etc/netns/${prefix}hub" && names >"/etc/netns/${prefix}hub/hosts"
for ((i = 0; i < hosts; i++)); do
  ip netns add "$prefix$i"
  ip -n "$prefix$i" link set lo up
  ip -n "$prefix$i" link add eth0 type veth peer name "v$i" netns "${prefix}hub"
  ip -n "${prefix}hub" link set "v$i" master br0 up
  ip -n "$prefix$i" addr add $net.$((10 + i))/24 dev eth0
  ip -n "$prefix$i" link set eth0 up
  mkdir -p "/etc/netns/$prefix$i" && names >"/etc/netns/$prefix$i/hosts"
done
