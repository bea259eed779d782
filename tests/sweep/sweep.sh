#!/usr/bin/env bash
# sweep.sh THAW SOURCE: every candidate has the bits that `thaw train` gives its job; the table does not depend on ranks, groups,
# kill and resume; grid, random search and successive halving; a candidate that diverges; bad input.
# shellcheck source=../cli/support.sh
. "$(dirname "$0")/../cli/support.sh"
make_data=$(dirname "$thaw")/../../tests/train/make_data
cd "$work"

must_run() {
  run "$@"
  [ "$code" = 0 ] || { complain "thaw ${*:2} on $1 ranks: exit code $code: $(cat err)"; finish; }
}
# A column of sweep.csv, without the header, in the order of candidates.
column() { # FOLDER NAME
  python3 -c 'import csv, sys
rows = sorted(csv.DictReader(open(sys.argv[1] + "/sweep.csv")), key=lambda r: (int(r["candidate"]), int(r["fold"])))
print("\n".join(r[sys.argv[2]] for r in rows))' "$1" "$2"
}
# Everything but the folders.
table() { sed 's/,[^,]*$//' "$1/sweep.csv"; }
same_table() { diff <(table "$1") <(table "$2") >diff.txt || complain "$2/sweep.csv differs from $1: $(cat diff.txt)"; }

"$make_data" train 70 3 32 2 1
"$make_data" validation 30 3 32 2 2
job() {
  cat <<YAML
name: $1
backbone: {architecture: vgg16, cut: block1_pool, input: [32, 32, 3]}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 8, activation: relu}
  - {layer: dropout, rate: 0.2}
  - {layer: dense, units: 3, activation: softmax}
data: {train: train, validation: validation, leaks: ignore}
training: {loss: categorical_crossentropy, batch_size: 16, epochs: ${2:-3}, optimizer: adam}
YAML
}
{ job grid; cat <<'YAML'
sweep:
  units: [4, 12]
  learning_rate: [0.001, 0.03]
  seed: [0, 5]
YAML
} > grid.yaml

# --- a grid, on one rank; each candidate against its job alone
must_run 1 sweep grid.yaml
[ "$(column runs/grid candidate | paste -sd,)" = 1,2,3,4,5,6,7,8 ] || complain "not 8 candidates: $(cat runs/grid/sweep.csv)"
[ "$(column runs/grid units | paste -sd,)" = 4,4,4,4,12,12,12,12 ] || complain "the last parameter does not vary fastest"
[ "$(column runs/grid parameters_sha256 | sort -u | wc -l)" = 8 ] || complain "candidates with the same parameters"
for c in 1 4 8; do
  must_run 2 train "runs/grid/00$c/job.yaml" -o "alone/$c" -q
  [ "$(sed -n 's/^parameters sha256 //p' out)" = "$(column runs/grid parameters_sha256 | sed -n "${c}p")" ] ||
    complain "candidate $c has other bits than its job alone"
done
grep -q 'units: 12' runs/grid/008/job.yaml || complain "candidate 8 has not 12 units"
# What ranks is the least validation loss of each history.
python3 - <<'PY' || complain "sweep.csv is not ranked by the best val_loss"
import csv
rows = list(csv.DictReader(open("runs/grid/sweep.csv")))
best = []
for r in rows:
    history = [float(h["val_loss"]) for h in csv.DictReader(open(r["folder"] + "/metrics.csv"))]
    assert abs(min(history) - float(r["score"])) < 1e-9 and history.index(min(history)) + 1 == int(r["best_epoch"])
    best.append(min(history))
assert best == sorted(best) and [int(r["rank"]) for r in rows] == list(range(1, 9))
PY
winner=$(sed -n 's/^best //p' <("$thaw" sweep grid.yaml --resume 2>err))
[ "$winner" = "runs/grid/$(readlink runs/grid/best)" ] || complain "best is '$winner', the link $(readlink runs/grid/best)"
[ "$(head -c 4 runs/grid/sweep.png | tail -c 3)" = PNG ] || complain "no sweep.png"
must_run 1 evaluate runs/grid/best -q
must_run 1 export runs/grid/best -o winner.keras -q
must_run 1 inspect runs/grid/best

# --- the same on several ranks, one and two of them on a candidate
must_run 3 sweep grid.yaml -o three
must_run 3 sweep grid.yaml -o two --group 2
same_table runs/grid three
same_table runs/grid two

# --- killed and resumed on another number of ranks
"$thaw" sweep grid.yaml -o killed >killed.log 2>&1 &
victim=$!
for _ in $(seq 400); do
  [ -e killed/003/job.key ] && break
  sleep 0.05
done
kill -9 $victim
wait $victim 2>/dev/null || true
[ -e killed/sweep.csv ] && complain "the sweep was over before it was killed"
must_run 2 sweep grid.yaml -o killed --resume
same_table runs/grid killed

