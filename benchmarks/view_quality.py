"""Novel views against the classical baselines on generated scenes that nothing was trained or tuned on.

    python benchmarks/view_quality.py --scenes 4 --views 2
    python benchmarks/view_quality.py --scenes 4 --views 2 --weights trained_model/gefu/synthetic_pretrain/latest.pth
    python benchmarks/view_quality.py --scenes 4 --views 2 --size 160 128 --method idnerf_2

Prints PSNR per scene, means over all held-out views, depth errors, and the distance to the better baseline. Seeds from
500 on are used here: the demo has 1 and 2, validation in training 600 to 602, the baselines were tuned on 900 to 999,
training starts at 1000.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import gefu
import idnerf
import neuray_mrvm
from common.baselines.nearest_view import NearestView
from common.baselines.plane_sweep_blending import PlaneSweepBlending
from common.demo.compare import Comparison, Contestant, Outcome, compare
from common.demo.scenes import DTU_HELD_OUT, generated_scene
from common.entry_point import run_command
from common.metrics.protocols import find_protocol

FIRST_SEED = 500
METHODS = {
    "gefu": ("GeFu", 3, gefu.renderer),
    "neuray": ("NeuRay", 3, partial(neuray_mrvm.renderer, config=neuray_mrvm.SHIPPED_CONFIG, use_scene_depth=False)),
    **{
        f"idnerf_{number}": (
            f"ID-NeRF, {number} views",
            number,
            partial(idnerf.renderer, config=idnerf.SHIPPED_CONFIG, overrides=(f"--n_src_views={number}",)),
        )
        for number in (2, 3)
    },
}
CONTESTANTS = (
    Contestant("plane_sweep", "plane-sweep blending", PlaneSweepBlending, is_baseline=True),
    Contestant("nearest", "nearest photograph", NearestView, is_baseline=True),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    options = _parse(arguments)
    width, height = options.size
    title, num_sources, build = METHODS[options.method]
    scenes = [
        generated_scene(
            options.folder, FIRST_SEED + number, (width, height), DTU_HELD_OUT[: options.views]
        ).with_fewer_sources(num_sources)
        for number in range(options.scenes)
    ]
    method = Contestant(options.method, title, partial(build, options.weights, device=options.device))
    print(report(compare([method, *CONTESTANTS], scenes, find_protocol("standard"))))


def report(comparison: Comparison) -> str:
    """The table and the verdict."""
    lines = [comparison.protocol.describe()]
    names = [scene.title for scene in comparison.scenes]
    lines.append(
        f"{'':<24}" + "".join(f"{name:>11}" for name in names) + f"{'PSNR':>9}{'SSIM':>8}{'depth':>9}{'s/view':>9}"
    )
    lines += [_line(outcome) for outcome in comparison.outcomes]
    method, *baselines = comparison.outcomes
    margin = method.mean("psnr") - max(baseline.mean("psnr") for baseline in baselines)
    count = sum(len(scene.held_out) for scene in comparison.scenes)
    lines.append(
        f"over {count} held-out views of {len(names)} scenes: {method.contestant.title} {margin:+.2f} dB against the"
        " better baseline"
    )
    return "\n".join(lines)


def _line(outcome: Outcome) -> str:
    cells = "".join(f"{outcome.mean('psnr', number):11.2f}" for number in range(len(outcome.scores)))
    error = outcome.mean("depth_error")
    depth = "none" if error is None else f"{error:.2%}"
    means = f"{outcome.mean('psnr'):9.2f}{outcome.mean('ssim'):8.3f}{depth:>9}"
    return f"{outcome.contestant.title:<24}{cells}{means}{outcome.seconds_per_view():9.2f}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=tuple(METHODS), default="gefu")
    parser.add_argument("--scenes", type=int, default=4, help="how many scenes")
    parser.add_argument(
        "--views", type=int, default=2, choices=range(1, len(DTU_HELD_OUT) + 1), help="held out of each"
    )
    parser.add_argument("--weights", help="checkpoint instead of the shipped one; 'random' for an untrained network")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 256), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument(
        "--folder", type=Path, default=Path("datasets/quality"), help="keeps the scenes for the next run"
    )
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
