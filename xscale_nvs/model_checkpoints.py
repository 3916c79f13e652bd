"""Checkpoints with the paper's names and keys, and beside them what exact continuation needs.

    <checkpoint_dir>/epoch:00200.pth.tar    the paper's: epoch, lr, iteration and the model's four parts
    <checkpoint_dir>/best.pth.tar           another name of the newest one (the paper calls it best)
    <checkpoint_dir>/resume.pth             ours: optimisers and counters; names the file of the weights it belongs to

The released program loads our files (it ignores the checksum they carry), and the other way round. Weights are written
first, then `resume.pth`, whose predecessor stays as `resume.previous.pth`: whenever the process is killed, one of the
two names a file of weights that is whole.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from common.checkpoints import load_checkpoint, load_state, previous_path, save_checkpoint
from common.io.atomic import atomic_path
from xscale_nvs.networks.model import XscaleModel

BEST = "best.pth.tar"
RESUME = "resume.pth"
# Key in the file: attribute of the model.
PARTS = {
    "shading_machine_dict": "shading_machine",
    "spatial_encoding_dict": "spatial_encoding",
    "l_embeddings_list": "l_embeddings_list",
    "x_embeddings_list": "x_embeddings_list",
}
_LOGGER = logging.getLogger(__name__)


def checkpoint_name(epoch: int) -> str:
    """The paper's file name; the colon is part of it."""
    return f"epoch:{epoch:05d}.pth.tar"


def save_model(folder: str | Path, model: XscaleModel, epoch: int, iteration: int, lr: float) -> str:
    """Write the paper's checkpoint and let `best.pth.tar` name it; returns its file name."""
    path = Path(folder) / checkpoint_name(epoch)
    parts = {key: _on_cpu(module.state_dict()) for key, module in _parts(model).items()}
    save_checkpoint(path, {"epoch": epoch, "lr": lr, "iteration": iteration, **parts}, keep_previous=False)
    with atomic_path(path.with_name(BEST)) as temporary:
        temporary.unlink()
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)
    return path.name


def read_model(path: str | Path) -> dict[str, Any]:
    """A checkpoint in the paper's four parts, on the CPU.

    A state dict of the whole model is taken apart by its names; `exposure_rows` and `load_model` read the result.

    Raises:
        FileNotFoundError: There is none.
        RuntimeError: It is damaged, or no checkpoint of XScale-NVS.
    """
    path = Path(path)
    content = load_checkpoint(path)
    whole = content.get("state_dict", content)
    if isinstance(whole, Mapping) and any(
        name.removeprefix("module.").startswith("shading_machine.") for name in whole
    ):
        content = _take_apart(whole)
    missing = [key for key in PARTS if key != "x_embeddings_list" and not isinstance(content.get(key), Mapping)]
    if missing:
        found = ", ".join(map(str, list(content)[:6])) or "nothing"
        raise RuntimeError(
            f"checkpoint {path} has no {missing[0]}; a checkpoint of XScale-NVS holds {', '.join(PARTS)}, this file "
            f"holds {found}"
        )
    return content


def load_model(model: XscaleModel, content: Mapping[str, Any], path: str | Path) -> None:
    """Put a checkpoint's four parts into a model, strictly; a model without exposure codes does not read them.

    Args:
        model: Of the same sizes.
        content: As `read_model` gives it.
        path: Where it came from, for the error.

    Raises:
        RuntimeError: Entries are missing, unexpected or of another shape.
    """
    parts = _parts(model)
    if "x_embeddings_list" in parts and "x_embeddings_list" not in content:
        raise RuntimeError(
            f"checkpoint {path} has no x_embeddings_list; it was trained without exposure codes: set use_exp_emb False"
        )
    for key, module in parts.items():
        state = {name.removeprefix("module."): value for name, value in content[key].items()}
        load_state(module, state, f"{path} ({key})")


def exposure_rows(content: Mapping[str, Any]) -> int | None:
    """Number of training views that a checkpoint has exposure codes for; None where it has none."""
    table = (content.get("x_embeddings_list") or {}).get("0.weight")
    return None if table is None else len(table)


def save_resume(folder: str | Path, weights: str, state: Mapping[str, Any]) -> None:
    """Write what continues a run from the weights in the file `weights` of the same folder."""
    save_checkpoint(Path(folder) / RESUME, {"weights": weights, **state})


def read_resume(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any], Path] | None:
    """The newest whole state of a run: what `save_resume` wrote, the weights' checkpoint, its path; None without one.

    Raises:
        RuntimeError: There are states, but none can be read.
    """
    path = Path(folder) / RESUME
    problem: Exception | None = None
    for candidate in (path, previous_path(path)):
        if not candidate.is_file():
            continue
        try:
            state = load_checkpoint(candidate)
            weights = Path(folder) / Path(str(state["weights"])).name
            return state, read_model(weights), weights
        except (RuntimeError, FileNotFoundError, KeyError) as error:
            _LOGGER.warning("%s cannot continue the run: %s", candidate, str(error).splitlines()[0])
            problem = error
    if problem is not None:
        raise RuntimeError(
            f"no state in {folder} can be continued; set resume False to start anew, or load_checkpoint_dir to the "
            "newest checkpoint that is whole"
        ) from problem
    return None


def forget_run(folder: str | Path) -> None:
    """Remove what would continue an earlier run, and temporary files that killed processes left; no run may write."""
    for pattern in (RESUME, previous_path(RESUME).name):
        (Path(folder) / pattern).unlink(missing_ok=True)
    remove_temporaries(folder)


def remove_temporaries(folder: str | Path) -> None:
    """Remove temporary files that killed processes left in a folder of checkpoints, while no run writes there."""
    for pattern in (".*-*.tar", ".*-*.pth"):
        for path in Path(folder).glob(pattern):
            path.unlink(missing_ok=True)


def _parts(model: XscaleModel) -> dict[str, nn.Module]:
    parts = {key: getattr(model, name) for key, name in PARTS.items()}
    return {key: module for key, module in parts.items() if key != "x_embeddings_list" or len(module)}


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in state.items()}


def _take_apart(whole: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The four parts of a state dict of the whole model; other entries go to the part they begin like, or nowhere."""
    parts: dict[str, dict[str, Tensor]] = {key: {} for key in PARTS}
    owners = {name: key for key, name in PARTS.items()}
    for name, value in whole.items():
        owner, _, rest = name.removeprefix("module.").partition(".")
        if owner not in owners:
            raise RuntimeError(f"a checkpoint of XScale-NVS has no entry {name!r}")
        parts[owners[owner]][rest] = value
    return {key: part for key, part in parts.items() if part}
