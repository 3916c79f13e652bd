#!/usr/bin/env bash
# Fine-tune on the 15 test scenes of DTU from reference views 23 and 43; needs --resume CKPT. See gens/sweep.py.
set -euo pipefail
exec "${PYTHON:-python}" "$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/sweep.py" --conf confs/gens_finetune.conf "$@"
