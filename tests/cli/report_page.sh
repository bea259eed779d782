#!/usr/bin/env bash
# report_page.sh THAW SOURCE: the page of a whole run, with hostile names of classes, files, subgroups and the job, in headless
# Chromium, wide and on a phone: nothing runs, nothing is asked for, all pictures decode, nothing is wider than the window.
# shellcheck source=support.sh
. "$(dirname "$0")/support.sh"
cd "$work"

python3 - <<'PY'
import os, random, struct, zlib
random.seed(3)
def png(path, rows):
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(path, "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
quote = lambda text: '"' + text.replace('"', '""') + '"'
names = ["<script>window.hacked = 1</script>", "\"'><img src=x onerror=\"window.hacked=2\">", "\u202egnp.exe \u2603 \u4e2d\u6587 & <!--",
         "a" * 200, "tab\there\x01\x1b[31m\x7f", "${window.hacked=3}]]></style></title><svg/onload=window.hacked=4>"]
os.makedirs("images<b onmouseover='window.hacked=5'>")
rows = ["path,label,group,site"]
for i in range(72):
    k = i % 6
    path = f"images<b onmouseover='window.hacked=5'>/{i}<i>\".png"
    png(path, [[min(255, random.randrange(80) + 40 * k * (c == k % 3)) for x in range(32) for c in range(3)] for y in range(32)])
    rows.append(",".join(map(quote, [path, names[k], f"p{i // 2}", "<iframe src=//evil.example>" if i % 4 else "</td></table>x"])))
open("list.csv", "w").write("\n".join(rows) + "\n")
PY
must_run 1 import list.csv --subgroups site --size 32x32 --split 0.5,0.25,0.25 -o shards -q
cat >"job'<script>.yaml" <<'YAML'
name: "run<script>window.hacked=6<!--"
output: "runs<script>/it's"
backbone: {architecture: vgg16, input: [32, 32, 3], cut: block2_pool}
head:
  - {layer: global_average_pooling}
  - {layer: dense, units: 6, activation: softmax}
data: {train: shards/train, validation: shards/validation, test: shards/test}
training:
  loss: categorical_crossentropy
  phases:
    - {epochs: 2, optimizer: {name: adam, learning_rate: 0.001}}
    - {epochs: 1, unfreeze: block2_conv2, optimizer: {name: adam, learning_rate: 0.0001}}
YAML
folder="runs<script>/it's"
must_run 2 train "job'<script>.yaml" -q
must_run 1 evaluate "$folder" -q
must_run 1 report "$folder"
grep -q 'no heat maps in it: `thaw explain runs<script>/it.s DATA' out || complain "report does not say how to get heat maps: $(cat out)"
grep -qF '<code>thaw explain runs&lt;script&gt;/it&#39;s ' "$folder/report.html" || complain "nor does the page"
must_run 1 explain "$folder" shards/test -n 6 --neighbours 1 -q
must_run 1 report "$folder" -q
page=$folder/report.html
for part in 'id=data' 'id=model' 'id=curves' 'id=evaluation' 'id=explain' 'id=repeat' 'layers in phase 2' 'Subgroups' '36 samples of 32' \
  'mpirun -n 2 thaw train' '&lt;script&gt;window.hacked = 1&lt;/script&gt;' 'name: &quot;run&lt;script&gt;'; do
  grep -qF "$part" "$page" || complain "the page lacks '$part'"
done
# The digests are those of the data and of the run's end.
! grep -q 'No heat maps' "$page" || complain "the page has heat maps and says it has none"
for digest in "$(sed -n 's/^ *digest: *//p' shards/train/catalog.yaml | head -1)" "$(grep -o 'parameters_sha256": "[0-9a-f]*' "$folder/log.jsonl" | grep -o '[0-9a-f]\{64\}')"; do
  [ -z "$digest" ] || grep -qF "$digest" "$page" || complain "the page lacks the digest $digest"
done
[ "$(ls "$folder/data" | grep -c png)" = 6 ] || complain "not one strip of samples per class: $(ls "$folder/data")"
python3 -c '
import json, sys
sheet = json.load(open(sys.argv[1]))
assert [s["name"] for s in sheet["splits"]] == ["training", "validation", "test"]
assert sum(s["samples"] for s in sheet["splits"]) == 72
for s in sheet["splits"]: assert sum(c["yes"] for c in s["classes"]) == s["samples"]
' "$folder/data/data.json" || complain "data.json does not count every sample once"

# The same page again, byte for byte; without samples; and what was there stays when the data is gone.
cp "$page" first.html
must_run 3 report "$folder" -q
same "$page" first.html
must_run 1 report "$folder" --no-samples -q
[ "$(ls "$folder/data")" = data.json ] || complain "--no-samples leaves $(ls "$folder/data")"
must_run 1 report "$folder" -q
mv shards elsewhere
must_run 1 report "$folder" -q
same "$page" first.html

browse() { timeout 120 python3 "$source_folder/tests/report/browser.py" "$@" >browser 2>&1; }
# The browser's eye is sharp: each fault of a bad page is told.
cat >bad.html <<'HTML'
<!doctype html><title>bad</title><body><script>window.hacked = 1; throw new Error("x")</script>
<img src="http://192.0.2.1/a.png"><img alt=torn src="data:image/png;base64,iVBORw0KGgo="><div style="width:3000px">wide</div>
HTML
code=0
browse bad.html 390: || code=$?
if [ "$code" != 77 ]; then
  for fault in 'asks for http://192.0.2.1/a.png' 'script: Uncaught' 'cannot be decoded: torn' 'is 3000 pixels wide\|is 30[0-9]* pixels wide' 'one ran: True'; do
    grep -q "$fault" browser || complain "the browser does not see: $fault: $(cat browser)"
  done
fi

code=0
browse "$page" 1280:wide.png 390:phone.png || code=$?
cat browser
[ "$code" = 0 ] || [ "$code" = 77 ] || complain "the page in Chromium: exit code $code"
[ "$code" = 77 ] || { [ -s wide.png ] && [ -s phone.png ]; } || complain "no pictures of the page"
[ "$failures" != 0 ] || [ "$code" != 77 ] || { echo "all but Chromium passed" && exit 77; }
finish
