"""ID-NeRF as released against ID-NeRF as its paper describes it: the same training, measured on scenes it never saw.

    python benchmarks/idnerf_parity.py
    python benchmarks/idnerf_parity.py --diffusion FOLDER --clip FOLDER --epochs 10 --scenes 50
    python benchmarks/idnerf_parity.py --settings released ours none --seeds 0 1 2

Every setting trains from the same random weights on the same items and rays. Then views of other scenes are rendered
from their own latents, from a latent of zeros and from another scene's latent: a network that does not use the latent
draws the same picture each time. Finished runs are kept in `--folder`; the same command goes on where it was stopped.
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from idnerf_random_prior import write_random_prior
from torch import Tensor, nn
from tqdm import tqdm

from common.cameras import Camera
from common.datasets.writers.orders import SceneOrder, make_scenes
from common.entry_point import run_command
from common.io.atomic import atomic_path
from common.metrics.images import psnr
from idnerf.data.loaders import build_test_loaders
from idnerf.model_checkpoints import load_weights
from idnerf.networks.network import IdNerf, build_network
from idnerf.options import load_options
from idnerf.trainer import train
from idnerf.views import EncodedViews, split_batch

SETTINGS: dict[str, tuple[str, list[str]]] = {
    "released": ("as released", ["--parity=released"]),
    "ours": ("ours (default)", []),
    "sum": ("ours, prior not divided", ["--parity.released_guidance_sum"]),
    "none": ("ours, no prior", ["--guidance=none"]),
}
FIRST_TRAINING_SEED, FIRST_UNSEEN_SEED = 1000, 400
STRIDE = 4  # every fourth pixel of every fourth row is rendered
LATENTS = ("own", "zero", "other")
Measured = dict[str, float]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Item:
    """A view to render, with everything that does not depend on the latent."""

    scene: str
    encoded: EncodedViews
    target: Camera
    index: Tensor
    truth: np.ndarray
    latent: Tensor


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what has not been trained, measure, and print the table."""
    options = _parse(arguments)
    training = options.training or _made(options.folder / "training", options, FIRST_TRAINING_SEED, options.scenes)
    unseen = options.unseen or _made(options.folder / "unseen", options, FIRST_UNSEEN_SEED, options.unseen_scenes)
    diffusion, clip = options.diffusion, options.clip
    if diffusion is None:
        diffusion, clip = write_random_prior(options.folder / "random_prior")
    shared = [*_words(options, training, unseen), f"--hf_key={diffusion}", *([f"--clip_key={clip}"] if clip else [])]
    runs = [(setting, seed) for seed in options.seeds for setting in options.settings]
    results: dict[str, list[Measured]] = {setting: [] for setting in options.settings}
    for setting, seed in tqdm(runs, desc="runs", unit="run"):
        results[setting].append(run([*shared, *SETTINGS[setting][1], f"--name={setting}", f"--seed={seed}"]))
    print(report(results, options))


def run(words: Sequence[str]) -> Measured:
    """Train one network and measure it, or read what an earlier call with the same options measured.

    Raises:
        ValueError: The folder has a run with other options.
    """
    opt = load_options([*words, "--resume"])
    folder = Path(opt.output_path)
    path, initial, asked = folder / "measured.json", folder / "initial.pth", folder / "asked.json"
    if asked.is_file() and json.loads(asked.read_text(encoding="utf8")) != list(words):
        raise ValueError(f"{folder} has a run with other options; name another --folder, or remove that one")
    _store(asked, list(words))
    if path.is_file():
        return json.loads(path.read_text(encoding="utf8"))
    torch.manual_seed(opt.seed)
    network = build_network(opt)
    before = {name: value.clone() for name, value in network.latent_inference.named_parameters()}
    with atomic_path(initial) as temporary:
        torch.save({"model": network.state_dict()}, temporary)
    opt["load"] = str(initial)  # the same start, whatever building the prior draws
    train(opt, CPU)
    load_weights(network, folder / "models" / "latest.pth")
    measured = measure(network.eval(), opt) | {"moved": movement(before, network.latent_inference)}
    _store(path, measured)
    return measured


def movement(before: Mapping[str, Tensor], module: nn.Module) -> float:
    """How far a module's weights are from what they were, as a part of their norm; statistics do not count."""
    after = dict(module.named_parameters())
    moved = sum((after[name] - value).square().sum().item() for name, value in before.items())
    return (moved / sum(value.square().sum().item() for value in before.values())) ** 0.5


@torch.no_grad()
def measure(network: IdNerf, opt: Any) -> Measured:
    """PSNR with each latent (dB, mean over views), how much colours change with the latent, and its spread."""
    items = [_prepare(network, batch) for loader in build_test_loaders(opt).values() for batch in loader]
    scores: dict[str, list[float]] = {name: [] for name in LATENTS}
    changes = []
    for number, item in enumerate(tqdm(items, desc="views", unit="view", leave=False)):
        other = next(later for later in items[number:] + items if later.scene != item.scene)
        latents = {"own": item.latent, "zero": torch.zeros_like(item.latent), "other": other.latent}
        colours = {name: _render(network, item, latent) for name, latent in latents.items()}
        for name, values in colours.items():
            scores[name].append(psnr(values, item.truth))
        changes.append(float(np.abs(colours["own"] - colours["other"]).mean()) * 255)
    latents = torch.cat([item.latent for item in items])
    return {name: statistics.fmean(values) for name, values in scores.items()} | {
        "change": statistics.fmean(changes),
        "latent": latents.square().mean().sqrt().item(),
    }


