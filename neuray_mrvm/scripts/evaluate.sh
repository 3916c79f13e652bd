#!/usr/bin/env bash
# Render and score the test views of every scene of a data set with one checkpoint for any scene.
#   scripts/evaluate.sh depth|cost_volume dtu|llff|nerf_synthetic CHECKPOINT [flags of render.py]
# SCENES names other scenes than the paper's, separated by blanks.
set -euo pipefail
init=${1:?depth or cost_volume}
data_set=${2:?dtu, llff or nerf_synthetic}
checkpoint=${3:?checkpoint}
shift 3
case $data_set in
dtu) scenes="birds bricks snowman tools" prefix=dtu_test setting=black_800 ;;
llff) scenes="fern flower fortress horns leaves orchids room trex" prefix=llff_colmap setting=high ;;
nerf_synthetic) scenes="chair drums ficus hotdog lego materials mic ship" prefix=nerf_synthetic setting=black_800 ;;
*) echo "the second word must be dtu, llff or nerf_synthetic, got '$data_set'" >&2 && exit 2 ;;
esac
run="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/render.py"
for scene in ${SCENES:-$scenes}; do
    "${PYTHON:-python}" "$run" --database_name "$prefix/$scene/${SETTING:-$setting}" --render_type gen \
        --cfg "configs/gen/neuray_gen_$init.yaml" --load_ckpt_path "$checkpoint" "$@"
done
