#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share: slurm_run.sh SCRIPT PARTITION JOB_NAME ...
set -euo pipefail
script=$1
partition=$2
job_name=$3
shift 3
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# shellcheck disable=SC2086  # SRUN_ARGS holds several words
srun --partition="$partition" --job-name="$job_name" --gres=gpu:"$per_node" \
  --ntasks="$gpus" --ntasks-per-node="$per_node" \
  --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
  "${PYTHON:-python}" -u "$(dirname "$0")/$script" "$@" --launcher slurm
