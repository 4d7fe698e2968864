#!/usr/bin/env bash
# Break things on purpose and count what is lost: run_torture.sh [--short] [OUTPUT_DIR]
# An hour on two cores; --short takes a few minutes. Figures and logs go to OUTPUT_DIR,
# torture_output by default. The status is 1 if anything failed or was lost.
set -euo pipefail
# Given from where the caller stands.
here=$PWD
cd "$(dirname "$0")/.."
absolute() { case $1 in /*) echo "$1" ;; *) echo "$here/$1" ;; esac; }
files=1000 cuts=200 checkpoints=200 configs=200 frames=200000 trainings=20 pairs=4 disks=10
if [ "${1:-}" = --short ]; then
  files=50 cuts=20 checkpoints=20 configs=10 frames=5000 trainings=2 pairs=1 disks=1
  shift
fi
output=torture_output
environment=.venv
if [ $# -gt 0 ]; then output=$(absolute "$1"); fi
if [ -n "${FAIRMOT_ENV:-}" ]; then environment=$(absolute "$FAIRMOT_ENV"); fi
bash tools/setup_env.sh "$environment"
mkdir -p "$output"

failed=""
experiment() { # name, file of the figures, options
  local name=$1 out=$2 start=$SECONDS
  shift 2
  echo "[torture] $name $*"
  if "$environment/bin/python" "tools/robustness/$name.py" "$@" --out "$output/$out" \
    >"$output/$name.log" 2>&1; then
    echo "[torture] $name: nothing lost, $((SECONDS - start)) s"
  else
    echo "[torture] $name: FAILED, see $output/$name.log" >&2
    failed+=" $name"
  fi
}
experiment mutations mutations.json --count "$files"
experiment cut_files cut_files.json --count "$cuts"
experiment checkpoint_damage checkpoint_damage.json --count "$checkpoints"
experiment random_configs random_configs.json --count "$configs"
experiment long_stream long_stream.png --frames "$frames"
experiment training_kills training_kills.json --count "$trainings" --pairs "$pairs"
if [ "$(id -u)" = 0 ]; then # small file systems are mounted
  experiment full_disks full_disks.json --count "$disks"
else
  echo "[torture] full_disks: left out, it takes root"
fi
echo "[torture] figures and logs: $output"
if [ -n "$failed" ]; then
  echo "error: failed:$failed" >&2
  exit 1
fi
