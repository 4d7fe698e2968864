#!/usr/bin/env bash
# Make the environment and run every check: run_tests.sh [options of pytest].
set -euo pipefail
cd "$(dirname "$0")/.."
environment=${FAIRMOT_ENV:-.venv}
bash tools/setup_env.sh "$environment"
"$environment/bin/ruff" check .
"$environment/bin/ruff" format --check .
"$environment/bin/python" -m pytest "$@"
