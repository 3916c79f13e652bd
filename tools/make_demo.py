"""Render held-out views with every method that is ready and show them on one page.

    python tools/make_demo.py --output demo                              generated scenes
    python tools/make_demo.py --scene my_photos --output demo_photos     your own posed photographs, in any layout
    python tools/make_demo.py --scene my_photos --methods gefu neuray idnerf

The page is `index.html` in the output folder: one file that opens offline. `results.json` beside it has every number.
"""

import argparse
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import gefu
import gens
import idnerf
import neuray_mrvm
import xscale_nvs
from common.baselines.depth_fusion import DepthFusion
from common.baselines.nearest_view import NearestView
from common.baselines.painted_mesh import uv_texture, vertex_colors
from common.baselines.plane_sweep_blending import PlaneSweepBlending
from common.baselines.visual_hull import VisualHull
from common.demo.blocks import Section, page_html
from common.demo.compare import Comparison, Contestant, compare
from common.demo.report import MethodSection, build_section, numbers
from common.demo.scenes import NUM_SOURCES, DemoScene, generated_scene, generated_town, own_scene
from common.demo.surface_section import compare_surfaces, surface_numbers, surface_section
from common.demo.surfaces import generated_surface
from common.entry_point import run_command
from common.io.atomic import atomic_path
from common.metrics.lpips import Lpips, load_lpips
from common.metrics.protocols import find_protocol
from common.renderer import Renderer

SEEDS = (1, 2)  # training uses seeds from 1000 on
SIZE = (320, 256)
SMALL_SIZE, SMALL_HELD_OUT = (160, 128), (24, 44)  # for methods that were trained at this size and take longer
METHODS = ("gefu", "neuray", "idnerf", "xscale", "gens")
ON_PHOTOGRAPHS = METHODS[:3]
TITLE = "Polyview demo"
LEAD = "New views of generated scenes and of your own photographs, beside the photographs that were held out."
FOOT = "One run of tools/make_demo.py made every number and picture of this page; results.json has the numbers."


