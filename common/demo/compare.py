"""Renders held-out views with every contestant, each in a process of its own; measures quality, time, memory."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from common.datasets.loading import load_depth, load_image
from common.demo.scenes import DemoScene
from common.measuring import Report, peak_memory, run_isolated
from common.metrics.depth import depth_scores
from common.metrics.lpips import Lpips
from common.metrics.protocols import Protocol, score_image
from common.renderer import Renderer
from common.visualization import colorize_depth, side_by_side, to_uint8


@dataclass(frozen=True)
class Contestant:
    """Something that renders.

    Attributes:
        key: Short name, used in file names and anchors.
        title: For people.
        build: Makes the renderer; importable by name (a class, or `functools.partial` of a function), because it is
            called in another process.
        is_baseline: Shown for comparison only.
    """

    key: str
    title: str
    build: Callable[[], Renderer]
    is_baseline: bool = False


@dataclass(frozen=True)
class RenderedTarget:
    """One held-out view as a contestant sees it, and the seconds that took.

    Attributes:
        prepare_seconds: None where the same sources had been prepared for the view before.
    """

    rgb: Float[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]
    prepare_seconds: float | None
    render_seconds: float


@dataclass(frozen=True)
class Truth:
    """The photograph of a held-out view; its depth where the layout knows it, 0 elsewhere."""

    rgb: Float[np.ndarray, "H W 3"]
    depth: Float[np.ndarray, "H W"]


@dataclass(frozen=True)
class TargetScores:
    """How good one rendered view is, under the comparison's protocol.

    Attributes:
        psnr: In dB.
        ssim, lpips: None where they were not computed.
        depth_error: Mean |depth - truth| / truth over pixels where both are known; None where the contestant has no
            depth or the scene no truth.
    """

    psnr: float
    ssim: float | None
    lpips: float | None
    depth_error: float | None


@dataclass(frozen=True)
class Outcome:
    """All a contestant did: lists over scenes, then over the held-out views of the scene.

    Attributes:
        contestant: Who.
        targets, scores: Of every held-out view.
        videos: Frames along each scene's camera path, picture and depth side by side; empty where none were asked for.
        peak_bytes: Highest memory of the process.
        library_bytes: What the process had needed before the first view, libraries and weights included.
        stored_bytes: What was fitted to the last scene, see `Renderer.stored_bytes`.
    """

    contestant: Contestant
    targets: list[list[RenderedTarget]]
    scores: list[list[TargetScores]]
    videos: list[list[UInt8[np.ndarray, "H W 3"]]]
    peak_bytes: int
    library_bytes: int
    stored_bytes: int | None = None

    def mean(self, name: str, scene: int | None = None) -> float | None:
        """Mean of a field of `TargetScores` over a scene (or all); None unless every view has a value."""
        scores = self.scores if scene is None else [self.scores[scene]]
        values = [getattr(score, name) for of_scene in scores for score in of_scene]
        return None if None in values else statistics.fmean(values)

    def seconds_per_view(self) -> float:
        """Median over all views, without `prepare`."""
        return statistics.median(target.render_seconds for targets in self.targets for target in targets)

    def prepare_seconds(self) -> float:
        """Median over all source sets."""
        seconds = [target.prepare_seconds for targets in self.targets for target in targets]
        return statistics.median(value for value in seconds if value is not None)


@dataclass(frozen=True)
class Comparison:
    """Several contestants on the same views in the same run."""

    scenes: list[DemoScene]
    truths: list[list[Truth]]
    outcomes: list[Outcome]
    protocol: Protocol
    lpips_missing: str | None

    @property
    def surface_is_given(self) -> bool:
        """Depths are no finding in any scene."""
        return all(scene.surface_is_given for scene in self.scenes)


def compare(
    contestants: Sequence[Contestant],
    scenes: Sequence[DemoScene],
    protocol: Protocol,
    *,
    lpips: Lpips | None = None,
    lpips_missing: str | None = None,
    with_video: bool = False,
) -> Comparison:
    """Let everybody render every held-out view; with progress and remaining time on stderr.

    Args:
        contestants: In the order of the tables.
        scenes: What to render.
        protocol: Of the image metrics.
        lpips: The network; None leaves LPIPS out.
        lpips_missing: Why it is None, for the tables.
        with_video: Also render each scene's camera path with contestants that are no baselines.
    """
    truths = [[load_truth(scene, item.target) for item in scene.held_out] for scene in scenes]
    outcomes = []
    for contestant in contestants:
        path_too = with_video and not contestant.is_baseline
        with tqdm(total=_num_pictures(scenes, path_too), desc=contestant.title, unit="view") as progress:
            (targets, videos, library_bytes, stored_bytes), peak = run_isolated(
                render_all, contestant.build, list(scenes), path_too, on_report=progress.update
            )
        scores = [
            [score(target, truth, protocol, lpips) for target, truth in zip(*pair, strict=True)]
            for pair in zip(targets, truths, strict=True)
        ]
        outcomes.append(Outcome(contestant, targets, scores, videos, peak, library_bytes, stored_bytes))
    return Comparison(list(scenes), truths, outcomes, protocol, lpips_missing)


def render_all(
    report: Report, build: Callable[[], Renderer], scenes: Sequence[DemoScene], with_video: bool
) -> tuple[list[list[RenderedTarget]], list[list[UInt8[np.ndarray, "H W 3"]]], int, int | None]:
    """Every held-out view and, if asked for, the frames of every scene's path; runs in the contestant's own process.

    Sources are prepared anew only where they change: some methods fit a model to them.
    """
    renderer = build()
    before = peak_memory()
    targets, videos = [], []
    for scene in scenes:
        prepared: tuple[int, ...] = ()
        targets.append([])
        for item in scene.held_out:
            seconds = _prepare(renderer, scene, item.sources) if item.sources != prepared else None
            prepared = item.sources
            targets[-1].append(_render_target(report, renderer, scene, item.target, seconds))
        if with_video:
            first = scene.held_out[0].sources
            if first != prepared:
                _prepare(renderer, scene, first)
            videos.append(_render_path(report, renderer, scene))
    return targets, videos, before, renderer.stored_bytes()


def load_truth(scene: DemoScene, index: int) -> Truth:
    """Photograph and depth of a view."""
    view = scene.scene.views[index]
    rgb = load_image(view)
    return Truth(rgb, load_depth(view) if view.depth is not None else np.zeros(rgb.shape[:2], np.float32))


def score(target: RenderedTarget, truth: Truth, protocol: Protocol, lpips: Lpips | None) -> TargetScores:
    """Compare a rendered view with the truth."""
    image = score_image(target.rgb, truth.rgb, protocol, lpips=lpips)
    depth = depth_scores(target.depth, np.where(target.depth > 0, truth.depth, 0)) if target.depth.any() else None
    return TargetScores(image.psnr, image.ssim, image.lpips, depth.relative if depth else None)


def _num_pictures(scenes: Sequence[DemoScene], with_video: bool) -> int:
    return sum(len(scene.held_out) + (len(scene.path()) if with_video else 0) for scene in scenes)


def _prepare(renderer: Renderer, scene: DemoScene, sources: Sequence[int]) -> float:
    start = time.perf_counter()
    renderer.prepare(scene.scene, sources)
    return time.perf_counter() - start


def _render_target(
    report: Report, renderer: Renderer, scene: DemoScene, target: int, prepare_seconds: float | None
) -> RenderedTarget:
    camera = scene.camera(target)
    start = time.perf_counter()
    rendering = renderer.render(camera)
    rgb, depth = rendering.rgb.cpu().numpy(), rendering.depth.cpu().numpy()  # waits for a GPU
    finished = time.perf_counter()
    report(1)
    return RenderedTarget(rgb, depth, prepare_seconds, finished - start)


def _render_path(report: Report, renderer: Renderer, scene: DemoScene) -> list[UInt8[np.ndarray, "H W 3"]]:
    frames = []
    for camera in scene.path():
        rendering = renderer.render(camera)
        frame = to_uint8(rendering.rgb.cpu().numpy())
        if not scene.surface_is_given:
            frame = side_by_side([frame, colorize_depth(rendering.depth.cpu().numpy(), camera.near_far)])
        frames.append(frame)
        report(1)
    return frames
