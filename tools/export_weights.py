"""Reduce a training checkpoint to the file that is shipped with a method: the network alone, in half precision.

    python tools/export_weights.py --checkpoint trained_model/gefu/synthetic_finetune/latest.pth \
        --output gefu/weights/gefu.pth

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


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, reduce, write, and print what became of the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="written by a training program")
    parser.add_argument("--output", type=Path, required=True, help="file to write; replaced where it exists")
    options = parser.parse_args(arguments)
    export_weights(options.checkpoint, options.output)
    before, after = (path.stat().st_size / 2**20 for path in (options.checkpoint, options.output))
    print(f"{options.output}: {after:.1f} MB, from {before:.1f} MB in {options.checkpoint}")


def export_weights(checkpoint: Path, output: Path) -> None:
    """Write the network of a checkpoint to its own file, as `{"net": state dict}`.

    Raises:
        FileNotFoundError: No such checkpoint.
        ValueError: It holds no network under `net`.
    """
    content = load_checkpoint(checkpoint)
    if "net" not in content:
        raise ValueError(f"{checkpoint} has no entry 'net' (it has {', '.join(map(str, content))})")
    network = {name: _reduced(name, value) for name, value in content["net"].items()}
    save_checkpoint(output, {"net": network}, keep_previous=False)


def _reduced(name: str, value: Tensor) -> Tensor:
    return value.to(torch.float16) if value.is_floating_point() and "running_" not in name else value


if __name__ == "__main__":
    run_command(main)