PROTOCOL = find_protocol("standard")
GEFU_LEAD = (
    "GeFu (Liu et al., CVPR 2024) renders a new view in one forward pass: a coarse and a fine plane sweep over learned "
    "features give geometry, two decoders give colours, and both are fused by how well they fit the photographs.",
    "It is compared in the same run with two classical ways that need no training: the nearest photograph as it is, "
    "and a plane sweep with semi-global matching and visibility-aware blending.",
)
NEURAY_LEAD = (
    "NeuRay (Liu et al., CVPR 2022) with mask-based pre-training (MRVM, Yang et al., ICLR 2024) gives every photograph "
    "a map that tells, pixel by pixel, down to which depth it can be trusted, and blends photographs along each new "
    "ray accordingly. The depth maps that it starts from are swept here from the same three photographs.",
    "It is compared in the same run with the two classical ways of the first section, at the size of its training. The "
    "weights were trained for a few hours on one CPU core, a small fraction of the paper's training.",
)
IDNERF_LEAD = (
    "ID-NeRF matches features of very few photographs, imagines a latent for what they do not show, which a diffusion "
    "model can guide in training, and renders by a conditional radiance field. Rendering needs no diffusion model, and "
    "these weights were trained without one.",
    "It is compared in the same run with the two classical ways of the first section, given the same {number} "
    "photographs. The weights are an early state: a few hours of one CPU core.",
)
TOWN_SEED, TOWN_SIZE, TOWN_VIEWS = 2, (480, 270), 27  # settings were chosen on other towns
XSCALE_CONFIG = "configs/small_scene.py"
# Smaller pictures than the file is for: cells as large as their pixels, and fewer of them.
XSCALE_OVERRIDES = (
    *("hash_n_levels", "8", "hash_per_level_scale", "1.716", "log2_hashmap_size", "17"),
    *("max_epoch", "250", "seed", "1"),
)
XSCALE_LEAD = (
    "XScale-NVS (Wang et al., CVPR 2024) paints a mesh that photogrammetry made: a hash grid is read where a ray meets "
    "the surface, and a small network turns what it holds, and the direction of the ray, into colour. Detail can be "
    "far finer than the triangles, and highlights may move with the camera.",
    "It is fitted here to the photographs of one scene, on this machine, in the time that the table calls Prepare, and "
    "compared with two ways to paint the same mesh with colours that do not depend on the view: one per vertex, and "
    "a texture that takes as many bytes as the model of XScale-NVS. Both are least-squares fits to all pixels of the "
    "same photographs.",
)
GENS_SEEDS, GENS_SIZE, GENS_RESOLUTION = (1,), (320, 240), 128
GENS_LEAD = (
    "GenS (Peng et al., NeurIPS 2023) makes a surface from a few photographs in one forward pass: features of the "
    "photographs are gathered in volumes of several scales, a small network reads a signed distance out of them, and "
    "the mesh is its zero level. Turn the meshes below.",
    "It is compared in the same run, on the same three photographs and grid, with two classical ways: the visual hull, "
    "which is told the objects' outlines (the others are not) and has no ground, and fusion of depth maps from plane "
    "sweeps with semi-global matching.",
    "The weights are an early state, three hours of one CPU core: their mesh has humps where the objects are, no more.",
)
BASELINES = (
    Contestant("plane_sweep", "Plane-sweep blending", PlaneSweepBlending, is_baseline=True),
    Contestant("nearest", "Nearest photograph", NearestView, is_baseline=True),
)
_LOGGER = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the page that the command line asks for."""
    options = _parse(arguments)
    if "gefu" in options.methods:
        _check_weights(options.weights)
    sections, results = [], {}
    for section, found in _sections(options):
        sections.append(section)
        results[section.key] = found
    if not sections:
        raise FileNotFoundError(f"nothing to show: no weights for {', '.join(options.methods)}")
    with atomic_path(options.output / "results.json") as path:
        path.write_text(json.dumps(results, indent=1), encoding="utf8")
    with atomic_path(options.output / "index.html") as path:
        path.write_text(page_html(TITLE, LEAD, sections, FOOT), encoding="utf8")
    for section in sections:
        _print_scores(section.title, results[section.key]["contestants"])
    print(f"open {options.output / 'index.html'}")


def _sections(options: argparse.Namespace) -> Iterator[tuple[Section, dict[str, Any]]]:
    """Every part of the page that was asked for and can be made, with its numbers."""
    for method in _image_methods(options):
        yield build_section(method, options.output), numbers(method)
    if "gens" in options.methods and is_ready("GenS", gens.SHIPPED_WEIGHTS, "gens/confs/synthetic.conf"):
        yield gens_section(options.output / "data")


def _image_methods(options: argparse.Namespace) -> Iterator[MethodSection]:
    if "gefu" in options.methods:
        yield gefu_section(_scenes(options, SIZE), options.weights, options.frames > 0)
    if "neuray" in options.methods:
        recipe = f"neuray_mrvm/{neuray_mrvm.SHIPPED_CONFIG}"
        if is_ready("NeuRay + MRVM", neuray_mrvm.SHIPPED_WEIGHTS, recipe):
            yield neuray_section(_scenes(options, SMALL_SIZE))
    if "idnerf" in options.methods:
        for num_views, weights in idnerf.SHIPPED_WEIGHTS.items():
            if is_ready(f"ID-NeRF with {num_views} photographs", weights, "idnerf/configs/synthetic.yaml"):
                yield idnerf_section(_scenes(options, SMALL_SIZE), num_views)
    if "xscale" in options.methods:
        yield xscale_section(options.output / "data", options.frames)


def _check_weights(weights: str | None) -> None:
    """Say at once what would otherwise fail after the scenes are made."""
    path = gefu.SHIPPED_WEIGHTS if weights is None else Path(weights)
    if weights != "random" and not path.is_file():
        raise FileNotFoundError(
            f"no GeFu weights at {path}; they come with the repository, or train them with"
            " `python gefu/train_net.py --cfg_file configs/gefu/synthetic_pretrain.yaml` and give it as --weights"
        )


def _scenes(options: argparse.Namespace, size: tuple[int, int]) -> list[DemoScene]:
    """The photographs that were given, or generated scenes of a size."""
    data = options.output / "data"
    if options.scene is not None:
        settings = {"layout": options.layout, "near_far": options.near_far, "num_held_out": options.views}
        scenes = [own_scene(options.scene, data, **settings)]
    else:
        held_out = {"held_out": SMALL_HELD_OUT} if size == SMALL_SIZE else {}
        progress = tqdm(enumerate(options.seeds, 1), "Making scenes", total=len(options.seeds), unit="scene")
        scenes = [generated_scene(data, seed, size, title=f"Scene {number}", **held_out) for number, seed in progress]
    return [replace(scene, frames_per_leg=options.frames // NUM_SOURCES) for scene in scenes]


def is_ready(title: str, weights: Path, recipe: str) -> bool:
    """Whether a method's shipped weights are there; one sentence in the log where they are not."""
    if not weights.is_file():
        _LOGGER.warning(
            "the page has no section on %s: no weights at %s; make them with the commands in %s", title, weights, recipe
        )
    return weights.is_file()


