"""Videos along a camera path around each test view (`save_video True`).

    DTU, NeRF-Synthetic   through the source cameras in order and back to the first, 20 frames per leg
    LLFF                  a spiral of 60 frames in front of the source cameras

Sources, intrinsics and depth range are the test item's; only the target camera moves. The features of the sources are
computed once per video.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from common.io.videos import write_video
from common.metrics.protocols import crop_border
from common.trajectories import interpolated_path, spiral_path
from common.visualization import to_uint8
from gefu.data.scenes import find_layout

NUM_FRAMES = 60
BORDER = 0.1  # cut off at each side with eval_center
FPS = 10.0


def save_videos(network: nn.Module, loader: Iterable[Mapping[str, Any]], cfg: Any) -> list[Path]:
    """One video per test item, `<result_dir>/<scene>_<target>_<frame>.mp4`; their paths are returned and printed.

    Args:
        network: In eval mode, on the device to use.
        loader: Test batches of one item each.
        cfg: Resolved config.
    """
    layout, paths = find_layout(cfg.test_dataset_module).name, []
    border = BORDER if cfg.gefu.eval_center else 0.0
    for batch in loader:
        meta = batch["meta"]
        name = f"{meta['scene'][0]}_{int(meta['tar_view'][0])}_{int(meta['frame_id'][0])}"
        poses = video_path(layout, batch)
        path = Path(cfg.result_dir) / f"{name}.mp4"
        frames = tqdm(render_path(network, batch, poses), total=len(poses), desc=name, unit="frame", disable=None)
        write_video(path, (crop_border(frame, border) for frame in frames), fps=FPS, quality=10.0)
        print(f"{len(poses)} frames are in {path}")
        paths.append(path)
    if not paths:
        raise ValueError("the test set is empty; check test_dataset.data_root and test_dataset.scene")
    return paths


def video_path(layout: str, batch: Mapping[str, Any]) -> list[Float[np.ndarray, "4 4"]]:
    """The camera path of a test item, as world_to_cam of each frame.

    Args:
        layout: "dtu", "llff" or "nerf".
        batch: One item; only its source cameras and its depth range count.
    """
    sources = batch["src_exts"][0].cpu().numpy()
    if layout == "llff":
        near, far = batch["near_far"][0].tolist()
        return spiral_path(sources, (near, far), NUM_FRAMES, convention="released")
    return interpolated_path(sources, NUM_FRAMES // 3, rotations="euler")


def render_path(
    network: nn.Module, batch: Mapping[str, Any], poses: Iterable[Float[np.ndarray, "4 4"]]
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The item's sources seen from each pose, one frame at a time, at the size of the source images."""
    device = next(network.parameters()).device
    names = ("src_inps", "src_exts", "src_ixts", "tar_ixt", "near_far")
    inputs: dict[str, Tensor] = {name: batch[name].to(device) for name in names}
    height, width = inputs["src_inps"].shape[-2:]
    with torch.no_grad():  # not around the loop: what a generator switches off stays off for its caller between frames
        features = network.encode(inputs["src_inps"])
    for pose in poses:
        target = inputs | {"tar_ext": torch.from_numpy(pose).to(inputs["tar_ixt"])[None]}
        with torch.no_grad():
            rgb = network.render_target(features, target)["rgb_level1"]
        yield to_uint8(rgb[0].cpu().numpy().reshape(height, width, 3))
