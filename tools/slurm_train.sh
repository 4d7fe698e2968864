#!/usr/bin/env bash
# Train on a Slurm cluster: slurm_train.sh PARTITION JOB_NAME CONFIG [options]
# GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS choose the resources.
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: $0 PARTITION JOB_NAME CONFIG [options of tools/train.py]" >&2
  exit 2
fi
exec bash "$(dirname "$0")/slurm_run.sh" train.py "$@"
