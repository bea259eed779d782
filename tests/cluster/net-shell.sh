#!/usr/bin/env bash
# net-shell.sh nodeN COMMAND...: runs a command "on" a host of net-up.sh, as ssh would; THAW_NET is the prefix. mpirun uses it as its agent.
host=$1 prefix=${THAW_NET:?}
shift
exec ip netns exec "$prefix${host#node}" unshare --uts bash -c "hostname $host; $*"
