"""Scores on the test set: PSNR, SSIM and LPIPS of both levels, depth errors on DTU, pictures, frames per second.

The metrics are those of the paper's evaluation, protocol "gefu" of `common.metrics.protocols`; with `eval_center` a
tenth of the picture is cut off at each side first. The summary is over the views of the last level, not over scenes.
"""

import functools
import json
import logging
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from common.io.atomic import atomic_path
from common.io.images import write_image
from common.metrics.depth import depth_scores, resize_nearest
from common.metrics.lpips import Lpips, load_lpips
from common.metrics.protocols import ImageScores, Protocol, crop_border, find_protocol, score_image
from gefu.point_clouds import PointCloudWriter

# The scans on which the paper measures depth. It lists scan110 here and fine-tunes on scan114 elsewhere.
DEPTH_SCANS = ("scan1", "scan8", "scan21", "scan103", "scan110")
DEPTH_THRESHOLDS = (2.0, 10.0)  # millimetres
_LOGGER = logging.getLogger(__name__)


@dataclass
class Scores:
    """What was measured so far.

    Attributes:
        images: Scores of every view, by scene and level.
        depth: Errors of every view whose true depth is known, by scene and metric.
        seconds: Of each forward pass.
    """

    images: dict[str, list[ImageScores]] = field(default_factory=lambda: defaultdict(list))
    depth: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def evaluate(
    network: nn.Module,
    loader: Iterable[Mapping[str, Any]],
    cfg: Any,
    lpips: Lpips | None = None,
    watch: Callable[[Mapping[str, Tensor], Mapping[str, Any]], None] | None = None,
) -> dict[str, float]:
    """Score a network on every item of a test loader; prints the summary and returns it.

    Args:
        network: On the device to use; put into eval mode for the time being.
        loader: Test batches of one item each.
        cfg: Resolved config; `save_result`, `save_ply`, `eval_lpips`, `gefu.eval_depth`, `gefu.eval_center` and
            `result_dir` matter.
        lpips: None loads the published network where `eval_lpips` asks for it; where that is not on this machine, the
            summary says so and has no "lpips".
        watch: Called with the outputs and the batch of every item.

    Returns:
        Means over views of the last level: psnr, ssim, lpips; with depth also abs, acc_2, acc_10 of the rendered depth
        and mvs_abs, mvs_acc_2, mvs_acc_10 of the fine cost volume's (millimetres and fractions); fps.
    """
    device = next(network.parameters()).device
    protocol = find_protocol("gefu_center" if cfg.gefu.eval_center else "gefu")
    missing = "" if cfg.eval_lpips else "eval_lpips is False"
    if not cfg.eval_lpips:
        lpips = None
    elif lpips is None:
        try:
            lpips = _published_lpips(protocol.lpips, device)
        except FileNotFoundError as error:
            missing = str(error)
    clouds = PointCloudWriter(cfg) if cfg.save_ply else None

    scores, was_training = Scores(), network.training
    network.eval()
    try:
        for batch in tqdm(loader, desc="evaluate", unit="view", disable=None):
            outputs, seconds = timed_forward(network, batch, device)
            scores.seconds.append(seconds)
            _score_batch(outputs, batch, cfg, protocol, lpips, scores)
            if clouds is not None:
                clouds.add(outputs, batch)
            if watch is not None:
                watch(outputs, batch)
    finally:
        network.train(was_training)
    if not scores.seconds:
        raise ValueError("the test set is empty; check test_dataset.data_root and test_dataset.scene")

    means = summarize(scores, cfg)
    print_summary(scores, means, cfg, protocol, missing)
    if cfg.save_result:
        write_report(scores, means, cfg, protocol, missing)
    if clouds is not None:
        clouds.fuse()
    return means


def timed_forward(
    network: nn.Module, batch: Mapping[str, Any], device: torch.device
) -> tuple[dict[str, Tensor], float]:
    """The network's outputs for a batch, and the seconds that took."""
    inputs = {name: value.to(device) for name, value in batch.items() if isinstance(value, Tensor)}
    _synchronize(device)
    began = time.perf_counter()
    with torch.no_grad():
        outputs = network(inputs)
    _synchronize(device)
    return outputs, time.perf_counter() - began


def summarize(scores: Scores, cfg: Any) -> dict[str, float]:
    """Means over views: image metrics of the last level, depth errors, and 1 / mean seconds without the first view."""
    last = f"_level{cfg.gefu.cas_config.num - 1}"
    views = [view for name, entries in scores.images.items() if name.endswith(last) for view in entries]
    means = image_means(views)
    scenes = depth_scenes(scores)
    for name in scores.depth[scenes[0]] if scenes else ():
        means[name] = statistics.fmean([value for scene in scenes for value in scores.depth[scene][name]])
    # The first pass allocates memory and chooses algorithms.
    means["fps"] = 1.0 / statistics.fmean(scores.seconds[1:] or scores.seconds)
    return means


