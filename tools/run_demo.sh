#!/usr/bin/env bash
# Make up pedestrians, train FairMOT on them, track others: run_demo.sh [OUTPUT_DIR].
set -euo pipefail
# Given from where the caller stands.
here=$PWD
cd "$(dirname "$0")/.."
absolute() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
output=demo_output
environment=.venv
if [ $# -gt 0 ]; then output=$(absolute "$1"); fi
if [ -n "${FAIRMOT_ENV:-}" ]; then environment=$(absolute "$FAIRMOT_ENV"); fi
config=configs/fairmot_dla34_demo.py
bash tools/setup_env.sh "$environment"
python=$environment/bin/python

echo "[demo] 1/3 making sequences"
# One camera in one street. Many short sequences for training: other people teach more
# than further frames of the same ones.
"$python" tools/make_synthetic_mot.py "$output/training" \
  --train 65 --test 0 --frames 10 --people 8 --size 512x288 --street 3 --overwrite
"$python" tools/make_synthetic_mot.py "$output/unseen" \
  --train 0 --test 4 --frames 30 --people 4 --size 512x288 --street 3 --overwrite
echo "[demo] 2/3 training from scratch, a few minutes on two cores"
"$python" tools/train.py "$config" --work-dir "$output/work" \
  --cfg-options train_dataloader.dataset.data_root="$output/training/train"
checkpoint=$(cat "$output/work/last_checkpoint")
echo "[demo] 3/3 tracking people never seen in training"
"$python" tools/test.py "$config" "$checkpoint" --work-dir "$output/work" \
  --out "$output/results" --show-dir "$output/videos" \
  --cfg-options test_dataloader.dataset.data_root="$output/unseen/test"
"$python" tools/analysis_tools/eval_mot.py --gt-root "$output/unseen/test" \
  --results "$output/results" --out "$output/figures.json"
echo "[demo] figures  $output/figures.json"
echo "[demo] results  $output/results"
echo "[demo] videos   $(ls "$output"/videos/*.mp4 | tr '\n' ' ')"
