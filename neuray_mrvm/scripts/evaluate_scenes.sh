#!/usr/bin/env bash
# Render and score the test views of every scene of a data set with the scene's own checkpoint.
#   scripts/evaluate_scenes.sh depth|cv dtu|llff|nerf_synthetic [flags of render.py]
# SAVE_DIR names the folder of outputs (default: data), SCENES other scenes than the paper's, separated by blanks.
set -euo pipefail
init=${1:?depth or cv}
data_set=${2:?dtu, llff or nerf_synthetic}
shift 2
save_dir=${SAVE_DIR:-data}
case $data_set in
dtu) scenes="birds bricks snowman tools" ;;
llff) scenes="fern flower fortress horns leaves orchids room trex" ;;
nerf_synthetic) scenes="chair drums ficus hotdog lego materials mic ship" ;;
*) echo "the second word must be dtu, llff or nerf_synthetic, got '$data_set'" >&2 && exit 2 ;;
esac
run="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/render.py"
for scene in ${SCENES:-$scenes}; do
    "${PYTHON:-python}" "$run" --cfg "configs/ft/$init/$data_set/neuray_ft_${init}_$scene.yaml" --render_type ft \
        --save_dir "$save_dir" --load_ckpt_path "$save_dir/model/neuray_ft_${init}_${scene}_ft/model_best.pth" "$@"
done
