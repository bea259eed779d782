#!/usr/bin/env bash
# thaw bench: its tables and its last line, which jobs/bench-peers.sh reads; wrong names.
. "$(dirname "$0")/support.sh"

fails 2 "unknown architecture 'vgg61' (did you mean 'vgg16'?)" bench --network vgg61
fails 2 "mobilenetv2 has no layer 'block_1_expnd' (did you mean 'block_1_expand'?)" bench --network mobilenetv2 \
  --cut block_1_expnd
fails 2 "vgg16 needs images of at least 32x32" bench --size 16
fails 2 "unfreeze: no backbone layer is called or begins with 'blok5'" bench --size 32 --unfreeze blok5

for ranks in 1 2; do
  run $ranks bench --network mobilenetv2 --size 64 --batch 2 --seconds 0.01
  [ "$code" = 0 ] || complain "mobilenetv2 on $ranks ranks: exit code $code: $(cat "$work/err")"
  [ "$(grep -cE '^total .* [0-9.]+ images/s$' "$work/out")" = 1 ] || complain "no total: $(cat "$work/out")"
  grep -qE '^block_16_project +depthwise, gemm +2x2x960 -> 2x2x320 3x3/1 ' "$work/out" || complain "no row of a depthwise layer"
  grep -qE '^memory: packed weights 8\.[0-9] MB' "$work/out" || complain "no line about memory"

  run $ranks bench --head --batch 16 --slice 4 --seconds 0.01
  [ "$code" = 0 ] || complain "head on $ranks ranks: exit code $code: $(cat "$work/err")"
  [ "$(grep -cE '^total .* [0-9.]+ samples/s$' "$work/out")" = 1 ] || complain "no total: $(cat "$work/out")"

  run $ranks bench --size 32 --unfreeze block5_conv3 --batch 4 --slice 2 --seconds 0.01
  [ "$code" = 0 ] || complain "block5_conv3 on $ranks ranks: exit code $code: $(cat "$work/err")"
  for from in images 'cached features'; do
    grep -qE "^from $from: total .* [0-9.]+ images/s$" "$work/out" || complain "no total from $from: $(cat "$work/out")"
  done
done
finish
