#!/usr/bin/env bash
# thaw style: a picture is written, the same on any number of ranks; clear words about what is missing. Runs with the real VGG16 of
# ../shared where it is there.
. "$(dirname "$0")/support.sh"
weights=$source_folder/../shared/weights/vgg16_imagenet_notop.h5
cd "$work"
"$(dirname "$thaw")/../../tests/train/make_data" data 8 2 48 1 1
run 1 inspect data/catalog.yaml --sheet sheet.png -q
[ "$code" = 0 ] && [ -s sheet.png ] || complain "no picture: $(cat err)"

fails 2 "needs --style" style sheet.png --weights w.h5
fails 2 "needs --weights" style sheet.png --style sheet.png
fails 2 "names one picture, 2 are given" style sheet.png sheet.png --style sheet.png --weights w.h5 -o one.png
fails 3 "nowhere.png" style nowhere.png --style sheet.png --weights w.h5
fails 3 "w.h5" style sheet.png --style sheet.png --weights w.h5 --size 64
fails 2 "not 'resnet50'" style sheet.png --style sheet.png --weights w.h5 --architecture resnet50 --size 64
[ "$(ls)" = "$(printf 'all\ndata\nerr\nout\nsheet.png')" ] || complain "left: $(ls)"

if [ -e "$weights" ]; then
  for ranks in 1 3; do
    run $ranks style sheet.png --style data/../sheet.png --weights "$weights" --size 96 --style-size 64 --steps 3 --every 2 \
      --optimizer adam --original-colours -o painted$ranks.png
    [ "$code" = 0 ] || complain "style on $ranks ranks: exit code $code: $(cat err)"
    grep -q "wrote painted$ranks.png (96 x .*, 3 steps)" out || complain "style on $ranks ranks says $(cat out)"
  done
  cmp painted1.png painted3.png || complain "another picture on three ranks"
  [ -s painted1-00002.png ] || complain "no picture of step 2"
  # Several small pictures: the ranks take whole ones; a broken one is named and does not keep the others from being painted.
  for i in 1 2 3; do cp sheet.png picture$i.png; done
  for ranks in 1 2 5; do
    run $ranks style picture{1,2,3}.png --style sheet.png --weights "$weights" --size 64 --steps 2 --output-folder out$ranks -q
    [ "$code" = 0 ] || complain "three pictures on $ranks ranks: exit code $code: $(cat err)"
    [ "$(ls out$ranks | wc -l)" = 3 ] && [ "$(grep -c '^wrote ' out)" = 3 ] || complain "three pictures on $ranks ranks: $(ls out$ranks; cat out)"
  done
  for picture in out1/*; do same "$picture" "out2/${picture#*/}" && same "$picture" "out5/${picture#*/}"; done
  echo no picture >picture2.png
  run 3 style picture{1,2,3}.png --style sheet.png --weights "$weights" --size 64 --steps 2 --output-folder broken -q
  [ "$code" = 3 ] && [ "$(grep -c '^error: .*picture2.png' err)" = 1 ] || complain "a broken picture: exit code $code: $(cat err)"
  [ "$(ls broken)" = "$(printf 'picture1-sheet.png\npicture3-sheet.png')" ] || complain "beside a broken picture: $(ls broken)"
else
  echo "$weights is not there: painting is skipped"
fi
finish
