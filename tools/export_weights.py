"""Reduce a training checkpoint to the file that is shipped with a method: the network alone, in half precision.

    python tools/export_weights.py --checkpoint trained_model/gefu/synthetic_finetune/latest.pth \
        --output gefu/weights/gefu.pth
    python tools/export_weights.py --checkpoint data/model/synthetic_depth_ft/model.pth \
        --output neuray_mrvm/weights/neuray_depth.pth
    python tools/export_weights.py --checkpoint outputs/gens_synthetic/checkpoints/latest.ckpt \
        --output gens/weights/gens.ckpt
    python tools/export_weights.py --checkpoint outputs/two/models/latest.pth \
        --output idnerf/weights/idnerf_two_views.pth --parts latent_inference nerf_dec

Weights are rounded to 16 bits, which halves the file; statistics of normalisation layers keep their 32. Loading gives
32-bit weights again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from common.checkpoints import load_checkpoint, save_checkpoint
from common.entry_point import run_command

# Entries that hold a network, and what is kept beside it.
NETWORKS: dict[str, tuple[str, ...]] = {"net": (), "network_state_dict": ("step",), "model": ("epoch", "polyview")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, reduce, write, and print what became of the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="written by a training program")
    parser.add_argument("--output", type=Path, required=True, help="file to write; replaced where it exists")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="children of the network to keep; all by default")
    options = parser.parse_args(arguments)
    export_weights(options.checkpoint, options.output, options.parts)
    before, after = (path.stat().st_size / 2**20 for path in (options.checkpoint, options.output))
    print(f"{options.output}: {after:.1f} MB, from {before:.1f} MB in {options.checkpoint}")


def export_weights(checkpoint: Path, output: Path, parts: Sequence[str] | None = None) -> None:
    """Write the network of a checkpoint to its own file, under the name that it has there.

    Args:
        checkpoint: Written by a training program.
        output: File to write.
        parts: Children of the network to keep; None for all.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: It holds no network under one of the names of `NETWORKS`, or lacks one of the parts.
    """
    content = load_checkpoint(checkpoint)
    entry = next((name for name in NETWORKS if name in content), None)
    if entry is None:
        known, found = " or ".join(map(repr, NETWORKS)), ", ".join(map(str, content))
        raise ValueError(f"{checkpoint} has no entry {known} (it has {found})")
    children = dict.fromkeys(name.split(".")[0] for name in content[entry])
    missing = [part for part in parts or () if part not in children]
    if missing:
        raise ValueError(f"the network in {checkpoint} has no part {missing[0]!r} (it has {', '.join(children)})")
    wanted = children if parts is None else parts
    network = {name: _reduced(name, value) for name, value in content[entry].items() if name.split(".")[0] in wanted}
    kept = {name: content[name] for name in NETWORKS[entry] if name in content}
    save_checkpoint(output, kept | {entry: network}, keep_previous=False)


def _reduced(name: str, value: Tensor) -> Tensor:
    return value.to(torch.float16) if value.is_floating_point() and "running_" not in name else value


if __name__ == "__main__":
    run_command(main)
