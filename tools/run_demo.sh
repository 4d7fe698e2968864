#!/usr/bin/env bash
# Render pedestrians, fine-tune the packaged weights on them, track others, before and
# after: run_demo.sh [OUTPUT_DIR].
set -euo pipefail
# Given from where the caller stands.
here=$PWD
cd "$(dirname "$0")/.."
absolute() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
output=demo_output
environment=.venv
if [ $# -gt 0 ]; then output=$(absolute "$1"); fi
if [ -n "${FAIRMOT_ENV:-}" ]; then environment=$(absolute "$FAIRMOT_ENV"); fi
config=configs/fairmot_yolov5s_demo.py
bash tools/setup_env.sh "$environment"
python=$environment/bin/python

track() { # CHECKPOINT NAME [OPTIONS OF THE CONFIG]
  "$python" tools/test.py "$config" "$1" --work-dir "$output/work" \
    --out "$output/results_$2" --show-dir "$output/videos_$2" \
    --cfg-options test_dataloader.dataset.data_root="$output/unseen/test" "${@:3}"
  "$python" tools/analysis_tools/eval_mot.py --gt-root "$output/unseen/test" \
    --results "$output/results_$2" --out "$output/figures_$2.json"
}

echo "[demo] 1/4 rendering sequences of one street; no person is in two of them"
"$python" tools/make_synthetic_mot.py "$output/training" \
  --train 32 --test 0 --frames 10 --people 8 --size 768x320 --street 22 --overwrite
"$python" tools/make_synthetic_mot.py "$output/unseen" \
  --train 0 --test 2 --frames 60 --people 6 --size 768x320 --street 22 --overwrite
echo "[demo] 2/4 tracking with the packaged weights, which have seen real streets only"
track fairmot://yolov5s_576x320 before \
  model.tracker.obj_score_thr=0.35 model.tracker.low_score_thr=None # those of the weights
echo "[demo] 3/4 fine-tuning them, a few minutes on two cores"
"$python" tools/train.py "$config" --work-dir "$output/work" \
  --cfg-options train_dataloader.dataset.data_root="$output/training/train"
echo "[demo] 4/4 tracking people never seen in training"
track "$(cat "$output/work/last_checkpoint")" after
echo "[demo] figures  $output/figures_before.json, $output/figures_after.json"
echo "[demo] results  $output/results_after"
echo "[demo] videos   $(ls "$output"/videos_*/*.mp4 | tr '\n' ' ')"
