"""A COLMAP model as a folder of MVSNet's testing form, as MVSNet's own converter writes it.

    <folder>/sparse/{cameras,images,points3D}.{txt,bin}, <folder>/images/...      what is read
    <output>/cams/00000000_cam.txt      pose, intrinsics, `depth_min interval depth_num depth_max`
    <output>/images/00000000.jpg
    <output>/pair.txt

Views are numbered in the order of their image ids, which need not be 1 ... N. Intrinsics stay COLMAP's numbers
(corner-origin). With z the sorted depths of the points that a view sees,

    depth_min = z[int(0.01 n)]      depth_max = z[int(0.99 n)]
    depth_num = max_d, or so many that a step of inverse depth at depth_min moves a point by one pixel (not rounded)
    interval = (depth_max - depth_min) / (depth_num - 1) / interval_scale
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from common.conversion.pictures import JPEG_SUFFIXES, copy_file, pinhole_picture
from common.conversion.view_scores import AngleWeight, best_sources, view_scores
from common.datasets.colmap import choose_model, find_image_folder
from common.datasets.photographs import image_file
from common.datasets.scene import View
from common.datasets.validation import check_view, inside
from common.io.atomic import atomic_path
from common.io.colmap_model import find_model_encoding
from common.io.colmap_records import ColmapModel, intrinsics_and_lens, world_to_cam_of
from common.io.images import write_image
from common.io.mvsnet_camera import MvsnetCamera, write_mvsnet_camera

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MvsnetDepths:
    """How depth hypotheses are stated: a fixed number of them, or 0 to derive it, and a factor on their distance."""

    max_d: int = 0
    interval_scale: float = 1.0
    weight: AngleWeight = field(default_factory=AngleWeight)

    def __post_init__(self) -> None:
        if self.max_d < 0 or self.max_d == 1:
            raise ValueError(f"max_d is a number of depths from 2, or 0 to derive it, got {self.max_d}")
        if not self.interval_scale > 0:
            raise ValueError(f"interval_scale must be positive, got {self.interval_scale:g}")

    def line(self, near: float, far: float, focal: float) -> tuple[float, float, float, float]:
        """The numbers of a camera file's last line, with six decimals (more where these would be few digits)."""
        step = near / focal  # what one pixel is at the nearest depth
        count = float(self.max_d) or max((1 / near - 1 / far) / (1 / near - 1 / (near + step)), 2.0)
        interval = (far - near) / (count - 1) / self.interval_scale
        return tuple(round(number, 6) if abs(number) >= 1e-3 else number for number in (near, interval, count, far))


@dataclass(frozen=True)
class Observations:
    """Which view sees which point: one entry for every keypoint with a point.

    Attributes:
        views: Position among the sorted image ids.
        points: Row of the model's points.
    """

    views: Int[np.ndarray, " M"]
    points: Int[np.ndarray, " M"]


def convert_colmap_to_mvsnet(
    folder: str | Path,
    output: str | Path | None = None,
    depths: MvsnetDepths | None = None,
    *,
    model: str | None = None,
    undistort: bool = False,
    convert_format: bool = False,
    list_self: bool = True,
) -> int:
    """Write cameras, pictures and pairs of a COLMAP capture; returns the number of views.

    Args:
        folder: Of the capture.
        output: Folder to write to; None is `folder`, beside the photographs.
        depths: Depth hypotheses and the weight of pairs.
        model: Folder of the model below `folder`; None looks in `sparse`.
        undistort: Undo lenses. Otherwise the lens is dropped as MVSNet's converter drops it, and a warning says so.
        convert_format: Encode pictures as JPEG instead of copying their files.
        list_self: Keep MVSNet's habit that small models list a view as its own last source, with score 0.

    Raises:
        FileNotFoundError: No model, or one of its photographs is missing.
        ValueError: A file is damaged, a photograph has another size than its camera, the model has no points, or a
            picture to be written would replace a photograph.
    """
    folder, depths = Path(folder), depths or MvsnetDepths()
    output = folder if output is None else Path(output)
    model_folder, colmap, notes = choose_model(folder, model)
    for note in notes:
        logger.warning("%s: %s", model_folder, note)
    views = _read_views(colmap, find_image_folder(folder, model_folder, "images"), model_folder)
    targets = [output / "images" / f"{index:08d}.jpg" for index in range(len(views))]
    _check_targets(views, targets, undistort or convert_format)
    seen = observations(colmap)
    ranges = depth_ranges(colmap, seen, [view.world_to_cam for view in views], model_folder)
    scores = view_scores(
        seen.views, seen.points, colmap.points.xyz, np.stack([view.center for view in views]), depths.weight
    )

    for target, view in zip(tqdm(targets, "Writing pictures", unit="picture"), views, strict=True):
        _store(target, view, undistort, convert_format)
    for index, (view, near_far) in enumerate(zip(views, ranges, strict=True)):
        camera = MvsnetCamera(view.intrinsics, view.world_to_cam, depths.line(*near_far, view.intrinsics[0, 0]))
        write_mvsnet_camera(output / "cams" / f"{index:08d}_cam.txt", camera)
    _write_pairs(output / "pair.txt", best_sources(scores, list_self=list_self))
    _warn_about(views, undistort, convert_format)
    return len(views)