# --- random draws: the same for a seed, other ones for another
{ job random; cat <<'YAML'
sweep:
  search: random
  trials: 5
  learning_rate: {low: 1.0e-4, high: 0.1, log: true}
  units: {low: 4, high: 9}
  optimizer: [adam, {name: sgd, momentum: 0.9}]
  head[2].rate: [0, 0.5]
YAML
} > random.yaml
must_run 2 sweep random.yaml
[ "$(column runs/random learning_rate | sort -u | wc -l)" = 5 ] || complain "draws repeat: $(column runs/random learning_rate)"
python3 - <<'PY' || complain "draws lie outside of their ranges"
import csv
for r in csv.DictReader(open("runs/random/sweep.csv")):
    assert 1e-4 <= float(r["learning_rate"]) <= 0.1 and 4 <= int(r["units"]) <= 9 and r["head[2].rate"] in ("0", "0.5")
PY
sed 's/search: random/search: random\n  search_seed: 1/' random.yaml > seeded.yaml
must_run 1 sweep seeded.yaml -o seeded
[ "$(column seeded learning_rate)" != "$(column runs/random learning_rate)" ] || complain "another search_seed gives the same draws"

# --- successive halving: 9, 3 and 1 candidates, and the bits of an uninterrupted training for the winner
{ job halving 9; cat <<'YAML'
sweep:
  search: halving
  learning_rate: {low: 1.0e-4, high: 0.05, log: true, steps: 3}
  units: [4, 8, 12]
YAML
} > halving.yaml
must_run 2 sweep halving.yaml
[ "$(column runs/halving epochs | sort -n | uniq -c | sed 's/^ *//' | paste -sd,)" = "6 1,2 3,1 9" ] ||
  complain "epochs of the candidates: $(column runs/halving epochs | paste -sd,)"
must_run 1 train runs/halving/best/job.yaml -o alone/halving -q
[ "$(sed -n 's/^parameters sha256 //p' out)" = "$(sed -n 2p runs/halving/sweep.csv | sed 's/.*,ok,\([0-9a-f]*\),.*/\1/')" ] ||
  complain "the winner of the halving has other bits than its job alone"
must_run 1 sweep halving.yaml -o halving-one
same_table runs/halving halving-one

# --- a candidate that diverges is the last one; whole heads and a monitor of the sweep's own
{ job odd; cat <<'YAML'
sweep:
  monitor: val_mae
  loss: [mse]
  learning_rate: [1.0e-12, 1000]
  optimizer: [sgd]
  training.metrics: [mae]
  head:
    - [{layer: global_average_pooling}, {layer: dense, units: 3}]
    - [{layer: flatten}, {layer: dense, units: 3}]
YAML
} > odd.yaml
must_run 2 sweep odd.yaml
grep -q '^   [34] .*1000.*diverged' out || complain "the table does not tell what diverged: $(cat out)"
[ "$(column runs/odd state | sort | uniq -c | sed 's/^ *//' | paste -sd,)" = "2 diverged,2 ok" ] || complain "states: $(column runs/odd state)"
grep -q 'monitor: val_mae' runs/odd/001/job.yaml || complain "sweep.monitor did not reach the job"

# --- one clear line
bad() { # LINE MESSAGE
  { job bad; printf 'sweep:\n  %s\n' "$1"; } > bad.yaml
  fails 2 "$2" sweep bad.yaml
}
bad 'unitz: [3]' "bad.yaml:11: sweep: unknown key 'unitz' (did you mean 'units'?)"
bad 'units: []' "bad.yaml:11: sweep.units: the list is empty"
bad 'units: 5' "expected a list of values, or a range"
bad 'training.mixxup: [1]' "unknown key 'mixxup' (did you mean 'mixup'?)"
bad 'dropout: [3]' "bad.yaml:11: head[2].rate: 3 is out of range"
bad 'head[9].units: [3]' "the job's list is shorter than that"
bad 'optimizer: [adma]' "unknown optimizer 'adma' (did you mean 'adam'?)"
bad 'learning_rate: {low: 1, high: 2}' "a grid needs a list, or a range with 'steps'"
bad 'learning_rate: {low: 2, high: 1, steps: 3}' "'high' must be above 'low'"
bad 'search: haling' "expected grid, random or halving (did you mean 'halving'?)"
bad 'trials: 3' "is for search: random or halving"
bad 'search: random' "names nothing to try"
bad 'momentum: [0.9]' "unknown key 'momentum'"
job plain > plain.yaml
fails 2 "has no section 'sweep'" sweep plain.yaml
fails 2 "is for thaw sweep" train grid.yaml
fails 2 "--resume goes on with it" sweep grid.yaml
sed 's/units: \[4, 12\]/units: [4, 13]/' grid.yaml > other.yaml
fails 2 "holds another sweep" sweep other.yaml -o runs/grid --resume
fails 2 "nothere.yaml" sweep nothere.yaml
finish
