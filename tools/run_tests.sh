#!/usr/bin/env bash
# Make the environment and run every check: run_tests.sh [options of pytest].
set -euo pipefail
# Given from where the caller stands.
here=$PWD
cd "$(dirname "$0")/.."
case ${FAIRMOT_ENV:-} in
  "") environment=.venv ;;
  /*) environment=$FAIRMOT_ENV ;;
  *) environment=$here/$FAIRMOT_ENV ;;
esac
bash tools/setup_env.sh "$environment"
"$environment/bin/ruff" check .
"$environment/bin/ruff" format --check .
"$environment/bin/python" -m pytest "$@"