def gefu_section(scenes: Sequence[DemoScene], weights: str | None = None, with_video: bool = True) -> MethodSection:
    """GeFu on scenes, each held-out view from its three nearest.

    Args:
        scenes: What to render.
        weights: As `gefu.renderer` takes them.
        with_video: Also render each scene's camera path.
    """
    build = partial(gefu.renderer, weights, device=_device())
    return MethodSection("gefu", "GeFu", GEFU_LEAD, _compare(Contestant("gefu", "GeFu", build), scenes, with_video))


def neuray_section(scenes: Sequence[DemoScene], weights: str | None = None) -> MethodSection:
    """NeuRay on scenes; it is not told the depths that a scene has.

    Args:
        scenes: What to render.
        weights: As `neuray_mrvm.renderer` takes them.
    """
    build = partial(neuray_mrvm.renderer, weights, neuray_mrvm.SHIPPED_CONFIG, device=_device(), use_scene_depth=False)
    contestant = Contestant("neuray_mrvm", "NeuRay", build)
    return MethodSection("neuray_mrvm", "NeuRay + MRVM", NEURAY_LEAD, _compare(contestant, scenes))


def idnerf_section(scenes: Sequence[DemoScene], num_views: int, weights: str | None = None) -> MethodSection:
    """ID-NeRF on scenes, each view from the nearest two or three photographs.

    Args:
        scenes: What to render.
        num_views: Photographs that everybody is given.
        weights: As `idnerf.renderer` takes them.
    """
    words = (f"--n_src_views={num_views}",)
    build = partial(idnerf.renderer, weights, idnerf.SHIPPED_CONFIG, words, device=_device())
    number = {2: "two", 3: "three"}[num_views]
    found = _compare(Contestant("idnerf", "ID-NeRF", build), [scene.with_fewer_sources(num_views) for scene in scenes])
    lead = [text.format(number=number) for text in IDNERF_LEAD]
    return MethodSection(f"idnerf_{num_views}", f"ID-NeRF, {number} photographs", lead, found)


