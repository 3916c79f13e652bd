"""Fine-tuning on one scene: its volumes and the implicit surface are trained, step by step (spec 6)."""

import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from common.batches import to_device
from common.checkpoints import checksum, load_checkpoint
from common.reporting import ScalarWriter, progress_line, scalar_writer
from common.training import check_finite
from gens.data.finetune_datasets import FinetuneDataset
from gens.data.loaders import build_finetune_dataset, cycle_order, seed_step, step_generator
from gens.losses import GensLoss, LossWeights
from gens.model_checkpoints import FOLDER, LATEST, RunState, find_latest, load_finetuned, load_generic
from gens.optimization import build_finetune_optimizer, build_scheduler, cos_anneal_ratio
from gens.run_folder import prepare_folder
from gens.trainer import is_due, train_step
from gens.validation import MeshSettings, validate

_LOGGER = logging.getLogger(__name__)


def finetune(
    cfg: Any, network: nn.Module, root: Path, device: torch.device, resume: str, has_volumes: bool, mesh: MeshSettings
) -> None:
    """Fine-tune for `train.epochs` steps; leaves checkpoints, meshes and pictures in `root`.

    A start in a folder where the same fine-tuning was stopped continues it; where it is finished nothing is done.

    Args:
        cfg: Settings.
        network: Newly built; on any device.
        root: The folder of this scene and reference view.
        device: Where to train.
        resume: Where to begin: a generic checkpoint, or a fine-tuned one.
        has_volumes: It is a fine-tuned one (`--load_vol`): its volumes are taken instead of new ones.
        mesh: How validation makes meshes.

    Raises:
        FileNotFoundError, ValueError: Data that is missing or damaged.
        RuntimeError: A checkpoint that does not fit, a folder that holds another run, or a loss that is no number.
    """
    dataset = build_finetune_dataset(cfg)
    content = load_finetuned(network, resume) if has_volumes else load_generic(network, resume)
    started_from = checksum(content["model"])
    prepare_folder(cfg, root)
    network.to(device)
    latest = find_latest(root)
    if latest is not None:
        _refuse_other_run(load_checkpoint(latest), started_from, root, resume)
        content = load_finetuned(network, latest)
        network.to(device)
    elif not has_volumes:
        _LOGGER.info("building the volumes of %s from %d views", dataset.name, len(dataset))
        network.initialize_volumes(to_device(dataset.validation_item(), device))
    optimizer = build_finetune_optimizer(cfg, network.implicit_surface, list(network.volumes))
    state = RunState(network, optimizer, build_scheduler(cfg, optimizer), cfg.train.seed, "finetune", started_from)
    if latest is not None:
        state.restore(content, latest)
        _LOGGER.info("continuing at step %d from %s", state.position, latest)
    _Finetuning(cfg, state, dataset, root, device, mesh).run()


class _Finetuning:
    """One run on one scene."""

    def __init__(
        self, cfg: Any, state: RunState, dataset: FinetuneDataset, root: Path, device: torch.device, mesh: MeshSettings
    ):
        self.cfg, self.state, self.dataset = cfg, state, dataset
        self.root, self.device, self.mesh = root, device, mesh
        self.loss = GensLoss(LossWeights.from_config(cfg.train.loss))
        self._saved = time.monotonic()

    def run(self) -> None:
        """All steps that are left."""
        state, steps = self.state, self.cfg.train.epochs
        if state.position >= steps:
            _LOGGER.info("%s is finished (%d steps); general.restart True begins anew", self.root, steps)
            return
        totals: Counter[str] = Counter()
        counted, first, began = 0, state.position, time.monotonic()
        with (
            scalar_writer(self.root / "logs", True) as writer,
            tqdm(total=steps, initial=state.position, unit="step", desc=self.dataset.name, disable=None) as bar,
        ):
            while state.position < steps:
                scalars = self._step()
                totals.update(scalars)
                counted += 1
                bar.set_postfix(loss=f"{scalars['loss']:.4f}", psnr=f"{scalars['psnr']:.2f}", refresh=False)
                bar.update()
                if is_due(state.position, self.cfg.train.log_freq):
                    writer.write("finetune", scalars, state.position)
                    means = {name: total / counted for name, total in totals.items()}
                    writer.write("finetune_avg", means, state.position)
                    seconds = (steps - state.position) * (time.monotonic() - began) / (state.position - first)
                    rate = state.optimizer.param_groups[0]["lr"]
                    _LOGGER.info(progress_line(seconds, 0, state.position, means, rate))
                    totals, counted = Counter(), 0
                self._after_step(writer)

    def _step(self) -> dict[str, float]:
        state, count = self.state, len(self.dataset)
        number = state.position
        cycle, place = divmod(number, count)
        view = cycle_order(state.seed, cycle, count)[place]
        item = self.dataset.step_item(view, step_generator(state.seed, number))
        seed_step(state.seed, number)
        state.network.train()
        anneal = cos_anneal_ratio(number, self.cfg.train.anneal_end)
        scalars = train_step(state.network, self.loss, state.optimizer, to_device(item, self.device), anneal, step=None)
        check_finite(scalars, f"step {number}", "train.lr_confs")
        state.scheduler.step_to(number)
        state.position += 1
        return scalars

    def _after_step(self, writer: ScalarWriter) -> None:
        """Save and validate where it is due; a step's own number names the files."""
        state, train = self.state, self.cfg.train
        done, is_last = state.position, state.position == train.epochs
        if is_due(done, train.val_freq) or is_last:
            items = [self.dataset.validation_item(0)]
            means = validate(state.network, items, self.root, f"step{done - 1}", self.mesh, self.device)
            writer.write("val_img_avg", means, done - 1)
        if is_due(done, train.save_freq) or is_last:
            state.save(self.root / FOLDER / f"model_{done - 1:03d}.ckpt", done - 1)
        due = is_last or (train.save_iter > 0 and done % train.save_iter == 0)
        due |= train.save_minutes > 0 and time.monotonic() - self._saved > 60 * train.save_minutes
        if due:
            state.save(self.root / FOLDER / LATEST, done - 1, keep_previous=True)
            self._saved = time.monotonic()


def _refuse_other_run(content: dict[str, Any], started_from: str, root: Path, resume: str) -> None:
    if content.get("polyview", {}).get("started_from") != started_from:
        raise RuntimeError(
            f"{root} holds a fine-tuning that began with other weights than {resume}; choose another"
            " general.base_exp_dir, or add 'general.restart True' to move it aside"
        )
