#!/usr/bin/env bash
# Make the environment: setup_env.sh [--family NAME] [DIR]
# NAME: onedl (default), the maintained continuation of the OpenMMLab toolboxes, or
# openmmlab, the originals. DIR: .venv, or .venv-openmmlab, beside this repository.
# Run again, it brings an existing one up to date. PYTHON names the interpreter.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
supported="3.11 3.12 3.13"

say() { echo "[setup] $*"; }
fail() {
  echo "error: $*" >&2
  exit 2
}

family=onedl
directory=""
while [ $# -gt 0 ]; do
  case $1 in
    --family) family=${2:-} && shift ;;
    -*) fail "unknown option $1: setup_env.sh [--family onedl|openmmlab] [DIR]" ;;
    *) directory=$1 ;;
  esac
  shift
done
case $family in
  onedl) directory=${directory:-$repository/.venv} ;;
  openmmlab) directory=${directory:-$repository/.venv-openmmlab} ;;
  *) fail "no family '$family' of toolboxes: onedl or openmmlab" ;;
esac

is_supported() {
  local version
  version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) &&
    [[ " $supported " == *" $version "* ]]
}

# Absent, or left half made where Python's module venv was incomplete.
if ! "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
  python=""
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
    if [ -n "$candidate" ] && is_supported "$candidate"; then
      python=$candidate
      break
    fi
  done
  if [ -z "$python" ]; then
    fail "no Python of $supported found, name one: PYTHON=/path/to/python $0"
  fi
  say "making $directory with $("$python" --version)"
  "$python" -m venv "$directory"
fi
if ! is_supported "$directory/bin/python"; then
  fail "$directory holds a Python other than $supported: choose another directory"
fi
pip=("$directory/bin/python" -m pip --disable-pip-version-check)
# pip would compile the 24 000 modules one after the other, at the end.
install=("${pip[@]}" install -q --no-compile)
compile() { # FOLDER; some modules are for other versions of Python
  "$directory/bin/python" -m compileall -qq -j 0 "$1" || true
}

# What is installed is a function of these two files; unchanged, there is nothing to do.
state="$(cat "$repository/setup.cfg" "$repository/tools/setup_env.sh" | cksum) $family $repository"
if [ "$(cat "$directory/.fairmot_mm" 2>/dev/null)" = "$state" ]; then
  say "$directory is up to date"
  exit 0
fi
rm -f "$directory/.fairmot_mm"

# Both families write the same folders.
others="mmengine mmcv mmcv-lite mmdet"
if [ "$family" = openmmlab ]; then others="onedl-mmengine onedl-mmcv onedl-mmdetection"; fi
for other in $others; do
  if "${pip[@]}" show -q "$other" >/dev/null 2>&1; then
    fail "$directory holds '$other', of the other family of toolboxes: choose another directory"
  fi
done

say "1/4 PyTorch"
"${install[@]}" torch==2.14.1 torchvision==0.29.1
compile "$directory"/lib/python*/site-packages/torch & # beside pip

say "2/4 fairmot_mm with the $family toolboxes, evaluation and test dependencies"
if [ "$family" = onedl ]; then
  # Ninja and a compiler would otherwise spend a quarter of an hour on MMCV's operators.
  MMCV_WITH_OPS=0 "${install[@]}" -e "$repository[mm,test]"
else
  "${install[@]}" -e "$repository[test]"
  # Their pins predate current versions of what they need.
  MMCV_WITH_OPS=0 "${install[@]}" --no-deps mmengine==0.10.7 mmcv-lite==2.1.0 mmdet==3.3.0
  "${install[@]}" addict matplotlib packaging pycocotools pyyaml shapely six termcolor \
    terminaltables tqdm yapf
fi

say "3/4 MMTracking, without its stale pins"
"${install[@]}" --no-deps mmtrack==1.0.0rc1 mmcls==1.0.0rc6
if ! output=$("${install[@]}" seaborn scikit-learn attributee model-index markdown einops 2>&1); then
  echo "$output" >&2
  exit 1
fi
# What is left is that the pins are not met.
echo "$output" | grep -v -e 'dependency resolver' -e ' requires ' >&2 || true

wait
compile "$directory/lib"

say "4/4 check"
if ! "$directory/bin/python" -c 'import cv2' 2>/dev/null; then
  # No graphics library on this machine: the build that does without takes its place.
  version=$("${pip[@]}" show opencv-python | sed -n 's/^Version: //p')
  "${install[@]}" --force-reinstall --no-deps "opencv-python-headless==$version"
fi
"$directory/bin/python" -c '
import torch, mmcv, mmdet, mmengine, fairmot_mm.integrations.mmtrack
print("[setup] torch", torch.__version__, "mmengine", mmengine.__version__,
      "mmcv", mmcv.__version__, "mmdet", mmdet.__version__,
      "CUDA" if torch.cuda.is_available() else "CPU")'
echo "$state" >"$directory/.fairmot_mm"
say "done: $directory/bin/python, or  source $directory/bin/activate"
