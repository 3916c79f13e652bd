#!/usr/bin/env bash
# Mask-based pre-training across scenes. A run that was stopped continues when the same command is given again.
#   scripts/pretrain.sh depth|cost_volume [flags of run_training.py, such as --base_data_dir DATA --save_dir OUT]
set -euo pipefail
init=${1:?depth or cost_volume}
shift
exec "${PYTHON:-python}" "$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/run_training.py" \
    --cfg "configs/gen/neuray_gen_$init.yaml" --resume --pre_stageone --mask_ratio 0.5 \
    --stage_two_begin 20000 --stage_two_warmup 10000 --lambda_feat 0.1 "$@"
