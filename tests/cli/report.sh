#!/usr/bin/env bash
# thaw report: the page and the pictures from a run folder; the same on several ranks; clear words about bad folders.
. "$(dirname "$0")/support.sh"

mkdir "$work/run"
printf 'phase,epoch,step,learning_rate,loss,val_loss,seconds\n1,1,10,0.1,2,2.5,1\n1,2,20,0.1,1,1.5,1\n' \
  >"$work/run/metrics.csv"
for ranks in 1 3; do
  rm -f "$work/run/report.html" "$work/run/learning_curve.png"
  run $ranks report "$work/run"
  [ "$code" = 0 ] || complain "report on $ranks ranks: exit code $code: $(cat "$work/err")"
  [ "$(cat "$work/out")" = "wrote $work/run/report.html
no heat maps in it: \`thaw explain $work/run DATA --top-losses\`, and report again" ] || complain "report on $ranks ranks says $(cat "$work/out")"
  grep -q "No heat maps .*<code>thaw explain $work/run DATA --top-losses</code>" "$work/run/report.html" || complain "no word of heat maps"
  grep -q 'data:image/png;base64,' "$work/run/report.html" || complain "no picture in the page"
  head -c 8 "$work/run/learning_curve.png" | od -An -c | grep -q 'P   N   G' || complain "no learning_curve.png"
  [ "$(ls "$work/run" | wc -l)" = 3 ] || complain "leftovers: $(ls "$work/run")"
done
run 1 report -q "$work/run"
[ "$code" = 0 ] && [ ! -s "$work/out" ] || complain "report -q is not quiet"

fails 3 "not a run folder" report "$work"
echo 'a,b' >"$work/run/metrics.csv"
echo '1' >>"$work/run/metrics.csv"
fails 3 "metrics.csv:2: 1 cells, expected 2" report "$work/run"
finish
