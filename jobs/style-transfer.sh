#!/usr/bin/env bash
# jobs/style-transfer.sh [OPTION of thaw style ...]: a cat in the style of galaxies, with the pictures of Debian's python3-skimage
# (chelsea.png, CC0; hubble_deep_field.jpg, NASA, public domain) and VGG16; the result and a picture every 50 steps go to
# style-transfer/ in this project. A minute or two. THAW names another build's command. Pictures larger than a window pay several ranks.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,4s/^# //p' "$0" && exit 0 ;; esac
# shellcheck source=common.sh
. "$(dirname "$(readlink -f "$0")")/common.sh"
folder=$root/style-transfer
find_thaw
weights=''
find_weights vgg16

mkdir -p "$folder" && cd "$folder"
if [ ! -s chelsea.png ]; then # the pictures alone: nothing is installed
  apt-get download -qq python3-skimage 2>/dev/null || { echo "style-transfer.sh: apt-get cannot download python3-skimage" >&2; exit 1; }
  dpkg-deb --fsys-tarfile python3-skimage_*.deb | tar -x --strip-components=7 --wildcards '*/skimage/data/chelsea.png' '*/skimage/data/hubble_deep_field.jpg'
  rm python3-skimage_*.deb
fi
"$thaw" style chelsea.png --style hubble_deep_field.jpg --weights "$weights" --size 448 --content-weight 40 --steps 150 --every 50 \
  -o cat-in-galaxies.png "$@"
