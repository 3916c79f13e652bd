#!/usr/bin/env bash
# Train on DTU, or with `--mode val --resume CKPT` reconstruct scenes. All arguments go to main.py; later flags win.
# One process for each of the first two GPUs that CUDA_VISIBLE_DEVICES shows; PROCESSES=N asks for another number.
set -euo pipefail
python=${PYTHON:-python}
main="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/main.py"
processes=${PROCESSES:-$("$python" -c "import torch; print(max(1, min(2, torch.cuda.device_count())))")}
if [ "$processes" -gt 1 ]; then
    exec "$python" -m torch.distributed.run --standalone --nproc_per_node="$processes" "$main" --conf confs/gens.conf "$@"
fi
exec "$python" "$main" --conf confs/gens.conf "$@"
