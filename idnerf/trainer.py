"""Training: epochs of single items, checkpoints, validation and tests in between (spec 6).

Below the run's folder, `output_root`/`name`, it leaves

    models/                 see idnerf/model_checkpoints.py
    events.out.tfevents...  TensorBoard, unless `tb` is off
    run.bash, options.yaml  see idnerf/run_folder.py
"""

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from common.batches import to_device
from common.checkpoints import remove_leftovers
from common.distributed import (
    barrier,
    broadcast_integer,
    is_distributed,
    is_main_process,
    mean_over_processes,
    rank,
    synchronize_batch_norm,
)
from common.paths import move_aside, resolve_input
from common.reporting import ScalarWriter, progress_line, scalar_writer
from common.seeding import seed_everything, seed_torch
from common.settings import Config
from common.training import check_finite
from idnerf.data.loaders import build_training_loader
from idnerf.guidance.pretrained import build_guidance
from idnerf.guidance.prior import Guidance
from idnerf.model_checkpoints import FOLDER, RunState, find_latest, load_gmflow, load_weights
from idnerf.networks.network import IdNerf, build_network
from idnerf.optimization import (
    build_optimizer,
    build_scheduler,
    iterations_of,
    learning_rates,
    steps_every_iteration,
)
from idnerf.options import METHOD_FOLDER, weights_file
from idnerf.parity import is_released
from idnerf.run_folder import prepare_run_folder
from idnerf.training_step import GuidedRendering, train_step

EMBEDDINGS = "embeddings"
_STEP = 2  # stream of random numbers: what the prior and the rays draw in a step
_RATES = {"feat_enc": "enc", "nerf_dec": "dec", "latent_inference": "latent"}
_LOGGER = logging.getLogger(__name__)


@runtime_checkable
class Evaluation(Protocol):
    """What a run measures while it trains; every process takes part."""

    def validate(self, network: IdNerf, iteration: int, limit: int | None = None) -> dict[str, float]:
        """Mean PSNR, SSIM and LPIPS over the validation items (the first `limit`)."""
        ...

    def test(
        self, network: IdNerf, epoch: int, iteration: int, limit: int | None = None
    ) -> dict[str, dict[str, float]]:
        """The same over the test items of every data set, by its name."""
        ...


def train(opt: Config, device: torch.device, evaluation: Evaluation | None = None) -> None:
    """Train until `max_epoch`, from the start, from weights (`load`) or where a run was stopped (`resume`).

    Args:
        opt: All options.
        device: Where to train.
        evaluation: Measures in between; None for nothing.

    Raises:
        FileNotFoundError, ValueError, ImportError: Data, weights or packages that are missing or do not fit.
        RuntimeError: A checkpoint that does not fit, or a loss that is no longer a number.
    """
    seed = broadcast_integer(seed_everything(opt.seed), device)
    guidance = _build_guidance(opt, device)
    network = build_network(opt).to(device)
    loader = build_training_loader(opt, seed)
    prepare_folder(opt)
    if is_distributed():
        network = synchronize_batch_norm(network, device)
    optimizer = build_optimizer(opt, network)
    scheduler = build_scheduler(opt, optimizer, loader.sampler.length)
    state = RunState(network, optimizer, scheduler, seed)
    begin(opt, state, loader.sampler.length)
    if state.seed != seed:  # the order of the items is the continued run's
        loader = build_training_loader(opt, state.seed)
    _Training(opt, state, loader, guidance, device, evaluation).run()


def prepare_folder(opt: Config) -> None:
    """Make the run's folder; without `resume` an earlier run of the same name is moved aside first."""
    folder = Path(opt.output_path)
    if is_main_process():
        if not opt.resume and find_latest(folder) is not None:
            move_aside(folder, "resume is false")
        prepare_run_folder(opt, sys.argv)
        remove_leftovers(folder / FOLDER)
    barrier()


def begin(opt: Config, state: RunState, steps_per_epoch: int) -> None:
    """Bring `state` to where the options say the run begins, in place."""
    latest = find_latest(opt.output_path) if opt.resume else None
    if latest is not None:
        state.restore(latest, steps_per_epoch)
        _LOGGER.info("continuing in epoch %d, iteration %d", state.epoch, state.iteration)
        return
    if opt.resume:
        _LOGGER.warning("resume: there is no run in %s yet; starting a new one", opt.output_path)
    if opt.load:
        load_weights(state.network, weights_file(opt), opt.load_parts)
    elif opt.encoder.pretrain_weight and not opt.resume:
        load_gmflow(state.network.feat_enc, _gmflow_file(opt), opt.encoder.num_transformer_layers)


