"""Scores and pictures of the validation and test items, during training and afterwards (spec 8).

Every process renders its share of the items; the first one writes the results file and reports.
"""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from common.batches import to_device
from common.distributed import is_main_process, sum_over_processes
from common.metrics.depth import resize_nearest
from common.metrics.lpips import Lpips
from common.metrics.protocols import find_protocol
from common.settings import Config
from idnerf.data.loaders import build_test_loaders, build_validation_loader
from idnerf.networks.network import IdNerf
from idnerf.picture_files import stage_prefix, write_prediction, write_strip
from idnerf.scores import (
    CENTER,
    FULL,
    MASKED,
    MEASURES,
    ViewScores,
    add_results,
    mean_scores,
    published_lpips,
    results_lines,
    score_view,
)
from idnerf.videos import item_name
from idnerf.views import split_batch

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderedItem:
    """A rendered target beside what it should be.

    Attributes:
        rgb: As rendered, not clipped.
        depth: Along the optical axis, scene units; not divided by opacity.
        truth: The photograph.
        known: Pixels whose true depth is known; None for data without depth.
        near_far: Of the target.
    """

    rgb: Float[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]
    truth: Float[np.ndarray, "H W 3"]
    known: Bool[np.ndarray, "H W"] | None
    near_far: tuple[float, float]


Watch = Callable[[RenderedItem, Mapping[str, Any]], None]


class Evaluator:
    """Measures a network on the data sets of the options; data is looked up when it is needed first.

    Args:
        opt: All options.
        lpips: None takes the published network where its weights are on this machine.
    """

    def __init__(self, opt: Config, lpips: Lpips | None = None):
        self.opt = opt
        self._lpips = lpips

    @functools.cached_property
    def validation_loader(self) -> DataLoader | None:
        """Items of `data_val`, None without; raises as `build_validation_loader`."""
        return None if self.opt.data_val is None else build_validation_loader(self.opt)

    @functools.cached_property
    def test_loaders(self) -> dict[str, DataLoader]:
        """Items of the data sets of `data_test`; raises as `build_test_loaders`."""
        return build_test_loaders(self.opt)

    def check_data(self) -> None:
        """Look up what a training run will need, so that what is missing is said at its start.

        Raises:
            FileNotFoundError, ValueError: Data is missing or broken.
        """
        freq = self.opt.freq
        if freq.val_it > 0 or freq.val_ep > 0 or self.opt.sanity_check:
            _ = self.validation_loader
        if freq.test_it > 0 or freq.test_ep > 0 or self.opt.sanity_check:
            _ = self.test_loaders

    def validate(self, network: IdNerf, iteration: int, limit: int | None = None) -> dict[str, float]:
        """Means over the validation items, and their pictures.

        Args:
            network: In eval mode, on the device to use.
            iteration: In the names of the pictures.
            limit: The first items only.

        Returns:
            PSNR, SSIM and LPIPS; LPIPS only where it could be computed, nothing without validation data.
        """
        if self.validation_loader is None:
            return {}

        def watch(item: RenderedItem, batch: Mapping[str, Any]) -> None:
            name = f"{batch['scene'][0]}_view{int(batch['view_ids'][0, -1])}_it{iteration}.jpg"
            self._write_strip(self._folder("validation") / name, item)

        scores = self._measure(network, self.validation_loader, "val", watch, limit)
        means = mean_scores(scores)
        _report("validation", means)
        return means

    def test(
        self, network: IdNerf, epoch: int | None = None, iteration: int | None = None, limit: int | None = None
    ) -> dict[str, dict[str, float]]:
        """Means over the test items of every data set, by its name; results files and pictures.

        Args:
            network: In eval mode, on the device to use.
            epoch: Finished epochs of the training run; None outside of one. In a run, pictures are written where
                `save_test_image` asks for them.
            iteration: Of the run.
            limit: The first items of each data set only.

        Raises:
            ValueError: There is no data set, or a view cannot be scored.
        """
        if not self.test_loaders:
            if epoch is not None:  # a run whose options leave all of them out
                return {}
            raise ValueError("data_test names no data set; add one, such as --data_test.dtu.root_dir=FOLDER")
        has_pictures = epoch is None or self.opt.save_test_image
        means = {}
        for name, loader in self.test_loaders.items():
            folder = self._folder("test") / name
            watch = functools.partial(self._write_test, folder, stage_prefix(epoch, iteration))
            views = self._measure(network, loader, name, watch if has_pictures else None, limit)
            if is_main_process():
                section = self.opt.data_test[name]
                setting = f"{section.test_views_method.capitalize()} {self.opt.n_src_views}"
                add_results(folder.parent / f"0results_{name}.txt", results_lines(name, views, setting))
            means[name] = mean_scores(views)
            _report(name, means[name])
        return means

    def _measure(
        self, network: IdNerf, loader: DataLoader, name: str, watch: Watch | None, limit: int | None
    ) -> list[ViewScores]:
        """Scores of all items in order, on every process; `watch` sees those of this one."""
        device, dataset = next(network.parameters()).device, loader.dataset
        count = len(dataset) if limit is None else min(limit, len(dataset))
        if not count:
            raise ValueError(f"data set {name} has no item; check its root_dir and lists")
        full = name in self.opt.data_test and self.opt.data_test[name].report_full_scores
        names = [measure + ending for ending in (("", "_Full") if full else ("",)) for measure in MEASURES]
        values = torch.zeros(count, len(names), dtype=torch.float64, device=device)
        own = [key.index for key in loader.sampler if key.index < count]
        mode, lpips = "val" if name == "val" else "test", self._lpips or published_lpips(device)
        with tqdm(total=len(own), desc=name, unit="view", disable=not is_main_process() or None) as bar:
            for index, batch in zip(own, loader if own else (), strict=False):
                item = render_item(network, to_device(batch, device), mode)
                scores = _score(item, batch, full, lpips)
                values[index] = torch.tensor([scores[measure] for measure in names], dtype=torch.float64)
                if watch is not None:
                    watch(item, batch)
                bar.update()
        rows = sum_over_processes(values).tolist()
        places = [(item[0], item.view) for item in dataset.items[:count]]  # scene (DTU: scan) and view
        return [
            ViewScores(scene, view, dict(zip(names, row, strict=True)))
            for (scene, view), row in zip(places, rows, strict=True)
        ]

    def _write_test(self, folder: Path, prefix: str, item: RenderedItem, batch: Mapping[str, Any]) -> None:
        stem = folder / f"{prefix}{item_name(batch)}"
        self._write_strip(stem.with_name(f"{stem.name}.jpg"), item)
        write_prediction(stem.with_name(f"{stem.name}.png"), item.rgb)

    def _write_strip(self, path: Path, item: RenderedItem) -> None:
        write_strip(path, item.rgb, item.truth, item.depth if self.opt.vis_depth else None, item.near_far)

    def _folder(self, name: str) -> Path:
        return Path(self.opt.output_path) / name


