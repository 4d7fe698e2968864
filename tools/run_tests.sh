#!/usr/bin/env bash
# Make the environment and run every check: run_tests.sh [--family NAME] [options of pytest]
# NAME is one of tools/setup_env.sh. FAIRMOT_ENV names another folder for the environment.
set -euo pipefail
# Given from where the caller stands.
here=$PWD
cd "$(dirname "$0")/.."
family=onedl
if [ "${1:-}" = --family ]; then
  family=${2:-}
  shift $(($# > 1 ? 2 : 1))
fi
case ${FAIRMOT_ENV:-} in
  "") if [ "$family" = onedl ]; then environment=.venv; else environment=.venv-$family; fi ;;
  /*) environment=$FAIRMOT_ENV ;;
  *) environment=$here/$FAIRMOT_ENV ;;
esac
bash tools/setup_env.sh --family "$family" "$environment"
"$environment/bin/ruff" check .
"$environment/bin/ruff" format --check .
"$environment/bin/mypy"
# Among them: a wheel is built, installed and used from an empty folder.
# As many processes as cores, of one thread each: threads of several would fight.
OMP_NUM_THREADS=1 "$environment/bin/python" -m pytest -n logical --maxprocesses 8 \
  --dist worksteal "$@"
