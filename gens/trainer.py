"""Training across scenes: epochs of single items, checkpoints, validation (spec 6 and 7)."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from common.batches import to_device
from common.distributed import broadcast_buffers, is_distributed, is_main_process, mean_over_processes, rank
from common.reporting import ScalarWriter, progress_line, scalar_writer
from common.training import check_finite
from gens.data.loaders import build_training_loader, build_validation_loader, seed_step
from gens.losses import GensLoss, LossWeights
from gens.model_checkpoints import FOLDER, LATEST, RunState, find_latest, load_generic
from gens.networks.feature_net import TRUNK_FILE, TRUNK_URL, load_imagenet_trunk
from gens.optimization import build_optimizer, build_scheduler, cos_anneal_ratio
from gens.run_folder import prepare_folder
from gens.validation import MeshSettings, validate

_LOGGER = logging.getLogger(__name__)


def train(
    cfg: Any, network: nn.Module, root: Path, device: torch.device, resume: str | None, mesh: MeshSettings
) -> None:
    """Train until `train.epochs`; leaves checkpoints and TensorBoard scalars in `root`.

    The run continues from `resume`, or else from where an earlier start in the same folder was stopped.

    Args:
        cfg: Settings.
        network: Newly built; on any device.
        root: The run's folder.
        device: Where to train.
        resume: A generic checkpoint, or None.
        mesh: How validation makes meshes.

    Raises:
        FileNotFoundError, ValueError: Data that is missing or damaged.
        RuntimeError: A checkpoint that does not fit, or a loss that is no longer a number.
    """
    prepare_folder(cfg, root)
    network.to(device)
    optimizer = build_optimizer(cfg, network)
    state = RunState(network, optimizer, build_scheduler(cfg, optimizer), cfg.train.seed, "train")
    _begin(cfg, state, root, resume)
    _Training(cfg, state, root, device, mesh).run()


def train_step(
    network: Callable[..., Mapping[str, Tensor]],
    loss: GensLoss,
    optimizer: torch.optim.Optimizer,
    item: Mapping[str, Any],
    cos_anneal: float,
    step: float | None,
) -> dict[str, float]:
    """One update of the parameters.

    Args:
        network: In train mode.
        loss: The objective.
        optimizer: Of the network's parameters.
        item: On the network's device.
        cos_anneal: See `gens.optimization.cos_anneal_ratio`.
        step: Fractional epoch; None in fine-tuning.

    Returns:
        Every term of the loss, the loss, and the PSNR over the rays.
    """
    outputs = network("train", item, cos_anneal_ratio=cos_anneal, step=step)
    terms = loss(outputs, item)
    optimizer.zero_grad(set_to_none=True)
    terms["loss"].backward()
    optimizer.step()
    with torch.no_grad():
        scalars = torch.stack([*terms.values(), (outputs["color_fine"] - item["color"]).square().mean()]).tolist()
    return dict(zip(terms, scalars, strict=False)) | {"psnr": -10 * math.log10(max(scalars[-1], 1e-20))}


def is_due(count: int, frequency: float) -> bool:
    """Whether something done every `frequency` epochs or steps is due after `count` of them."""
    return count % max(1, int(frequency)) == 0


class _Training:
    """One run in this process."""

    def __init__(self, cfg: Any, state: RunState, root: Path, device: torch.device, mesh: MeshSettings):
        self.cfg, self.state, self.root, self.device, self.mesh = cfg, state, root, device, mesh
        self.network = state.network
        if is_distributed():
            ids = [device.index] if device.type == "cuda" else None
            self.network = DistributedDataParallel(state.network, device_ids=ids)
        self.loss = GensLoss(LossWeights.from_config(cfg.train.loss))
        self.loader = build_training_loader(cfg, state.seed)
        self.length = self.loader.sampler.length
        self._saved = time.monotonic()

    def run(self) -> None:
        """All epochs that are left."""
        state, epochs = self.state, self.cfg.train.epochs
        if state.epoch >= epochs:
            _LOGGER.info("%s has finished its %d epochs; general.restart True begins anew", self.root, epochs)
            return
        validation = self._build_validation()
        total, done = epochs * self.length, state.epoch * self.length + state.position
        with (
            scalar_writer(self.root / "logs", is_main_process()) as writer,
            tqdm(total=total, initial=done, unit="step", desc="training", disable=not is_main_process() or None) as bar,
        ):
            while state.epoch < epochs:
                epoch = state.epoch
                self._run_epoch(writer, bar)
                self._finish_epoch()
                if validation is not None and (is_due(epoch + 1, self.cfg.train.val_freq) or epoch + 1 == epochs):
                    means = validate(state.network, validation, self.root, f"epoch{epoch}", self.mesh, self.device)
                    if writer is not None:
                        writer.write("val_img_avg", means, epoch)

    def _run_epoch(self, writer: ScalarWriter | None, bar: tqdm) -> None:
        state, totals, count, began = self.state, Counter(), 0, time.monotonic()
        self.network.train()
        self.loader.sampler.start(state.epoch, state.position)
        log_every = max(1, int(self.cfg.train.log_freq * self.length))
        for item in self.loader:
            scalars = self._step(to_device(item, self.device))
            totals.update(scalars)
            count += 1
            if state.position % log_every == 0:
                means = mean_over_processes(scalars, 1, self.device)
                if writer is not None:
                    writer.write("train", means, state.epoch * self.length + state.position)
                    self._report(means, began, count)
            bar.set_postfix(
                epoch=state.epoch, loss=f"{scalars['loss']:.4f}", psnr=f"{scalars['psnr']:.2f}", refresh=False
            )
            bar.update()
            self._save_within_epoch()
        means = mean_over_processes(dict(totals), count, self.device) if count else {}
        if writer is not None and means:
            writer.write("train_avg", means, state.epoch)

    def _report(self, means: Mapping[str, float], began: float, count: int) -> None:
        """A line for those who read the run's output in a file."""
        state = self.state
        left = (self.cfg.train.epochs - state.epoch) * self.length - state.position
        seconds = left * (time.monotonic() - began) / count
        rate = state.optimizer.param_groups[0]["lr"]
        _LOGGER.info(progress_line(seconds, state.epoch, state.position, means, rate))

    def _step(self, item: Mapping[str, Any]) -> dict[str, float]:
        state = self.state
        time_ = state.epoch + state.position / self.length
        seed_step(state.seed, state.epoch, state.position, rank())
        anneal = cos_anneal_ratio(time_, self.cfg.train.anneal_end)
        scalars = train_step(self.network, self.loss, state.optimizer, item, anneal, time_)
        check_finite(scalars, f"epoch {state.epoch}, step {state.position}", "train.lr_confs")
        state.scheduler.step_to(time_)
        state.position += 1
        return scalars

    def _finish_epoch(self) -> None:
        """Save; the state then stands at the start of the next epoch."""
        state, train = self.state, self.cfg.train
        broadcast_buffers(state.network)  # so that all processes validate what is saved
        state.epoch += 1
        state.position = 0
        if not is_main_process():
            return
        folder = self.root / FOLDER
        if is_due(state.epoch, train.save_freq) or state.epoch == train.epochs:
            state.save(folder / f"model_{state.epoch - 1:03d}.ckpt", state.epoch - 1)
        state.save(folder / LATEST, state.epoch - 1, keep_previous=True)
        self._saved = time.monotonic()

    def _save_within_epoch(self) -> None:
        state, train = self.state, self.cfg.train
        due = train.save_iter > 0 and state.position % train.save_iter == 0
        due |= train.save_minutes > 0 and time.monotonic() - self._saved > 60 * train.save_minutes
        if due and is_main_process() and state.position < self.length:
            state.save(self.root / FOLDER / LATEST, state.epoch - 1, keep_previous=True)
            self._saved = time.monotonic()

    def _build_validation(self) -> Any:
        """The items to validate on, or None where the config or the machine has none."""
        try:
            return build_validation_loader(self.cfg)
        except (FileNotFoundError, ValueError) as error:
            _LOGGER.warning("training goes on without validation: %s", error)
            return None


def _begin(cfg: Any, state: RunState, root: Path, resume: str | None) -> None:
    """Bring `state` to where `resume`, or else the run's folder, says; in place."""
    path = Path(resume) if resume else find_latest(root)
    if path is None:
        initialise_encoder(cfg, state.network)
        return
    content = load_generic(state.network, path)
    if "optimizer" in content:
        state.restore(content, path)
        _LOGGER.info("continuing at epoch %d, step %d, from %s", state.epoch, state.position, path)
    else:
        _LOGGER.info("starting from the weights of %s", path)


def initialise_encoder(cfg: Any, network: nn.Module) -> None:
    """ImageNet's weights for a network that is trained from scratch, where this machine has them."""
    given = cfg.train.imagenet_weights
    path = Path(given) if given else Path(torch.hub.get_dir()) / "checkpoints" / TRUNK_FILE
    if given or path.is_file():
        load_imagenet_trunk(network.feature_network, path)
        return
    _LOGGER.warning(
        "training starts from a random encoder: no ImageNet weights at %s; download %s there, or name the file with"
        " train.imagenet_weights",
        path,
        TRUNK_URL,
    )
