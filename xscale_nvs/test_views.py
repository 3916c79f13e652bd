"""Pictures of the test views and how well they fit the photographs (XScale-NVS, Sec. 8).

    {root_file}/point_exp/{modelName}[/{splitName}]/nv/colour_{view}.png     8-bit, white where nothing is seen
    {root_file}/point_exp/{modelName}[/{splitName}]/gt                       made and left empty, as in the paper
    {root_file}/point_exp/{modelName}[/{splitName}]/metrics.json             scores, and the protocol they follow

The paper's program computes no metric. Ours compare the pictures as written with photographs that are white where
nothing is seen; PSNR is also given over the covered pixels alone, which white does not flatter.
"""

import dataclasses
import json
import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from common.io.atomic import atomic_path
from common.io.images import read_image, write_image
from common.metrics.images import psnr
from common.metrics.lpips import Lpips, load_lpips
from common.metrics.protocols import PROTOCOLS, prepare_pair, score_image
from common.ops.rasterize import MeshRasterizer
from xscale_nvs.model_checkpoints import BEST, load_model, read_model
from xscale_nvs.networks.model import XscaleModel, build_model
from xscale_nvs.networks.painter import Painter
from xscale_nvs.parameters import Params
from xscale_nvs.ray_caching import cached_mesh
from xscale_nvs.scene_files import SceneFiles, open_scene
from xscale_nvs.tone import to_8_bit
from xscale_nvs.view_painting import PaintedView, paint_view

PROTOCOL = PROTOCOLS["xscale_nvs"]
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class ViewScores:
    """Metrics of one test view, PSNR in dB; None where a metric could not be computed.

    Attributes:
        view: Its id.
        name: Of the photograph.
        covered: Share of the pixels that see the mesh.
        psnr, ssim, lpips: By the protocol.
        psnr_covered: Over the covered pixels alone.
    """

    view: int
    name: str
    covered: float
    psnr: float
    ssim: float | None
    lpips: float | None
    psnr_covered: float | None


def render_test_views(params: Params) -> list[ViewScores]:
    """Render `test_view_list` and write pictures and metrics.

    Raises:
        FileNotFoundError, ValueError: Mesh, photographs, cameras or the checkpoint are missing or broken.
        RuntimeError: The checkpoint is damaged or of another network.
    """
    scene = open_scene(params)
    scene.check_views(params.test_view_list, "test_view_list")
    mesh = cached_mesh(scene.mesh, Path(params.attribute_cache_path)).to(params.device)
    model = open_model(params)
    model.set_box(mesh.center, mesh.scale)
    painter = painter_of(model, params)
    rasterizer = MeshRasterizer(mesh.vertices, mesh.faces)
    folder = Path(params.root_file, "point_exp", params.modelName, params.splitName or "")
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    lpips = _find_lpips(params.device)
    scores = []
    for view in tqdm(params.test_view_list, desc="test views", unit="view"):
        painted = paint_view(mesh, rasterizer, painter, scene.camera(view), params.ss_ratio)
        write_image(folder / "nv" / f"colour_{view}.png", to_8_bit(painted.rgb).numpy())
        scores.append(_score(scene, view, painted, lpips))
    _write_scores(folder / "metrics.json", scores)
    return scores


def open_model(params: Params) -> XscaleModel:
    """The trained model: `load_checkpoint_dir`, else the newest of the run, else an untrained one with a warning.

    Raises:
        FileNotFoundError: `load_checkpoint_dir` does not exist.
        RuntimeError: The checkpoint is damaged or of another network.
    """
    path = params.load_checkpoint_dir
    if path is None and (Path(params.checkpoint_dir) / BEST).is_file():
        path = Path(params.checkpoint_dir) / BEST
        _LOGGER.info("load_checkpoint_dir is None: taking %s", path)
    model = build_model(params)
    if path is None:
        _LOGGER.warning(
            "load_checkpoint_dir is None and %s holds no run: the model is untrained", params.checkpoint_dir
        )
    else:
        load_model(model, read_model(path), path)
    return model.to(params.device).eval()


def painter_of(model: XscaleModel, params: Params) -> Painter:
    """The painter for `trajectory_lit_id` and `trajectory_wb_id`.

    Raises:
        ValueError: There is no such row in the model's tables.
    """
    with torch.no_grad():
        row = params.trajectory_wb_id
        light = model.light_code(torch.tensor([params.trajectory_lit_id], device=model.center.device))
        exposure = model.exposure_code(None if row is None else torch.tensor([row], device=model.center.device))
    return Painter(model, light, exposure, params.infer_batch_size)


def format_scores(scores: Sequence[ViewScores]) -> str:
    """A table for the console, with means and the protocol."""
    lines = [f"{'view':>6} {'PSNR':>7} {'covered':>8} {'SSIM':>7} {'LPIPS':>7}  photograph"]
    for entry in scores:
        values = (entry.psnr, entry.psnr_covered, entry.ssim, entry.lpips)
        lines.append(f"{entry.view:>6} {_columns(values)}  {entry.name}")
    means = _means(scores)
    lines.append(f"{'mean':>6} {_columns([means[key] for key in ('psnr', 'psnr_covered', 'ssim', 'lpips')])}")
    return "\n".join([*lines, PROTOCOL.describe() + "; 'covered': PSNR over covered pixels alone"])


def _columns(values: Sequence[float | None]) -> str:
    texts = [
        "-" if value is None else f"{value:.{digits}f}" for value, digits in zip(values, (2, 2, 4, 4), strict=True)
    ]
    return " ".join(f"{text:>{width}}" for text, width in zip(texts, (7, 8, 7, 7), strict=True))


def _find_lpips(device: torch.device) -> Lpips | None:
    try:
        return load_lpips(PROTOCOL.lpips, device)
    except FileNotFoundError as error:
        _LOGGER.warning("metrics without LPIPS: %s", error)
        return None


def _score(scene: SceneFiles, view: int, painted: PaintedView, lpips: Lpips | None) -> ViewScores:
    prediction, covered = painted.rgb.numpy(), painted.covered.numpy()
    truth = read_image(scene.photographs[view])
    found = score_image(prediction, truth, PROTOCOL, covered, lpips)
    inside = None
    if covered.any():
        inside = psnr(*prepare_pair(prediction, truth, PROTOCOL, covered)[:2], covered)
    share = float(covered.mean())
    return ViewScores(view, scene.photographs[view].name, share, found.psnr, found.ssim, found.lpips, inside)


def _means(scores: Sequence[ViewScores]) -> dict[str, float | None]:
    """Mean of each metric over the views that have it."""
    means: dict[str, float | None] = {}
    for key in ("psnr", "psnr_covered", "ssim", "lpips"):
        values = [getattr(entry, key) for entry in scores if getattr(entry, key) is not None]
        means[key] = statistics.fmean(values) if values else None
    return means


def _write_scores(path: Path, scores: Sequence[ViewScores]) -> None:
    content: dict[str, Any] = {"protocol": PROTOCOL.describe(), "mean": _means(scores)}
    content["views"] = [dataclasses.asdict(entry) for entry in scores]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf8")
