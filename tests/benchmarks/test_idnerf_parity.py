import json
from pathlib import Path

import pytest
import torch
from torch import nn

from idnerf.guidance.pretrained import build_guidance
from idnerf.options import load_options

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def parity(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)  # as Python does for the script
    import idnerf_parity

    return idnerf_parity


def test_the_table_has_means_and_spreads_and_says_what_a_random_prior_knows(parity):
    names = [*parity.LATENTS, "change", "latent", "moved"]
    results = {"released": [dict.fromkeys(names, value) for value in (0.0, 0.1)]}
    text = parity.report(results, parity._parse(["--settings", "released"]))
    assert "| as released | 0.05 ± 0.05 | 0.05 ± 0.05 |" in text and "| 5.0 ± 5.0 % |" in text
    assert "knows nothing about pictures" in text
    assert "knows nothing" not in parity.report(results, parity._parse(["--diffusion", "folder"]))
    assert "knows nothing" not in parity.report({"none": results["released"]}, parity._parse(["--settings", "none"]))


def test_movement_is_a_part_of_the_weights_norm_and_leaves_statistics_out(parity):
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    module[1].running_mean += 5
    assert parity.movement(before, module) == 0
    with torch.no_grad():
        for value in module.parameters():
            value *= 1.25
    assert parity.movement(before, module) == pytest.approx(0.25)


def test_a_run_with_other_options_is_not_taken_for_this_one(parity, tmp_path):
    words = ["--yaml=train", f"--output_root={tmp_path}", "--name=ours", "--guidance=none"]
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "asked.json").write_text(json.dumps(words))
    (tmp_path / "ours" / "measured.json").write_text('{"own": 1.0}')
    assert parity.run(words) == {"own": 1.0}
    with pytest.raises(ValueError, match=r"ours has a run with other options; name another --folder"):
        parity.run([*words, "--max_epoch=3"])


def test_the_random_prior_is_loaded_as_a_real_one_and_is_the_same_every_time(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from idnerf_random_prior import write_random_prior

    gradients = []
    for name in ("first", "second"):
        torch.manual_seed(len(gradients))
        diffusion, clip = write_random_prior(tmp_path / name)
        opt = load_options(["--yaml=train", f"--hf_key={diffusion}", f"--clip_key={clip}"])
        guidance = build_guidance(opt, torch.device("cpu"))
        pictures, rays, latent = torch.full((2, 3, 8, 8), 0.3), torch.full((2, 6, 8, 8), 0.1), torch.zeros(1, 4, 64, 64)
        torch.manual_seed(0)
        gradients.append(guidance.gradient(latent, guidance.condition(pictures, rays)))
    assert gradients[0].abs().max() > 0 and torch.equal(*gradients)
