#!/usr/bin/env bash
# Training on one GPU, or on the CPU where there is none. Arguments go on to base.py:
#   bash agents/adap.sh --params FILE KEY VALUE ...
set -euo pipefail
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-0}"
exec python -u "$(dirname "${BASH_SOURCE[0]}")/base.py" "$@"
