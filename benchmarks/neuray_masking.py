"""What mask-based pre-training brings NeuRay: equal numbers of steps with and without it, measured on unseen scenes.

    python benchmarks/neuray_masking.py
    python benchmarks/neuray_masking.py --pretraining 2000 --finetuning 4000 --rays 512 --scenes 60 --seeds 0 1 2

One arm pre-trains with masks and then trains without, the other trains without masks from the start for as many steps
in all; the same scenes, rays a step and rates. Both render the same views from three photographs, with depth from plane
sweeps. Everything is kept in `--folder`; the same command goes on where it was stopped.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

import neuray_mrvm
from common.datasets.writers.orders import SceneOrder, make_scenes
from common.demo.compare import load_truth
from common.demo.scenes import DemoScene, generated_scene
from common.entry_point import run_command
from common.io.atomic import atomic_path
from common.metrics.images import psnr
from neuray_mrvm import run_training
from neuray_mrvm.config import load_config, write_config

FIRST_TRAINING_SEED, FIRST_UNSEEN_SEED = 1000, 450
SIZE, HELD_OUT = (160, 128), (24, 44)
ARMS = {"masked": "pre-trained with masks", "plain": "without masks"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what has not been trained, measure, and print the table."""
    options = _parse(arguments)
    _keep_asking_the_same(options)
    orders = [
        SceneOrder("dtu_neuray_train", f"scan{n + 1}", FIRST_TRAINING_SEED + n, SIZE) for n in range(options.scenes)
    ]
    make_scenes(options.folder / "data", orders)
    numbers = range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + options.unseen_scenes)
    unseen = [generated_scene(options.folder / "unseen", number, SIZE, HELD_OUT) for number in numbers]
    config = options.folder / "config.yaml"
    _write(config, write_config(load_config(neuray_mrvm.SHIPPED_CONFIG, _overrides(options))))
    results: dict[str, list[float]] = {arm: [] for arm in ARMS}
    runs = [(arm, seed) for seed in options.seeds for arm in ARMS]
    for arm, seed in tqdm(runs, desc="runs", unit="run"):
        results[arm].append(run(arm, seed, config, unseen, options))
    print(report(results, options))


def run(arm: str, seed: int, config: Path, unseen: Sequence[DemoScene], options: argparse.Namespace) -> float:
    """Train one arm and measure it, or read what an earlier call measured; the mean PSNR in dB."""
    folder = options.folder / f"{arm}_{seed}"
    path = folder / "measured.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf8"))["psnr"]
    words = ["--cfg", str(config), "--base_data_dir", str(options.folder / "data"), "--save_dir", str(folder)]
    words += ["--seed", str(seed), "--resume", "--no_cuda"]
    steps, start = options.pretraining + options.finetuning, []
    if arm == "masked":
        quarter = max(1, options.pretraining // 4)
        ramp = ["--stage_two_begin", str(quarter), "--stage_two_warmup", str(quarter)]
        run_training.main([*words, "--pre_stageone", *ramp, "--total_step", str(options.pretraining)])
        start = ["--ft_load_path", str(folder / "model" / "masking_pre" / "model.pth")]
        steps = options.finetuning
    run_training.main([*words, *start, "--total_step", str(steps)])
    score = measure(folder / "model" / "masking_ft" / "model.pth", config, unseen)
    _write(path, json.dumps({"psnr": score}))
    return score


def measure(weights: Path, config: Path, scenes: Sequence[DemoScene]) -> float:
    """Mean PSNR over the held-out views."""
    renderer = neuray_mrvm.renderer(weights, str(config), use_scene_depth=False)
    scores = []
    for scene in tqdm(scenes, desc="measuring", unit="scene"):
        for item in scene.held_out:
            renderer.prepare(scene.scene, item.sources)
            picture = renderer.render(scene.camera(item.target)).rgb.numpy()
            scores.append(psnr(picture, load_truth(scene, item.target).rgb))
    return statistics.fmean(scores)


def report(results: Mapping[str, Sequence[float]], options: argparse.Namespace) -> str:
    """The Markdown table: one row per arm, one column per seed, and what was run."""
    lines = [
        f"| | {' | '.join(f'seed {seed}' for seed in options.seeds)} | mean |",
        "| --- |" + " --- |" * (len(options.seeds) + 1),
    ]
    for arm, scores in results.items():
        cells = [f"{score:.2f} dB" for score in [*scores, statistics.fmean(scores)]]
        lines.append(f"| {ARMS[arm]} | {' | '.join(cells)} |")
    differences = [masked - plain for masked, plain in zip(*results.values(), strict=True)]
    lines.append(
        f"\n{options.pretraining} + {options.finetuning} steps of {options.rays} rays on {options.scenes} scenes; PSNR"
        f" over {len(HELD_OUT)} views of each of {options.unseen_scenes} unseen scenes. Masks change it by"
        f" {statistics.fmean(differences):+.2f} dB; single seeds: {', '.join(f'{one:+.2f}' for one in differences)}."
    )
    return "\n".join(lines)


def _overrides(options: argparse.Namespace) -> list[str]:
    return [
        *("name", "masking", "train_dataset_cfg.train_database_types", ["dtu_train"], "val_set_list", []),
        *("train_dataset_cfg.type2sample_weights", {"dtu_train": 1}),
        *("train_dataset_cfg.train_ray_num", str(options.rays)),
    ]


def _keep_asking_the_same(options: argparse.Namespace) -> None:
    """Refuse to mix runs of different lengths or data in one folder."""
    kept = ("pretraining", "finetuning", "rays", "scenes", "unseen_scenes")
    asked, path = {name: getattr(options, name) for name in kept}, options.folder / "asked.json"
    if path.is_file() and json.loads(path.read_text(encoding="utf8")) != asked:
        raise ValueError(f"{options.folder} has runs with other options ({path}); name another --folder, or remove it")
    _write(path, json.dumps(asked))


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretraining", type=int, default=100, help="steps with masks")
    parser.add_argument("--finetuning", type=int, default=200, help="steps without, after them")
    parser.add_argument("--rays", type=int, default=128, help="of a step")
    parser.add_argument("--scenes", type=int, default=10, help="training scenes")
    parser.add_argument("--unseen_scenes", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--folder", type=Path, default=Path("datasets/neuray_masking"), help="keeps everything")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main, to_continue="give the same command again to continue")