@torch.no_grad()
def render_item(network: IdNerf, batch: Mapping[str, Any], mode: str = "test") -> RenderedItem:
    """The target of a loader's batch of one item, rendered in the slices of `nerf.rand_rays_{mode}`."""
    rendered = network(dict(batch), mode)
    _, target, truth = split_batch(dict(batch))
    shape = (target.height, target.width, -1)
    known = None
    if "depth" in batch:
        known = resize_nearest(_array(batch["depth"][0]), target.height, target.width) != 0
    rgb, depth = (_array(rendered[name][0]).reshape(shape) for name in ("rgb", "depth"))
    return RenderedItem(rgb, depth[..., 0], _array(truth), known, target.near_far)


def describe_protocols(datasets: Mapping[str, DataLoader], opt: Config) -> list[str]:
    """How the measures of these data sets are defined, a line each."""
    names = {MASKED if name == "dtu" else CENTER for name in datasets}
    if any(opt.data_test[name].report_full_scores for name in datasets):
        names.add(FULL)
    return [find_protocol(name).describe() for name in sorted(names)]


def _score(item: RenderedItem, batch: Mapping[str, Any], full: bool, lpips: Lpips | None) -> dict[str, float]:
    try:
        return score_view(item.rgb, item.truth, item.known, full, lpips)
    except ValueError as error:
        raise ValueError(f"{item_name(batch)} cannot be scored: {error}") from None


def _array(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()


def _report(name: str, means: Mapping[str, float]) -> None:
    _LOGGER.info("%s: %s", name, ", ".join(f"{measure} {value:.4f}" for measure, value in means.items()))
