"""Training: rays streamed from the cache, single steps, checkpoints (XScale-NVS, Sec. 6)."""

import logging
import math
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from tqdm import tqdm

from common.reporting import ScalarWriter, scalar_writer
from common.seeding import seed_everything
from xscale_nvs.model_checkpoints import (
    forget_run,
    load_model,
    read_model,
    read_resume,
    remove_temporaries,
    save_model,
    save_resume,
)
from xscale_nvs.networks.model import XscaleModel, build_model
from xscale_nvs.optimization import Optimizers, RayBatch, train_step
from xscale_nvs.parameters import Params
from xscale_nvs.ray_cache import RayCache
from xscale_nvs.schedule import EpochPlan, RaySchedule

LARGEST_SEED = 10000
ENDLESS = 10**8  # epochs; more than this is the paper's way to say "until stopped"
_LOGGER = logging.getLogger(__name__)


class Trainer:
    """A run: newly begun, or continued exactly where its folder says.

    Args:
        params: Settings.
        cache: The rays of the training views.
        checkpoints: Folder of the run; None keeps nothing.
        summaries: Folder for TensorBoard; None writes none.

    Attributes:
        model: What is trained.
        epoch: The next one.
        iteration: Steps done.
        seed: Of every random choice of the run.

    Raises:
        ValueError: Views without rays, or a run in the folder that was made with other views.
        RuntimeError: A checkpoint that does not fit.
    """

    def __init__(self, params: Params, cache: RayCache, checkpoints: Path | None = None, summaries: Path | None = None):
        self.params = params
        self.cache = cache
        self.epoch = self.iteration = 0
        self.device = cache.mesh.vertices.device
        self._checkpoints, self._summaries = checkpoints, summaries
        self.seed = random.SystemRandom().randint(1, LARGEST_SEED) if params.seed is None else params.seed
        seed_everything(self.seed)
        self.model = build_model(params).to(self.device)
        self.model.set_box(cache.mesh.center, cache.mesh.scale)
        self.optimizers = Optimizers(self.model, params.lr_net_2d, params.lr_embeddings)
        self._saved: int | None = None
        self._start()
        _LOGGER.info("seed %d", self.seed)
        counts = [cache.num_rays(view) for view in cache.view_ids]
        self.schedule = RaySchedule(params, cache.view_ids, counts, self.seed)
        self._report_small_views(counts)

    def run(self) -> XscaleModel:
        """All epochs that are left; returns the model in eval mode, every entry of the grid up to date."""
        params = self.params
        per_epoch = len(self.schedule.steps(0))
        total = params.max_epoch * per_epoch if params.max_epoch < ENDLESS else None
        self.model.train()
        with (
            scalar_writer(self._summaries or "", self._summaries is not None) as writer,
            tqdm(total=total, initial=self.epoch * per_epoch, unit="step", mininterval=1.0) as bar,
        ):
            for epoch, batch in _ahead(self._batches()):
                self._enter(epoch)
                bar.set_postfix(epoch=epoch, loss=f"{self._step(batch, writer):.4f}", refresh=False)
                bar.update()
        self._enter(params.max_epoch)
        self._save()
        self.optimizers.catch_up()
        return self.model.eval()

    def _report_small_views(self, counts: list[int]) -> None:
        """Views without rays were reported when they were sliced."""
        schedule, wanted = self.schedule, self.params.training_batch_size
        if schedule.batch < wanted:
            smallest = min(schedule.active, key=counts.__getitem__)
            _LOGGER.warning(
                "training_batch_size is %d but view %d has %d rays per block: every view gives that many per epoch",
                wanted, self.cache.view_ids[smallest], schedule.batch,
            )  # fmt: skip

    def _enter(self, epoch: int) -> None:
        """Begin an epoch if it has not begun yet, with a checkpoint where one is due."""
        self.epoch = epoch
        if self.schedule.plan(epoch).saves:
            self._save()

    def _step(self, batch: RayBatch, writer: ScalarWriter | None) -> float:
        params = self.params
        loss = train_step(self.model, self.optimizers, batch, params.loss_rgb_weight)
        if not math.isfinite(loss):
            raise RuntimeError(
                f"the loss became {loss} in epoch {self.epoch}; lower lr_net_2d and lr_embeddings and start again"
            )
        if writer is not None and self.iteration % params.draw_cubic_iter == 0:
            # The second is identically zero, and so is its weight, which change_nrm_coef_iter would halve.
            writer.write("epoch", {"loss_rgb": loss, "loss_nrm": 0.0}, self.epoch)
        self.iteration += 1
        return loss

    def _batches(self) -> Iterator[tuple[int, RayBatch]]:
        """The steps that are left, each with its epoch."""
        for epoch in range(self.epoch, self.params.max_epoch):
            plan = self.schedule.plan(epoch)
            for positions in self.schedule.steps(epoch):
                yield epoch, self._load(plan, positions.tolist())

    def _load(self, plan: EpochPlan, positions: list[int]) -> RayBatch:
        cache = self.cache
        views = [cache.view_ids[position] for position in positions]
        rays = [
            cache.load(view, plan.block).gather(self.schedule.rows(plan, position))
            for view, position in zip(views, positions, strict=True)
        ]
        return RayBatch(
            xyz=torch.stack([part.xyz for part in rays]),
            viewdr=torch.stack([part.viewdr for part in rays]),
            colour=torch.stack([part.colour for part in rays]),
            positions=torch.tensor(positions, device=self.device),
            lights=torch.tensor([cache.lights[view] for view in views], device=self.device),
        )

    def _start(self) -> None:
        """Continue the run in the folder, or load the checkpoint to start from, or neither."""
        folder, source = self._checkpoints, self.params.load_checkpoint_dir
        if folder is not None and not self.params.resume:
            forget_run(folder)
        elif folder is not None and self._continue(folder):
            return
        if source is not None:
            load_model(self.model, read_model(source), source)
            _LOGGER.info("weights of %s; epochs are counted from 0", source)

    def _continue(self, folder: Path) -> bool:
        remove_temporaries(folder)
        found = read_resume(folder)
        if found is None:
            return False
        state, weights, path = found
        if list(state["views"]) != list(self.cache.view_ids):
            raise ValueError(
                f"the run in {folder} was trained on other views; restore training_view_list, choose another exp_id, "
                "or set resume False to start anew"
            )
        load_model(self.model, weights, path)
        self.optimizers.load_state_dict(state["optimizers"])
        self.epoch, self.iteration, self.seed = state["epoch"], state["iteration"], state["seed"]
        self._saved = self.epoch
        _LOGGER.info("continuing at epoch %d from %s", self.epoch, path)
        return True

    def _save(self) -> None:
        if self._checkpoints is None or self._saved == self.epoch:
            return
        self.optimizers.catch_up()
        weights = save_model(self._checkpoints, self.model, self.epoch, self.iteration, self.params.lr_net_2d)
        state = {"epoch": self.epoch, "iteration": self.iteration, "seed": self.seed}
        views, optimizers = list(self.cache.view_ids), self.optimizers.state_dict()
        save_resume(self._checkpoints, weights, {**state, "views": views, "optimizers": optimizers})
        self._saved = self.epoch


def _ahead(batches: Iterator[tuple[int, RayBatch]]) -> Iterator[tuple[int, RayBatch]]:
    """The same, each loaded while the one before it is worked on."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(next, batches, None)
        while (item := pending.result()) is not None:
            pending = pool.submit(next, batches, None)
            yield item
