"""What `render.py` does: a network, a scene, a folder of pictures, and the scores (spec 9.1)."""

import logging
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from common.io.images import read_pixels, write_pixels
from common.io.videos import write_video
from common.metrics.protocols import ImageScores
from common.paths import resolve_input
from common.settings import Config, to_config
from neuray_mrvm.config import METHOD_FOLDER, load_config, rendering_settings
from neuray_mrvm.database_names import database
from neuray_mrvm.databases.database import Database
from neuray_mrvm.free_poses import free_poses
from neuray_mrvm.model_checkpoints import load_network
from neuray_mrvm.networks.build import build_generalization
from neuray_mrvm.per_scene_data import load_scene_views
from neuray_mrvm.picture_files import PASSES, write_rendered, write_truth
from neuray_mrvm.picture_rendering import Maps, depth_picture, free_query, render_picture, view_query
from neuray_mrvm.picture_scores import Scorer, score_lines, write_scores
from neuray_mrvm.reference_views import AnySceneViews, OneSceneViews, ReferenceViews, load_scene_network
from neuray_mrvm.view_batch import ViewBatch

SCORE_FILES = {"nr": "metrics.txt", "nr_fine": "metrics_fine.txt"}
FILM_FPS = 30.0
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderJob:
    """Everything that is decided before the first ray.

    Attributes:
        database: The scene.
        references: The network and the views it renders from.
        query_ids: Test views; empty for free poses.
        folder: Where pictures go.
        gt_folder: Where photographs go.
    """

    database: Database
    references: ReferenceViews
    query_ids: Sequence[str]
    folder: Path
    gt_folder: Path

    def render(self, query: ViewBatch, bar: tqdm) -> Maps:
        """See `render_picture`."""
        prepared, query = self.references.prepared(query.poses[0]), query.to(self.references.device)
        return render_picture(self.references.network, prepared, query, bar.update)


def open_job(args: Namespace, device: torch.device) -> RenderJob:
    """The job of a command line.

    Raises:
        FileNotFoundError: Config, scene, depth maps or checkpoint are missing.
        ValueError: The config is not for this type of rendering, or the scene is unknown or damaged.
        RuntimeError: The checkpoint does not fit.
    """
    cfg = load_config(args.cfg)
    is_general = args.render_type == "gen"
    expected = "neuray_gen" if is_general else "neuray_ft"
    if cfg["network"] != expected:
        raise ValueError(
            f"--render_type {args.render_type} needs a config with network {expected}, {args.cfg} has"
            f" {cfg['network']}; give another --cfg or --render_type {'ft' if is_general else 'gen'}"
        )
    cfg = to_config({**cfg, "ray_batch_num": args.ray_num, "render_depth": args.depth, "stage": "eval"})
    is_free = not args.pose_type.startswith("eval")
    path = resolve_input(args.load_ckpt_path, METHOD_FOLDER)
    opened = _open_any_scene if is_general else _open_one_scene
    references, found, query_ids, step = opened(cfg, args, path, is_free, device)
    place = Path(args.save_dir) / "render_test" / found.name
    return RenderJob(found, references, query_ids, place / f"{cfg['name']}-{step}-{args.pose_type}", place / "gt")


def render_test_views(job: RenderJob, first: int = 0, end: int = -1) -> dict[str, dict[int, ImageScores]]:
    """Render, write and score test views; returns the scores of every pass.

    Args:
        job: What to render.
        first: Index of the first view.
        end: Of the view after the last; -1 for all.
    """
    indices = _chosen(len(job.query_ids), first, end, job.database.name)
    queries = {index: view_query(job.database, job.query_ids[index]) for index in indices}
    scorer = Scorer(device=job.references.device)
    scores: dict[str, dict[int, ImageScores]] = {}
    with _rays(queries.values()) as bar:
        for index, query in queries.items():
            pictures = _store(job, index, query, bar)
            truth = job.database.image(job.query_ids[index])
            write_truth(job.gt_folder, index, truth)
            truth = truth.astype(np.float32) / np.float32(255)
            for name, picture in pictures.items():
                place = f"view {index} of {job.database.name}"
                scores.setdefault(name, {})[index] = scorer.score(picture, truth, place)
    for name, found in scores.items():
        write_scores(job.folder / SCORE_FILES[name], found)
        print(f"{name}: {list(score_lines(found))[-1]}")
    print(f"pictures in {job.folder}; {scorer.protocol.describe()}")
    return scores


