#!/usr/bin/env bash
# Run once, when Gradescope builds the image.
set -euo pipefail
apt-get update
apt-get install -y python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install --no-cache-dir 'numpy==VERSION' 'tomli==2.2.1; python_version < "3.11"'
/autograder/venv/bin/pip install --no-cache-dir 'torch==VERSION' --index-url https://download.pytorch.org/whl/cpu
