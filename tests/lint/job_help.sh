#!/usr/bin/env bash
# job_help.sh THAW FOLDER: jobs/JOB-FILE.md says what 'thaw help job' says; the example jobs are whole and current.
set -euo pipefail
thaw=$1 root=$2
"$thaw" help job | diff - <(sed -n '/^```text$/,/^```$/p' "$root/jobs/JOB-FILE.md" | sed '1d;$d') ||
  { echo "jobs/JOB-FILE.md is not what 'thaw help job' prints"; exit 1; }
for script in "$root"/jobs/*.sh "$root"/jobs/*.sbatch "$root"/datasets/*.sh "$root"/tests/run.sh; do bash -n "$script"; done
for script in "$root"/jobs/*.sh "$root"/datasets/*.sh; do
  [ "$(basename "$script")" = mpirun.sh ] || bash "$script" --help >/dev/null 2>&1 || [ $? = 2 ] || { echo "$script --help fails"; exit 1; }
done
