"""Train on the cached rays.

    bash agents/adap.sh
    python agents/base.py --params my_parameter.py max_epoch 2000 save_checkpoint_iter 100

The same command continues a run that was stopped, exactly, from its last checkpoint; `resume False` starts it anew.
"""

from collections.abc import Sequence
from pathlib import Path

from common.entry_point import run_command
from common.memory import keep_freed_memory
from common.reporting import configure_logging
from xscale_nvs.parameters import parse_params, require_folders
from xscale_nvs.ray_cache import open_ray_cache
from xscale_nvs.trainer import Trainer


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line `arguments`, by default the process's own."""
    params = parse_params(arguments, "Train XScale-NVS on cached rays")
    require_folders(params, "root_file")
    configure_logging()
    keep_freed_memory()
    cache = open_ray_cache(params, params.device)
    trainer = Trainer(params, cache, Path(params.checkpoint_dir), Path(params.summary_dir))
    if params.mode == "train":
        trainer.run()


if __name__ == "__main__":
    run_command(main)
