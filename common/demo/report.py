"""Tables, figures and numbers made from a comparison; every number shown comes from the one that is passed in."""

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from common.datasets.loading import load_image
from common.demo.blocks import (
    Block,
    Details,
    Heading,
    Paragraph,
    Picture,
    PictureGrid,
    Row,
    Section,
    Slider,
    Table,
    Video,
)
from common.demo.closeups import closeup_rows
from common.demo.compare import Comparison, Outcome, TargetScores, Truth
from common.demo.scenes import DemoScene
from common.io.videos import write_video
from common.visualization import apply_colormap, colorize_depth, error_map, to_uint8

LARGEST_ERROR = 0.3
FRAMES_PER_SECOND = 12.0
SHOWN_AT_ONCE = 2
MOST_INPUTS = 6  # input photographs in a strip


@dataclass(frozen=True)
class MethodSection:
    """A method's part of the page.

    Attributes:
        key, title: Anchor and heading.
        lead: What the method does, one paragraph per entry.
        comparison: The method first, then whom it is compared with.
        extra: Blocks after the pictures, for artefacts that only this method has.
        closeups: How many details of each view are shown enlarged.
    """

    key: str
    title: str
    lead: Sequence[str]
    comparison: Comparison
    extra: Sequence[Block] = ()
    closeups: int = 0


def build_section(method: MethodSection, folder: Path) -> Section:
    """The method's section; its videos are also written into `folder`."""
    comparison = method.comparison
    blocks: list[Block] = [Paragraph(text) for text in method.lead]
    blocks.append(summary_table(comparison))
    for number, scene in enumerate(comparison.scenes):
        blocks += _scene_blocks(method, number, scene, folder / f"{method.key}_scene{number + 1}.mp4")
    return Section(method.key, method.title, [*blocks, *method.extra])


def summary_table(comparison: Comparison) -> Table:
    """One column per contestant: image metrics, depth error, seconds, memory; the best quality is marked."""
    outcomes = comparison.outcomes
    measures: list[tuple[str, list[float | None], Callable[[float], str], int]] = [
        *_scene_measures(comparison),
        ("PSNR", [o.mean("psnr") for o in outcomes], "{:.2f} dB".format, 1),
        ("SSIM", [o.mean("ssim") for o in outcomes], "{:.3f}".format, 1),
        ("LPIPS", [o.mean("lpips") for o in outcomes], "{:.3f}".format, -1),
        *(
            []
            if comparison.surface_is_given
            else [("Depth error", [o.mean("depth_error") for o in outcomes], "{:.2%}".format, -1)]
        ),
        ("Prepare", [o.prepare_seconds() for o in outcomes], _seconds, 0),
        ("Per view", [o.seconds_per_view() for o in outcomes], _seconds, 0),
        ("Peak memory", [o.peak_bytes / 1e6 for o in outcomes], "{:.0f} MB".format, 0),
    ]
    if any(outcome.stored_bytes is not None for outcome in outcomes):
        stored = [None if o.stored_bytes is None else o.stored_bytes / 1e6 for o in outcomes]
        measures.append(("Stored", stored, _megabytes, 0))
    missing = {"LPIPS": "not measured"}
    rows = [
        [name, *(form(value) if value is not None else missing.get(name, "none") for value in values)]
        for name, values, form, _ in measures
    ]
    strong = {
        (row, 1 + _best(values, sign)) for row, (_, values, _, sign) in enumerate(measures) if sign and any(values)
    }
    header = ["", *(outcome.contestant.title for outcome in outcomes)]
    return Table(_caption(comparison), header, rows, frozenset(strong) if len(outcomes) > 1 else frozenset())


def numbers(method: MethodSection) -> dict[str, Any]:
    """Everything measured, for `results.json`."""
    comparison = method.comparison
    return {
        "protocol": comparison.protocol.describe(),
        "lpips_missing": comparison.lpips_missing,
        "machine": machine(),
        "contestants": [_outcome_numbers(comparison, outcome) for outcome in comparison.outcomes],
    }


def machine() -> str:
    """What the numbers were measured on."""
    device = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{_count(torch.get_num_threads(), 'CPU thread')}{device}, {platform.machine()}, PyTorch {torch.__version__}"


