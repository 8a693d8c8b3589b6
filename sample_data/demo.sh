#!/bin/sh
# Run the main commands on the sample images: make-list, pack, inspect, iterate, bench, extract. Called by `make demo`;
# writes to build/demo.
set -eu
cd "$(dirname "$0")/.."
rm -rf build/demo
mkdir -p build/demo

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

run im2rec make-list sample_data/photos --prefix build/demo/photos --shuffle --split 0.9
run im2rec pack build/demo/photos_train.lst sample_data/photos build/demo/train.rec resize=128
run im2rec inspect build/demo/train.rec
run im2rec pack sample_data/labels4.lst sample_data/photos build/demo/labels4.rec resize=128 label_width=4 pack_label=1
run im2rec inspect build/demo/labels4.rec --head 2
run im2rec inspect build/demo/train.rec --verify --sheet build/demo/sheet.png
run im2rec iterate build/demo/train.rec --batch-size 8 --data-shape 3,112,112 shuffle=1 rand_crop=1 rand_mirror=1 \
    --epochs 2 --sheet build/demo/batches
run im2rec iterate build/demo/train.rec --data-shape 3,112,112 shuffle=1 rand_crop=1 rand_mirror=1 brightness=0.3 \
    --sheet build/demo --sheet-draws 8
run im2rec iterate build/demo/labels4.rec label_width=4 --batch-size 8
run im2rec bench build/demo/train.rec --batch-size 8 --data-shape 3,112,112 --seconds 0.2
run im2rec inspect sample_data/old.rec --html build/demo/report.html
run im2rec extract build/demo/train.rec build/demo/images --classes build/demo/photos.classes.txt
