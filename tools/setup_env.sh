#!/usr/bin/env bash
# Make the environment: setup_env.sh [DIR], .venv beside this repository by default.
# Run again, it brings an existing one up to date.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
directory=${1:-$repository/.venv}

say() { echo "[setup] $*"; }

python=""
for candidate in "${PYTHON:-}" python3.11 python3 python; do
  [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
  if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
# Absent, or left half made where Python's module venv was incomplete.
if ! "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
  if [ -z "$python" ]; then
    echo "error: no Python 3.11 found, name one: PYTHON=/path/to/python3.11 $0" >&2
    exit 1
  fi
  say "making $directory with $("$python" --version)"
  "$python" -m venv "$directory"
fi
if ! "$directory/bin/python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  echo "error: $directory holds another Python than 3.11: choose another directory" >&2
  exit 1
fi
pip=("$directory/bin/python" -m pip --disable-pip-version-check)

# What is installed is a function of these two files; unchanged, there is nothing to do.
state=$(cat "$repository/setup.cfg" "$repository/tools/setup_env.sh" | cksum)
if [ "$(cat "$directory/.fairmot_mm" 2>/dev/null)" = "$state $repository" ]; then
  say "$directory is up to date"
  exit 0
fi
rm -f "$directory/.fairmot_mm"

say "1/4 PyTorch"
"${pip[@]}" install -q torch==2.14.1 torchvision==0.29.1

say "2/4 fairmot_mm with the MM stack, evaluation and test dependencies"
for original in mmengine mmcv mmcv-lite mmdet; do
  if "${pip[@]}" show -q "$original" >/dev/null 2>&1; then
    echo "error: $directory holds '$original', which writes the same folders as its" \
      "maintained continuation 'onedl-*': choose another directory" >&2
    exit 1
  fi
done
# Ninja and a compiler would otherwise spend a quarter of an hour on MMCV's operators.
MMCV_WITH_OPS=0 "${pip[@]}" install -q -e "$repository[mm,test]"

say "3/4 MMTracking, without its stale pins"
"${pip[@]}" install -q --no-deps mmtrack==1.0.0rc1 mmcls==1.0.0rc6
if ! output=$("${pip[@]}" install -q seaborn scikit-learn attributee model-index markdown einops 2>&1); then
  echo "$output" >&2
  exit 1
fi
# What is left is that the pins are not met.
echo "$output" | grep -v -e 'dependency resolver' -e '^mmtrack .* requires' >&2 || true

say "4/4 check"
if ! "$directory/bin/python" -c 'import cv2' 2>/dev/null; then
  # No graphics library on this machine: the build that does without takes its place.
  version=$("${pip[@]}" show opencv-python | sed -n 's/^Version: //p')
  "${pip[@]}" install -q --force-reinstall --no-deps "opencv-python-headless==$version"
fi
"$directory/bin/python" -c '
import torch, mmcv, mmdet, mmengine, fairmot_mm.integrations.mmtrack
print("[setup] torch", torch.__version__, "mmengine", mmengine.__version__,
      "mmcv", mmcv.__version__, "mmdet", mmdet.__version__,
      "CUDA" if torch.cuda.is_available() else "CPU")'
echo "$state $repository" >"$directory/.fairmot_mm"
say "done: $directory/bin/python, or  source $directory/bin/activate"
