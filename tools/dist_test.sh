#!/usr/bin/env bash
# Track in several processes: dist_test.sh CONFIG CHECKPOINT PROCESSES [options of test.py]
# One process a GPU, or on the CPU where there is none. Several machines: NNODES,
# NODE_RANK, MASTER_ADDR, PORT.
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]" >&2
  exit 2
fi
arguments=("$1" "$2")
processes=$3
shift 3
"${PYTHON:-python}" "$(dirname "$0")/dist_run.py" \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  --nproc_per_node="$processes" \
  "$(dirname "$0")/test.py" "${arguments[@]}" --launcher pytorch "$@"