def _outcome_numbers(comparison: Comparison, outcome: Outcome) -> dict[str, Any]:
    views = []
    for scene, targets, scores in zip(comparison.scenes, outcome.targets, outcome.scores, strict=True):
        for item, target, score in zip(scene.held_out, targets, scores, strict=True):
            views.append(
                {
                    "scene": scene.title,
                    "view": scene.label(item.target),
                    "sources": [scene.label(index) for index in item.sources],
                    **asdict(score),
                    "prepare_seconds": target.prepare_seconds,
                    "render_seconds": target.render_seconds,
                }
            )
    means = {field.name: outcome.mean(field.name) for field in fields(TargetScores)}
    return {
        "name": outcome.contestant.title,
        "mean": means,
        "prepare_seconds": outcome.prepare_seconds(),
        "seconds_per_view": outcome.seconds_per_view(),
        "peak_bytes": outcome.peak_bytes,
        "library_bytes": outcome.library_bytes,
        "stored_bytes": outcome.stored_bytes,
        "views": views,
    }


def _scene_blocks(section: MethodSection, number: int, scene: DemoScene, video: Path) -> list[Block]:
    blocks: list[Block] = [Heading(scene.title), Paragraph(scene.origin, quiet=True)]
    comparison = section.comparison
    method, *others = comparison.outcomes
    if method.videos:
        write_video(video, method.videos[number], fps=FRAMES_PER_SECOND, quality=8.0)
        H, W = method.videos[number][0].shape[:2]
        beside = "" if scene.surface_is_given else ", with its depth"
        caption = f"{method.contestant.title} along a path through three of the input photographs{beside}."
        film = Video(video, (W, H), method.videos[number][0], caption)
        baseline = max(others, key=lambda outcome: outcome.mean("psnr", number), default=None)
        blocks.append(Row([film, _slider(number, method, baseline)]) if baseline else film)
    views = [_view_blocks(section, number, scene, index) for index in range(len(scene.held_out))]
    blocks += [block for view in views[:SHOWN_AT_ONCE] for block in view]
    if views[SHOWN_AT_ONCE:]:
        rest = views[SHOWN_AT_ONCE:]
        blocks.append(
            Details(
                f"{_count(len(rest), 'more held-out view')} of {scene.title}",
                [block for view in rest for block in view],
            )
        )
    return blocks


def _slider(number: int, method: Outcome, baseline: Outcome) -> Slider:
    pictures = [
        Picture(
            to_uint8(o.targets[number][0].rgb),
            f"First held-out view rendered by {o.contestant.title}",
            o.contestant.title,
        )
        for o in (method, baseline)
    ]
    return Slider(*pictures)


def _view_blocks(section: MethodSection, number: int, scene: DemoScene, index: int) -> list[Block]:
    comparison = section.comparison
    item, truth = scene.held_out[index], comparison.truths[number][index]
    name = f"view {scene.label(item.target)} of {scene.title}"
    inputs = [
        Picture(
            _photograph(scene, source),
            f"Input photograph {scene.label(source)} of {scene.title}",
            f"Input {scene.label(source)}",
        )
        for source in item.sources[:MOST_INPUTS]
    ]
    rows = closeup_rows(comparison.outcomes, number, index, truth.rgb, name, section.closeups)
    rows += [
        ("Picture", _pictures(comparison, number, index, truth, name)),
        ("Error", _errors(comparison, number, index, truth, name)),
    ]
    depths = [] if scene.surface_is_given else _depths(comparison, number, index, truth, name, scene)
    rows += [("Depth", depths)] if depths else []
    count = {3: "three"}.get(len(item.sources), len(item.sources))
    strip = [PictureGrid([("", inputs)], len(inputs), is_strip=True)] if len(item.sources) <= MOST_INPUTS else []
    return [
        Heading(f"View {scene.label(item.target)}, rendered from {count} photographs", 4),
        *strip,
        PictureGrid(rows, len(comparison.outcomes) + 1),
    ]


def _pictures(comparison: Comparison, number: int, index: int, truth: Truth, name: str) -> list[Picture]:
    found = [Picture(to_uint8(truth.rgb), f"Photograph of {name}", "Held-out photograph")]
    for outcome in comparison.outcomes:
        title, score = outcome.contestant.title, outcome.scores[number][index]
        rgb = to_uint8(outcome.targets[number][index].rgb)
        found.append(Picture(rgb, f"{name} rendered by {title}", title, f"{score.psnr:.2f} dB"))
    return found