def render_film(job: RenderJob, kind: str, file: str | None, first: int = 0, end: int = -1) -> None:
    """Render free poses as pictures, and as `video.mp4`.

    Args:
        job: What to render.
        kind: See `free_poses`.
        file: See `free_poses`.
        first: Index of the first pose.
        end: Of the pose after the last; -1 for all.
    """
    poses = free_poses(kind, job.database, _pictured(job.database), file)
    queries = {index: free_query(job.database, poses[index]) for index in _chosen(len(poses), first, end, kind)}
    with _rays(queries.values()) as bar:
        for index, query in queries.items():
            name = list(_store(job, index, query, bar))[-1]
    frames = (read_pixels(job.folder / f"{index}-{name}.jpg") for index in queries)
    write_video(job.folder / "video.mp4", frames, fps=FILM_FPS)
    print(f"{len(queries)} pictures and video.mp4 in {job.folder}; free poses have no scores")


def _open_any_scene(
    cfg: Config, args: Namespace, path: Path, is_free: bool, device: torch.device
) -> tuple[ReferenceViews, Database, Sequence[str], int]:
    found = database(args.database_name, args.base_data_dir)
    kind = "test" if rendering_settings(cfg)["use_depth"] else "test_all"
    reference_ids, query_ids = (_pictured(found), ()) if is_free else found.splits(kind)
    network = build_generalization(cfg)
    step = load_network(network, path)
    network.to(device).eval()
    return AnySceneViews(network, device, found, reference_ids, cfg), found, query_ids, step


def _open_one_scene(
    cfg: Config, args: Namespace, path: Path, is_free: bool, device: torch.device
) -> tuple[ReferenceViews, Database, Sequence[str], int]:
    cfg = to_config({**cfg, "gen_cfg": None, "database_split": "test_all", "mask_ratio": 0.0})
    views = load_scene_views(cfg, args.base_data_dir)
    network, step = load_scene_network(cfg, path, views)
    network.to(device).eval()
    return OneSceneViews(network, device, views), views.database, () if is_free else views.query_ids, step


def _store(job: RenderJob, index: int, query: ViewBatch, bar: tqdm) -> Mapping[str, Any]:
    """Render a camera and write its pictures, which are returned by pass."""
    maps = job.render(query, bar)
    pictures = {name: maps[f"pixel_colors_{name}"] for name in PASSES if f"pixel_colors_{name}" in maps}
    write_rendered(job.folder, index, pictures)
    depth = next((maps[name] for name in ("render_depth_fine", "render_depth") if name in maps), None)
    if depth is not None:
        grey = depth_picture(depth, query.depth_range[0].numpy())
        write_pixels(job.folder / f"{index}-fine-depth.png", grey)
    return pictures


def _rays(queries: Iterable[ViewBatch]) -> tqdm:
    total = sum(query.size[0] * query.size[1] for query in queries)
    return tqdm(total=total, desc="rendering", unit="ray", unit_scale=True, disable=None)


def _chosen(count: int, first: int, end: int, name: str) -> range:
    end = count if end == -1 else end
    if not 0 <= first < end <= count:
        raise ValueError(f"--rb {first} --re {end} is no part of the {count} views of {name}, which count from 0")
    return range(first, end)


def _pictured(found: Database) -> list[str]:
    return [view_id for view_id in found.ids if found.has_image(view_id)]