def report(results: Mapping[str, Sequence[Measured]], options: argparse.Namespace) -> str:
    """The Markdown table: means over the seeds, and half the range between the seeds behind them."""
    lines = [
        "| setting | PSNR, own latent | latent of zeros | another scene's | colour change, of 255 | latent, RMS"
        " | latent network moved |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for setting, measured in results.items():
        cells = [_cell([run[name] for run in measured], 2) for name in (*LATENTS, "change", "latent")]
        cells.append(_cell([100 * run["moved"] for run in measured], 1) + " %")
        lines.append(f"| {SETTINGS[setting][0]} | {' | '.join(cells)} |")
    lines.append(
        f"\n{options.views} source views, {options.rays} rays a step, {options.samples} samples a ray, {options.epochs}"
        f" passes over {options.scenes} training scenes, seeds {', '.join(map(str, options.seeds))}."
    )
    if options.diffusion is None and any("--guidance=none" not in SETTINGS[setting][1] for setting in results):
        lines.append(
            "The prior is a tiny diffusion model with random weights, which knows nothing about pictures: the table"
            " shows what reaches the latent and what the latent does, not what a real prior is worth."
        )
    return "\n".join(lines)


def _prepare(network: IdNerf, batch: Mapping[str, Any]) -> Item:
    sources, target, picture = split_batch(dict(batch))
    encoded = network.encode(sources)
    latent, _ = network.infer_latent(encoded, target)
    rows, columns = torch.meshgrid(
        torch.arange(0, target.height, STRIDE), torch.arange(0, target.width, STRIDE), indexing="ij"
    )
    index = (rows * target.width + columns).reshape(-1)
    truth = picture.reshape(-1, 3)[index].reshape(*rows.shape, 3).numpy()
    return Item(batch["scene"][0], encoded, target, index, truth, latent)


def _render(network: IdNerf, item: Item, latent: Tensor) -> np.ndarray:
    return network.render(item.encoded, latent, item.target, item.index)["rgb"].reshape(item.truth.shape).numpy()


def _words(options: argparse.Namespace, training: Path, unseen: Path) -> list[str]:
    """What all runs share."""
    width, height = options.size
    words = [
        *("--yaml=train", "--cpu", "--tb!", "--encoder.pretrain_weight=", "--data_val=", "--data_test.llff="),
        f"--output_root={options.folder / 'runs'}",
        f"--n_src_views={options.views}",
        f"--nerf.rand_rays_train={options.rays}",
        f"--nerf.sample_intvs={options.samples}",
        f"--max_epoch={options.epochs}",
        f"--data_train.root_dir={training}",
        f"--data_train.scan_list={','.join(_scenes(training)[: options.scenes])},",
        *("--data_train.view_lists=folder", "--data_train.lights=3"),
        f"--data_test.dtu.root_dir={unseen}",
        f"--data_test.dtu.scan_list={','.join(_scenes(unseen)[: options.unseen_scenes])},",
        *("--optim.lr_enc=5e-4", "--optim.lr_dec=5e-4"),  # nothing is pretrained
    ]
    return words + [f"--data_{name}.img_wh={width},{height}" for name in ("train", "test.dtu")]


def _scenes(folder: Path) -> list[str]:
    """Names of the scenes of a folder in DTU's layout."""
    names = [path.name.removesuffix("_train") for path in (folder / "Rectified").glob("*_train")]
    if not names:
        raise FileNotFoundError(f"no scene like {folder / 'Rectified' / 'scan1_train'}; make some with make_scene.py")
    return sorted(names, key=lambda name: (len(name), name))


def _made(folder: Path, options: argparse.Namespace, seed: int, count: int) -> Path:
    make_scenes(folder, [SceneOrder("dtu", f"scan{n + 1}", seed + n, tuple(options.size)) for n in range(count)])
    return folder


def _store(path: Path, content: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf8")


def _cell(values: Sequence[float], digits: int) -> str:
    return f"{statistics.fmean(values):.{digits}f} ± {(max(values) - min(values)) / 2:.{digits}f}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--diffusion", type=Path, help="folder of a diffusion model; a tiny random one by default")
    parser.add_argument("--clip", type=Path, help="folder or file of CLIP, with --diffusion")
    parser.add_argument("--training", type=Path, help="DTU folder to train on; made by default")
    parser.add_argument("--unseen", type=Path, help="DTU folder to measure on; made by default")
    parser.add_argument("--scenes", type=int, default=4, help="training scenes; 49 steps each in an epoch")
    parser.add_argument("--unseen_scenes", type=int, default=3, help="at least 2")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--views", type=int, default=2, help="source views")
    parser.add_argument("--rays", type=int, default=128, help="of a step")
    parser.add_argument("--samples", type=int, default=32, help="of a ray")
    parser.add_argument("--size", type=int, nargs=2, default=(160, 128), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--folder", type=Path, default=Path("datasets/idnerf_parity"), help="keeps everything")
    options = parser.parse_args(arguments)
    if options.unseen_scenes < 2:
        parser.error("--unseen_scenes must be at least 2: one scene gets the latent of another")
    return options


if __name__ == "__main__":
    run_command(main, to_continue="give the same command again to continue")