def _errors(comparison: Comparison, number: int, index: int, truth: Truth, name: str) -> list[Picture]:
    H, W = truth.rgb.shape[:2]
    ramp = np.full((H, W), np.nan, np.float32)
    ramp[int(0.42 * H) : int(0.58 * H), int(0.08 * W) : int(0.92 * W)] = np.linspace(
        0, 1, int(0.92 * W) - int(0.08 * W)
    )
    legend = np.where(np.isnan(ramp)[..., None], np.uint8(128), apply_colormap(np.nan_to_num(ramp), "inferno"))
    label = f"Scale: 0 to {LARGEST_ERROR} of full brightness"
    found = [
        Picture(legend.astype(np.uint8), f"Colour scale of the error maps, black 0, yellow {LARGEST_ERROR}", label)
    ]
    for outcome in comparison.outcomes:
        picture = error_map(outcome.targets[number][index].rgb, truth.rgb, LARGEST_ERROR)
        title = outcome.contestant.title
        found.append(Picture(picture, f"Absolute colour error of {title} in {name}", title))
    return found


def _depths(
    comparison: Comparison, number: int, index: int, truth: Truth, name: str, scene: DemoScene
) -> list[Picture]:
    bounds = _depth_range(truth.depth, scene.scene.views[scene.held_out[index].target].near_far)
    found = []
    if truth.depth.any():
        found.append(Picture(colorize_depth(truth.depth, bounds), f"True depth of {name}", "True depth"))
    for outcome in comparison.outcomes:
        depth, error = outcome.targets[number][index].depth, outcome.scores[number][index].depth_error
        if depth.any():
            title, detail = outcome.contestant.title, "" if error is None else f"{error:.2%} off"
            found.append(Picture(colorize_depth(depth, bounds), f"Depth of {name} by {title}", title, detail))
    return found


def _depth_range(depth: Float[np.ndarray, "H W"], near_far: tuple[float, float]) -> tuple[float, float]:
    """The colours' range: that of the truth, so that depths of all contestants compare by eye."""
    known = depth[depth > 0]
    return tuple(np.percentile(known, (1, 99)).tolist()) if known.size else near_far


def _photograph(scene: DemoScene, index: int) -> UInt8[np.ndarray, "H W 3"]:
    return to_uint8(load_image(scene.scene.views[index]))


def _caption(comparison: Comparison) -> str:
    count = sum(len(scene.held_out) for scene in comparison.scenes)
    library = statistics.median(outcome.library_bytes for outcome in comparison.outcomes) / 1e6
    is_fitted = any(outcome.stored_bytes is not None for outcome in comparison.outcomes)
    parts = [
        f"Means over {_count(count, 'held-out view')}; {comparison.protocol.describe()}.",
        f"LPIPS was not measured: {comparison.lpips_missing}." if comparison.lpips_missing else "",
        "" if comparison.surface_is_given else "Depth error is the mean of |depth - truth| / truth.",
        "Prepare is done once per set of input photographs, the rest for each view (medians).",
        f"Peak memory is that of the whole process, of which libraries and weights took {library:.0f} MB.",
        "Stored is what was fitted to the scene, beside its mesh." if is_fitted else "",
        f"Measured on {machine()}.",
    ]
    return " ".join(part for part in parts if part)


def _scene_measures(comparison: Comparison) -> list[tuple[str, list[float | None], Callable[[float], str], int]]:
    if len(comparison.scenes) < 2:
        return []
    return [
        (
            f"PSNR, {scene.title}",
            [o.mean("psnr", number) for o in comparison.outcomes],
            "{:.2f} dB".format,
            1,
        )
        for number, scene in enumerate(comparison.scenes)
    ]


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _megabytes(value: float) -> str:
    return f"{value:.1f} MB" if value >= 0.1 else f"{1000 * value:.1f} kB"


def _seconds(value: float) -> str:
    if value < 0.001:
        return "< 1 ms"
    return f"{1000 * value:.0f} ms" if value < 0.1 else f"{value:.2f} s"


def _best(values: Sequence[float | None], sign: int) -> int:
    known = [index for index, value in enumerate(values) if value is not None]
    return max(known, key=lambda index: sign * values[index])
