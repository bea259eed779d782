#!/usr/bin/env bash
# scaling.sh THAW SOURCE: jobs/scaling still builds from src/comm, and a simulated step takes as long as it should: not less than its computation,
# more on a slow network than on a fast one, and least on one rank (there: the arithmetic of the sum).
source=$2
command -v smpicc >/dev/null && command -v smpirun >/dev/null || { echo "skipped: SimGrid (libsimgrid-dev) is not installed"; exit 77; }
out=$(timeout 250 "$source/jobs/scaling/scaling.py" --measured head:64=0.14/0.12/0.01 --ranks 1,4) || { echo "FAILED: $out"; exit 1; }
echo "$out"
awk -F'|' '/^\| head, from the cache/ { n++; one = $7 + 0; four = $8 + 0; if (one < 60 || four < 5 || four >= one) bad = 1; if (n == 2 && four <= slow) bad = 1; slow = four }
  END { exit n != 2 || bad }' <<<"$out" || { echo "FAILED: implausible"; exit 1; }
