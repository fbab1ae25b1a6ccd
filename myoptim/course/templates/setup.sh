#!/usr/bin/env bash
# Run once, when Gradescope builds the image.
set -euo pipefail
apt-get update
apt-get install -y python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install --no-cache-dir numpy 'tomli; python_version < "3.11"'
/autograder/venv/bin/pip install --no-cache-dir 'torch>=2.13' --index-url https://download.pytorch.org/whl/cpu
