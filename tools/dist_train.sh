#!/usr/bin/env bash
# Train in several processes: dist_train.sh CONFIG PROCESSES [options of train.py]
# One process a GPU, or on the CPU where there is none. Several machines: NNODES,
# NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: $0 CONFIG PROCESSES [options of tools/train.py]" >&2
  exit 2
fi
arguments=("$1")
processes=$2
shift 2
"${PYTHON:-python}" "$(dirname "$0")/dist_run.py" \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  --nproc_per_node="$processes" \
  "$(dirname "$0")/train.py" "${arguments[@]}" --launcher pytorch "$@"
