#!/usr/bin/env bash
# Training across scenes without masks, from the weights that scripts/pretrain.sh left. Stopped runs continue.
#   scripts/finetune_across_scenes.sh depth|cost_volume [flags of run_training.py]
# SAVE_DIR names the folder of outputs (default: data).
set -euo pipefail
init=${1:?depth or cost_volume}
shift
save_dir=${SAVE_DIR:-data}
exec "${PYTHON:-python}" "$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/run_training.py" \
    --cfg "configs/gen/neuray_gen_$init.yaml" --save_dir "$save_dir" --resume \
    --ft_load_path "$save_dir/model/neuray_gen_${init}_train_pre/model.pth" "$@"
