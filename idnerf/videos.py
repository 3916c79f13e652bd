"""Videos around a test item (`nerf.render_video`): colours and depth side by side (spec 9).

    DTU       through the sources in order and back to the first
    LLFF      a spiral in front of the training views, as the paper has it
    COLMAP    what `data_test.colmap.render_path_mode` says

Sources, intrinsics and depth range are the item's; only the target camera moves. The sources are encoded once; the
latent is imagined for every frame, or once for the item's target as released (`parity.released_video_latent`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from tqdm import tqdm

from common.batches import to_device
from common.cameras import Camera
from common.io.atomic import atomic_path
from common.io.images import write_image
from common.io.videos import write_video
from common.settings import Config
from common.trajectories import interpolated_path, spiral_path
from common.visualization import side_by_side, to_uint8
from idnerf.depth_colors import depth_colors
from idnerf.networks.network import IdNerf
from idnerf.parity import is_released
from idnerf.views import SourceViews, split_batch

FOLDER = "test_videos"
FPS, GIF_FPS = 25.0, 12
QUALITY = 8.0
_KINDS = {"dtu": "interpolate", "llff": "spiral"}


def save_videos(network: IdNerf, loader: Iterable[Mapping[str, Any]], dataset: str, opt: Config) -> list[Path]:
    """One video for each item of a data set, with the pictures of its sources; paths of the videos.

    Args:
        network: In eval mode, on the device to use.
        loader: Test batches of one item.
        dataset: "dtu", "llff" or "colmap".
        opt: All options; `nerf.video_n_frames` must be set.

    Raises:
        ValueError: An option that videos need is missing, or there are too few frames.
    """
    kind = path_kind(dataset, opt)
    if opt.nerf.video_n_frames is None:
        raise ValueError("videos need their number of frames; add --nerf.video_n_frames=60")
    device, videos = next(network.parameters()).device, []
    for batch in loader:
        sources, target, _ = split_batch(to_device(dict(batch), device))
        poses = video_path(kind, sources, target, opt, batch.get("c2ws_all"))
        path = Path(opt.output_path) / FOLDER / dataset / f"{item_name(batch)}.mp4"
        frames = _watched(render_path(network, sources, target, poses), len(poses), path, opt)
        write_video(path, frames, fps=FPS / opt.nerf.video_pts_rates, quality=QUALITY)
        shown = sources.images.permute(0, 2, 3, 1).cpu().numpy()
        write_image(path.with_suffix(".jpg"), side_by_side([to_uint8(picture) for picture in shown]))
        videos.append(path)
    return videos


def path_kind(dataset: str, opt: Config) -> str:
    """Which path the videos of a data set have.

    Raises:
        ValueError: COLMAP without `render_path_mode`.
    """
    kind = _KINDS.get(dataset) or opt.data_test[dataset].render_path_mode
    if kind is None:
        raise ValueError(
            f"videos of {dataset} need a path; add --data_test.{dataset}.render_path_mode=interpolate or =spiral"
        )
    return kind


def video_path(
    kind: str,
    sources: SourceViews,
    target: Camera,
    opt: Config,
    all_views: Float[torch.Tensor, "1 N 4 4"] | None = None,
) -> list[Float[np.ndarray, "4 4"]]:
    """World to camera of every frame.

    Args:
        kind: "interpolate" passes through the sources and back to the first, with the nearest number of frames below
            `nerf.video_n_frames` that gives all legs the same; "spiral" has exactly as many.
        sources: Of the item.
        target: Its depth range places the spiral's focus.
        opt: `nerf.video_n_frames` and `nerf.video_rads_scale`.
        all_views: Camera to world of all training views, for the spiral; None for the sources.

    Raises:
        ValueError: Fewer frames than sources.
    """
    count, given = opt.nerf.video_n_frames, sources.extrinsics.double().cpu().numpy()
    if kind == "spiral":
        if all_views is not None:
            given = np.linalg.inv(all_views[0].double().cpu().numpy())
        return spiral_path(given, target.near_far, count, radius_scale=opt.nerf.video_rads_scale, convention="released")
    if count < len(given):
        raise ValueError(
            f"nerf.video_n_frames is {count}; a path through {len(given)} sources needs that many at least"
        )
    return interpolated_path(given, count // len(given), rotations="euler")


def render_path(
    network: IdNerf, sources: SourceViews, target: Camera, poses: Iterable[Float[np.ndarray, "4 4"]]
) -> Iterator[UInt8[np.ndarray, "H W2 3"]]:
    """Colours and depth colours of each frame side by side, one frame at a time, at the size of the target."""
    once = is_released(network.opt, "released_video_latent")
    chunk = network.opt.nerf.rand_rays_test
    with torch.no_grad():  # not around the loop: what a generator switches off stays off for its caller between frames
        encoded = network.encode(sources)
        latent, _ = network.infer_latent(encoded, target)
    for pose in poses:
        camera = replace(target, world_to_cam=torch.from_numpy(pose).to(target.world_to_cam))
        with torch.no_grad():
            if not once:
                latent, _ = network.infer_latent(encoded, camera)
            rendered = network.render(encoded, latent, camera, chunk=chunk)
        rgb, depth = (
            rendered[name].cpu().numpy().reshape(camera.height, camera.width, -1) for name in ("rgb", "depth")
        )
        yield side_by_side([to_uint8(rgb), depth_colors(depth[..., 0], camera.near_far)])


def item_name(batch: Mapping[str, Any]) -> str:
    """`{scene}_view{target}_src{source}_{source}...` of a batch of one item."""
    *sources, target = batch["view_ids"][0].tolist()
    return f"{batch['scene'][0]}_view{target:02d}_src{'_'.join(f'{view:02d}' for view in sources)}"


def _watched(
    frames: Iterator[UInt8[np.ndarray, "H W 3"]], count: int, video: Path, opt: Config
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The same frames, with a progress bar; stored one by one beside the video, or as one GIF, as the options say."""
    kept = []
    with tqdm(total=count, desc=video.stem, unit="frame", disable=None) as bar:
        for number, frame in enumerate(frames):
            if opt.nerf.save_frames:
                write_image(video.with_name(f"{video.stem}_f{number}.jpg"), frame)
            if opt.nerf.save_gif:
                kept.append(Image.fromarray(frame))
            bar.update()
            yield frame
    if kept:
        with atomic_path(video.with_suffix(".gif")) as temporary:
            kept[0].save(temporary, save_all=True, append_images=kept[1:], duration=1000 // GIF_FPS, loop=0)
