#!/usr/bin/env bash
# Fine-tuning on every scene of a data set, one after the other. Stopped runs continue, finished ones are left alone.
#   scripts/finetune_scenes.sh depth|cv dtu|llff|nerf_synthetic [flags of run_training.py]
# SAVE_DIR names the folder of outputs (default: data), SCENES other scenes than the paper's, separated by blanks.
set -euo pipefail
init=${1:?depth or cv}
data_set=${2:?dtu, llff or nerf_synthetic}
shift 2
save_dir=${SAVE_DIR:-data}
case $init in
depth) variant=depth ;;
cv) variant=cost_volume ;;
*) echo "the first word must be depth or cv, got '$init'" >&2 && exit 2 ;;
esac
case $data_set in
dtu) scenes="birds bricks snowman tools" ;;
llff) scenes="fern flower fortress horns leaves orchids room trex" ;;
nerf_synthetic) scenes="chair drums ficus hotdog lego materials mic ship" ;;
*) echo "the second word must be dtu, llff or nerf_synthetic, got '$data_set'" >&2 && exit 2 ;;
esac
run="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/run_training.py"
for scene in ${SCENES:-$scenes}; do
    "${PYTHON:-python}" "$run" --cfg "configs/ft/$init/$data_set/neuray_ft_${init}_$scene.yaml" --save_dir "$save_dir" \
        --resume --ft_load_path "$save_dir/model/neuray_gen_${variant}_train_ft/model.pth" "$@"
done