def observations(colmap: ColmapModel) -> Observations:
    """Every keypoint with a point that the model has, in the order of the sorted image ids."""
    order = np.argsort(colmap.points.ids)
    ids = colmap.points.ids[order]
    views, points = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for position, image_id in enumerate(sorted(colmap.images)):
        point_ids = colmap.images[image_id].point_ids
        rows = np.searchsorted(ids, point_ids).clip(max=max(len(ids) - 1, 0))
        known = ids[rows] == point_ids if len(ids) else np.zeros(len(point_ids), bool)
        points.append(order[rows[known]])
        views.append(np.full(known.sum(), position))
    return Observations(np.concatenate(views), np.concatenate(points))


def depth_ranges(
    colmap: ColmapModel, seen: Observations, poses: list[Float[np.ndarray, "4 4"]], where: str | Path
) -> list[tuple[float, float]]:
    """(depth_min, depth_max) of every view; views whose points give none take the widest of the others.

    Raises:
        ValueError: No view has a range.
    """
    starts = np.searchsorted(seen.views, np.arange(len(poses) + 1))
    found = []
    for pose, start, stop in zip(poses, starts, starts[1:], strict=False):
        z = np.sort(colmap.points.xyz[seen.points[start:stop]] @ pose[2, :3] + pose[2, 3])
        if len(z) and z[int(0.01 * len(z))] <= 0:
            z = z[z > 0]  # many points behind the camera are mistakes of the reconstruction
        bounds = (float(z[int(0.01 * len(z))]), float(z[int(0.99 * len(z))])) if len(z) else (0.0, 0.0)
        found.append(bounds if bounds[0] < bounds[1] else None)
    known = [bounds for bounds in found if bounds is not None]
    if not known:
        raise ValueError(
            f"{where} has no points from which a depth range follows; triangulate them with `colmap point_triangulator`"
        )
    missing = found.count(None)
    if missing:
        logger.warning(
            "%s: %d of %d views see too few points and take the widest depth range", where, missing, len(found)
        )
    widest = (min(near for near, _ in known), max(far for _, far in known))
    return [bounds or widest for bounds in found]


def _read_views(colmap: ColmapModel, image_folder: Path, model_folder: Path) -> list[View]:
    """Views in the order of the image ids."""
    where = f"{model_folder}/images.{find_model_encoding(model_folder)}"
    images = [colmap.images[image_id] for image_id in sorted(colmap.images)]
    if not images:
        raise ValueError(f"{where} has no images")
    paths = [inside(image_folder, image.name, where) for image in images]
    missing = [image.name for image, path in zip(images, paths, strict=True) if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(images)} photographs of {where} are not in {image_folder} ({missing[0]}, ...)"
        )
    views = []
    for image, path in zip(images, paths, strict=True):
        camera, file = colmap.cameras[image.camera_id], image_file(path)
        if file.size != (camera.width, camera.height):
            raise ValueError(
                f"{path} has {file.size[0]} x {file.size[1]} pixels but camera {image.camera_id} of {where} has"
                f" {camera.width} x {camera.height}; use the photographs that the model was made from"
            )
        intrinsics, lens = intrinsics_and_lens(camera)
        view = View(image.name, file, intrinsics, world_to_cam_of(image), distortion=lens)
        check_view(view, f"{where} (image '{image.name}')")
        views.append(view)
    return views


def _check_targets(views: list[View], targets: list[Path], changes: bool) -> None:
    """Refuse to write over photographs, except where one already is the picture to be written."""
    owners = {view.image.path.resolve(): view.name for view in views}
    for view, target in zip(views, targets, strict=True):
        owner = owners.get(target.resolve())
        if owner is not None and (changes or owner != view.name):
            raise ValueError(
                f"{target}, the picture of '{view.name}', would replace the photograph '{owner}'; write to another"
                " folder with --output"
            )


def _store(target: Path, view: View, undistort: bool, convert_format: bool) -> None:
    if undistort and _has_lens(view):
        write_image(target, pinhole_picture(view, "corner"))
    elif convert_format:
        as_stored = View(view.name, view.image, view.intrinsics, view.world_to_cam)
        write_image(target, pinhole_picture(as_stored, "corner"))
    else:
        copy_file(view.image.path, target)


def _warn_about(views: list[View], undistort: bool, convert_format: bool) -> None:
    distorted = [view.name for view in views if _has_lens(view)]
    if distorted and not undistort:
        logger.warning(
            "the lens of %d of %d cameras (%s, ...) was dropped, so lines that are straight in the world stay bent in"
            " these pictures; use --undistort, or `colmap image_undistorter` first",
            *(len(distorted), len(views), distorted[0]),
        )
    others = [view.name for view in views if view.image.path.suffix.lower() not in JPEG_SUFFIXES]
    if others and not convert_format:
        logger.warning(
            "%d pictures (%s, ...) are no JPEG files and were copied as they are to names that end in .jpg; use"
            " --convert_format to encode them",
            *(len(others), others[0]),
        )


def _has_lens(view: View) -> bool:
    return view.distortion is not None and not view.distortion.is_zero


def _write_pairs(path: Path, pairs: dict[int, tuple[tuple[int, float], ...]]) -> None:
    lines = [str(len(pairs))]
    for view, sources in pairs.items():
        entries = [f"{source} {score:.6f}" for source, score in sources]
        lines += [str(view), " ".join([str(len(sources)), *entries])]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf8")
