#!/usr/bin/env bash
# large_data.sh THAW SOURCE: jobs/large-data.sh with few samples: it runs, and every cell of its tables is filled.
thaw=$1 source=$2
command -v /usr/bin/time >/dev/null || { echo "skipped: GNU time is not installed"; exit 77; }
out=$(SECONDS_OF_STEPS=5 "$source/jobs/large-data.sh" "$thaw" 20000) || { echo "FAILED: $out"; exit 1; }
echo "$out"
[ "$(grep -cE '^\| 20000( \| [^|]+){8} \|$' <<<"$out")" = 4 ] || { echo "FAILED: rows of the first table"; exit 1; }
[ "$(grep -cE '^\| 20000 \| (full|chunked)( \| [0-9.]+){3} \|$' <<<"$out")" = 2 ] || { echo "FAILED: rows of the second table"; exit 1; }