def depth_scenes(scores: Scores) -> list[str]:
    """The scenes whose depth counts: the paper's where the test set has any of them, otherwise all with true depth."""
    known = [scene for scene, errors in scores.depth.items() if errors]
    return [scene for scene in known if scene in DEPTH_SCANS] or known


def image_means(views: list[ImageScores]) -> dict[str, float]:
    """Plain means of the metrics that every view has."""
    columns = {name: [getattr(view, name) for view in views] for name in ("psnr", "ssim", "lpips")}
    return {name: statistics.fmean(values) for name, values in columns.items() if values and None not in values}


def print_summary(scores: Scores, means: Mapping[str, float], cfg: Any, protocol: Protocol, missing: str) -> None:
    """The table on standard output: scenes, means, protocol, depth, where the pictures are, speed."""
    for name, views in scores.images.items():
        print(name, " ".join(f"{metric} {value:.4f}" for metric, value in image_means(views).items()))
    print({name: means[name] for name in ("psnr", "ssim", "lpips") if name in means})
    print(protocol.describe())
    if "lpips" not in means:
        print(f"LPIPS was not computed: {missing or 'a picture is too small for it'}")
    if depth_scenes(scores):
        for names in (("abs", "acc_2", "acc_10"), ("mvs_abs", "mvs_acc_2", "mvs_acc_10")):
            print({name: means[name] for name in names})
        print(f"depth of {', '.join(depth_scenes(scores))} (the paper scores {', '.join(DEPTH_SCANS)})")
    elif cfg.gefu.eval_depth:
        print("depth was not scored: no test view has true depth")
    if cfg.save_result:
        print(f"pictures are in {cfg.result_dir}")
    print(f"FPS: {means['fps']:.3f}")


def write_report(scores: Scores, means: Mapping[str, float], cfg: Any, protocol: Protocol, missing: str) -> None:
    """Store every number beside the pictures, one file per data set (the paper's three evaluations share a folder)."""
    views = {
        name: [{"psnr": view.psnr, "ssim": view.ssim, "lpips": view.lpips} for view in entries]
        for name, entries in scores.images.items()
    }
    content = {
        "protocol": protocol.describe(),
        "means": dict(means),
        "views": views,
        "depth": scores.depth,
        "lpips_missing": missing,
    }
    name = cfg.test_dataset_module.removeprefix("lib.datasets.").removesuffix(".gefu")
    with atomic_path(Path(cfg.result_dir) / f"metrics_{name}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def picture(rows: Float[Tensor, "1 R 3"], height: int, width: int) -> Float[np.ndarray, "H W 3"]:
    """A copy of a level's colours, in row-major order, as a picture on the CPU."""
    return rows[0].detach().float().cpu().numpy().reshape(height, width, 3).copy()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _score_batch(
    outputs: Mapping[str, Tensor],
    batch: Mapping[str, Any],
    cfg: Any,
    protocol: Protocol,
    lpips: Lpips | None,
    scores: Scores,
) -> None:
    meta = batch["meta"]
    scene, view, frame = meta["scene"][0], int(meta["tar_view"][0]), int(meta["frame_id"][0])
    last = cfg.gefu.cas_config.num - 1
    for level in range(last + 1):
        if f"rgb_level{level}" not in outputs:
            continue
        size = int(meta[f"h_{level}"][0]), int(meta[f"w_{level}"][0])
        prediction, truth = picture(outputs[f"rgb_level{level}"], *size), picture(batch[f"rgb_{level}"], *size)
        mask = batch[f"msk_{level}"][0].cpu().numpy().reshape(size) != 0
        if cfg.save_result and level == last:
            pair = [crop_border(rgb, protocol.border) for rgb in (truth, prediction)]
            write_image(Path(cfg.result_dir) / f"{scene}_{view}_{frame}.png", np.concatenate(pair, axis=1))
        scores.images[f"{scene}_level{level}"].append(score_image(prediction, truth, protocol, mask, lpips))
    if cfg.gefu.eval_depth and "tar_dpt" in batch:
        _score_depth(
            outputs, batch["tar_dpt"][0].cpu().numpy(), last, scores.depth.setdefault(scene, defaultdict(list))
        )


def _score_depth(
    outputs: Mapping[str, Tensor], truth: Float[np.ndarray, "H W"], level: int, scores: dict[str, list[float]]
) -> None:
    rendered = outputs[f"depth_level{level}"][0].cpu().numpy().reshape(truth.shape)
    volume = outputs[f"depth_mvs_level{level}"][0].cpu().numpy()
    for prefix, depth in (("", rendered), ("mvs_", volume)):
        found = depth_scores(depth, resize_nearest(truth, *depth.shape), DEPTH_THRESHOLDS)
        if found is None:
            continue
        scores[f"{prefix}abs"].append(found.absolute)
        for threshold, fraction in found.accuracy.items():
            scores[f"{prefix}acc_{threshold:g}"].append(fraction)


@functools.cache
def _published_lpips(backbone: str, device: torch.device) -> Lpips:
    return load_lpips(backbone, device)