class _Training:
    """One run in this process."""

    def __init__(
        self,
        opt: Config,
        state: RunState,
        loader: Any,
        guidance: Guidance | None,
        device: torch.device,
        evaluation: Evaluation | None,
    ):
        self.opt, self.state, self.loader, self.device = opt, state, loader, device
        self.evaluation = evaluation
        self.length = loader.sampler.length
        self.rendering: nn.Module = GuidedRendering(state.network, guidance)
        if is_distributed():
            ids = [device.index] if device.type == "cuda" else None
            self.rendering = DistributedDataParallel(self.rendering, device_ids=ids)
        freq = opt.freq
        self.every = {name: iterations_of(freq[name], self.length) for name in ("ckpt_it", "val_it", "test_it")}

    def run(self) -> None:
        """All epochs that are left."""
        state, epochs = self.state, self.opt.max_epoch
        if state.epoch >= epochs:
            _LOGGER.info("%s has finished its %d epochs; raise max_epoch to go on", self.opt.output_path, epochs)
            return
        total, done = epochs * self.length, state.epoch * self.length + state.position
        with (
            scalar_writer(self.opt.output_path, bool(self.opt.tb) and is_main_process()) as writer,
            tqdm(total=total, initial=done, unit="step", desc="training", disable=not is_main_process() or None) as bar,
        ):
            if self.opt.sanity_check and self.evaluation is not None:
                self._validate(None, limit=1)
                self._test(None, limit=1)
            while state.epoch < epochs:
                self._run_epoch(writer, bar)
                self._finish_epoch(writer)

    def _run_epoch(self, writer: ScalarWriter | None, bar: tqdm) -> None:
        state, scalars, began, first = self.state, {}, time.monotonic(), self.state.position
        self.rendering.train()
        self.loader.sampler.start(state.epoch, state.position)
        for batch in self.loader:
            scalars = self._step(batch)
            bar.set_postfix(epoch=state.epoch, loss=f"{scalars['loss']:.4f}", refresh=False)
            bar.update()
            if state.iteration % self.opt.freq.scalar == 0:
                self._write(writer, scalars)
            self._interrupt(writer)
        if scalars and is_main_process() and (state.epoch + 1) % self.opt.freq.log_ep == 0:
            seconds = (time.monotonic() - began) / (state.position - first)
            left = (self.opt.max_epoch - state.epoch - 1) * self.length * seconds
            rate = next(iter(learning_rates(state.optimizer).values()))
            _LOGGER.info(progress_line(left, state.epoch, state.iteration, scalars, rate))

    def _step(self, batch: Mapping[str, Any]) -> dict[str, float]:
        state = self.state
        seed_torch(_STEP, state.seed, state.epoch, state.position, rank())
        item = to_device(batch, self.device)
        scalars = train_step(self.rendering, state.network, state.optimizer, item, self.opt)
        check_finite(scalars, f"iteration {state.iteration}", "optim.lr_enc and optim.lr_dec")
        if steps_every_iteration(state.scheduler):
            state.scheduler.step()
        state.position += 1
        state.iteration += 1
        return scalars

    def _interrupt(self, writer: ScalarWriter | None) -> None:
        """What is done in the middle of an epoch every so many iterations."""
        if self._is_due("ckpt_it") and self.state.position < self.length:
            self._save()
        if self._is_due("val_it"):
            self._validate(writer)
        if self._is_due("test_it"):
            self._test(writer)

    def _finish_epoch(self, writer: ScalarWriter | None) -> None:
        """Save; the state then stands at the start of the next epoch. Then measure."""
        state, freq = self.state, self.opt.freq
        if state.scheduler is not None and not steps_every_iteration(state.scheduler):
            state.scheduler.step()
        state.epoch += 1
        state.position = 0
        self._save(backup=state.epoch % freq.ckpt_ep == 0 or state.epoch == self.opt.max_epoch)
        if freq.val_ep > 0 and state.epoch % freq.val_ep == 0:
            self._validate(writer)
        if freq.test_ep > 0 and state.epoch > freq.test_ep_start and state.epoch % freq.test_ep == 0:
            self._test(writer)

    def _is_due(self, name: str) -> bool:
        every = self.every[name]
        return every is not None and self.state.iteration % every == 0

    def _save(self, backup: bool = False) -> None:
        if is_main_process():
            self.state.save(self.opt.output_path, backup)

    def _write(self, writer: ScalarWriter | None, scalars: Mapping[str, float]) -> None:
        means = mean_over_processes({name: value for name, value in scalars.items() if name != "loss"}, 1, self.device)
        if writer is None:
            return
        writer.write("train", means, self.state.iteration)
        rates = learning_rates(self.state.optimizer)
        writer.write("lrate", {_RATES[name]: rate for name, rate in rates.items()}, self.state.iteration)

    def _validate(self, writer: ScalarWriter | None, limit: int | None = None) -> None:
        if self.evaluation is None:
            return
        means = self.evaluation.validate(self.state.network.eval(), self.state.iteration, limit)
        self.rendering.train()
        if writer is not None and means:
            writer.write("val", means, self.state.iteration)

    def _test(self, writer: ScalarWriter | None, limit: int | None = None) -> None:
        if self.evaluation is None:
            return
        results = self.evaluation.test(self.state.network.eval(), self.state.epoch, self.state.iteration, limit)
        self.rendering.train()
        for dataset, means in results.items() if writer is not None else ():
            writer.write(dataset, means, self.state.epoch)


def _build_guidance(opt: Config, device: torch.device) -> Guidance | None:
    """The prior; none where the latent network is frozen and could not be pulled."""
    if opt.guidance != "none" and is_released(opt, "released_optimizer"):
        _LOGGER.warning(
            "parity.released_optimizer: as in the released program, the prior changes no weight; add --guidance=none to"
            " save its time"
        )
    elif opt.guidance != "none" and opt.optim.lr_other <= 0:
        _LOGGER.warning("optim.lr_other is %s: the latent network is frozen, so there is no prior", opt.optim.lr_other)
        return None
    return build_guidance(opt, device, Path(opt.output_root) / EMBEDDINGS)


def _gmflow_file(opt: Config) -> Path:
    """The file of `encoder.pretrain_weight` where it is, or the path as given."""
    try:
        return resolve_input(opt.encoder.pretrain_weight, METHOD_FOLDER)
    except FileNotFoundError:
        return METHOD_FOLDER / opt.encoder.pretrain_weight
