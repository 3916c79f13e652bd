"""What a config says about the network, as records; `settings_from_config` is where keys become arguments."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LevelSettings:
    """One level of the cascade; scales are relative to the full image.

    Attributes:
        num_planes: Depth hypotheses.
        volume_scale: Size of the cost volume.
        warp_scale: Size of the features that are warped into it.
        render_scale: Size of the picture.
        blend_scale: Size of the features that are read along the rays.
        blend_level: Which of the pyramid's features those are (0 quarter, 1 half, 2 full).
        blend_channels: Their channels.
        num_samples: Samples per ray.
        is_rendered: Makes a picture at all.
    """

    num_planes: int
    volume_scale: float
    warp_scale: float
    render_scale: float
    blend_scale: float
    blend_level: int
    blend_channels: int
    num_samples: int
    is_rendered: bool = True


COARSE = LevelSettings(64, 0.125, 0.25, 0.25, 0.25, 0, 32, 8)
FINE = LevelSettings(8, 0.5, 0.5, 1.0, 1.0, 2, 8, 2)


@dataclass(frozen=True)
class NetworkSettings:
    """The two levels, and what happens to the final colour (`reweighting`: mean of fused and blended)."""

    coarse: LevelSettings = COARSE
    fine: LevelSettings = FINE
    reweighting: bool = False
    white_background: bool = False


def settings_from_config(cfg: Any) -> NetworkSettings:
    """Settings from a resolved config.

    Raises:
        ValueError: A value that the released architecture has no room for.
    """
    section = cfg["gefu"]
    cascade = section["cas_config"]
    if cascade["num"] != 2 or list(cascade["depth_inv"]) != [True, False]:
        raise ValueError(
            "gefu.cas_config must have num 2 and depth_inv [True, False] (coarse in disparity, fine in depth), "
            f"got num {cascade['num']} and depth_inv {list(cascade['depth_inv'])}"
        )
    if not section["viewdir_agg"]:
        raise ValueError("gefu.viewdir_agg must be True: the released architecture has the layer agg.view_fc")
    for planes, divisor in zip(cascade["volume_planes"], (4, 8), strict=True):
        if planes <= 0 or planes % divisor:
            raise ValueError(
                "gefu.cas_config.volume_planes must be positive multiples of 4 (coarse) and 8 (fine), "
                f"got {list(cascade['volume_planes'])}"
            )
    coarse, fine = (
        LevelSettings(
            num_planes=cascade["volume_planes"][level],
            volume_scale=cascade["volume_scale"][level],
            warp_scale=cascade["im_feat_scale"][level],
            render_scale=cascade["render_scale"][level],
            blend_scale=cascade["im_ibr_scale"][level],
            blend_level=cascade["render_im_feat_level"][level],
            blend_channels=cascade["nerf_model_feat_ch"][level],
            num_samples=cascade["num_samples"][level],
            is_rendered=cascade["render_if"][level],
        )
        for level in range(2)
    )
    return NetworkSettings(coarse, fine, section["reweighting"], section["white_bkgd"])
