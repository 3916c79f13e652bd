"""The folder of a run.

It is `general.base_exp_dir`, in fine-tuning `<base>/<scene>/view<ref_view>`, and holds:

checkpoints/         see gens/model_checkpoints.py
logs/                TensorBoard
codes_recording/     settings, command line and revision of every start
meshes/, val_*/      what validation shows
"""

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from common.checkpoints import remove_leftovers
from common.distributed import barrier, is_main_process
from common.io.atomic import atomic_path
from common.paths import move_aside
from common.reporting import git_describe
from gens.config import is_placeholder, write_config
from gens.model_checkpoints import FOLDER


def run_root(cfg: Any, mode: str) -> Path:
    """The folder of a run; ValueError where the config still has a placeholder."""
    base = cfg.general.base_exp_dir
    if is_placeholder(base):
        raise ValueError(
            f"general.base_exp_dir is still the placeholder {base!r}; write the output folder into the config or add"
            " 'general.base_exp_dir FOLDER' to the command"
        )
    if mode != "finetune":
        return Path(base)
    settings = cfg.finetune_dataset
    return Path(base) / settings.scene[0] / f"view{settings.ref_view[0]}"


def prepare_folder(cfg: Any, root: Path) -> None:
    """Make room for a run that trains: an earlier one is moved aside where `general.restart` says so."""
    if is_main_process():
        if cfg.general.restart:
            for name in (FOLDER, "logs"):
                move_aside(root / name, "general.restart is True")
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        remove_leftovers(root / FOLDER)
        record_start(cfg, root)
    barrier()


def record_start(cfg: Any, root: Path) -> None:
    """Store what this start was asked to do."""
    folder = root / "codes_recording" / f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    texts = {
        "settings.conf": write_config(cfg),
        "command.txt": shlex.join([sys.executable, *sys.argv]) + "\n",
        "revision.txt": git_describe() + "\n",
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf8")