def xscale_section(
    data: Path,
    frames: int,
    size: tuple[int, int] = TOWN_SIZE,
    num_views: int = TOWN_VIEWS,
    overrides: tuple[str, ...] = (),
) -> MethodSection:
    """XScale-NVS on a generated town, fitted during the comparison.

    Args:
        data: Folder that keeps the scene.
        frames: Of the video, 0 for none.
        size: Width and height of the photographs.
        num_views: Photographs; a ninth of them is held out.
        overrides: KEY VALUE words after those of the demo.
    """
    town = generated_town(data, TOWN_SEED, size, num_views, every=min(9, num_views // 2), title="Town")
    town = replace(town, frames_per_leg=frames // len(town.stops))
    settings = {"config": XSCALE_CONFIG, "overrides": (*XSCALE_OVERRIDES, *overrides)}
    memory = sum(value.numel() * value.element_size() for value in xscale_nvs.load(**settings).state_dict().values())
    contestants = [
        Contestant("xscale_nvs", "XScale-NVS", partial(xscale_nvs.renderer, **settings)),
        Contestant("texture", "Texture, equal memory", partial(uv_texture, memory), is_baseline=True),
        Contestant("vertices", "Colour per vertex", vertex_colors, is_baseline=True),
    ]
    lpips, missing = _perceptual_metric()
    found = compare(contestants, [town], PROTOCOL, lpips=lpips, lpips_missing=missing, with_video=frames > 0)
    return MethodSection("xscale_nvs", "XScale-NVS", XSCALE_LEAD, found, closeups=2)


def gens_section(
    data: Path,
    build: Callable[[], Renderer] | None = None,
    size: tuple[int, int] = GENS_SIZE,
    resolution: int = GENS_RESOLUTION,
) -> tuple[Section, dict[str, Any]]:
    """GenS and classical methods make meshes from three photographs; the part of the page, and its numbers.

    Args:
        data: Folder that keeps the scenes.
        build: Makes GenS; None takes the shipped weights.
        size: Width and height of the photographs.
        resolution: Points along a side of everybody's grid.
    """
    build = build or partial(gens.renderer, device=_device(), mesh_resolution=resolution)
    contestants = [
        Contestant("gens", "GenS", build),
        Contestant("hull", "Visual hull", partial(VisualHull, resolution), is_baseline=True),
        Contestant("fusion", "Depth fusion", partial(DepthFusion, resolution), is_baseline=True),
    ]
    scenes = [generated_surface(data, seed, size) for seed in tqdm(GENS_SEEDS, "Making scenes", unit="scene")]
    outcomes = compare_surfaces(contestants, scenes)
    return surface_section("gens", "GenS", GENS_LEAD, scenes, outcomes), surface_numbers(outcomes)


def _compare(contestant: Contestant, scenes: Sequence[DemoScene], with_video: bool = False) -> Comparison:
    lpips, missing = _perceptual_metric()
    contestants = [contestant, *BASELINES]
    return compare(contestants, scenes, PROTOCOL, lpips=lpips, lpips_missing=missing, with_video=with_video)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _perceptual_metric() -> tuple[Lpips | None, str | None]:
    try:
        return load_lpips("vgg"), None
    except FileNotFoundError as error:
        return None, str(error).rstrip(".")


def _print_scores(title: str, contestants: Sequence[dict[str, Any]]) -> None:
    print(title)
    for row in contestants:
        if "mean" in row and "psnr" in row["mean"]:
            print(f"  {row['name']:<24}{row['mean']['psnr']:6.2f} dB{row['seconds_per_view']:8.2f} s per view")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder of the page")
    parser.add_argument("--scene", type=Path, help="your own posed photographs instead of generated scenes")
    parser.add_argument("--layout", help="layout of --scene, where it cannot be recognised")
    parser.add_argument("--near_far", type=float, nargs=2, metavar=("NEAR", "FAR"), help="depth bounds of --scene")
    parser.add_argument("--views", type=int, default=4, help="how many views of --scene to hold out")
    parser.add_argument("--frames", type=int, default=24, help="of each video, a multiple of 3; 0 for none")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the generated scenes")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, help="sections of the page; all by default, GeFu alone with --scene"
    )
    parser.add_argument(
        "--weights", help="GeFu checkpoint instead of the shipped one; 'random' for an untrained network"
    )
    options = parser.parse_args(arguments)
    options.near_far = options.near_far and tuple(options.near_far)
    options.methods = options.methods or (METHODS if options.scene is None else ("gefu",))
    unfit = [name for name in options.methods if options.scene is not None and name not in ON_PHOTOGRAPHS]
    if unfit:
        raise ValueError(
            f"--methods {unfit[0]} shows a generated scene; with --scene choose among {', '.join(ON_PHOTOGRAPHS)}"
        )
    return options


if __name__ == "__main__":
    run_command(main)
