import pytest
import torch

from idnerf.guidance.clip_weights import ClipEncoder, from_original, load_clip, read_original, translate
from idnerf.guidance.distillation import Distillation
from idnerf.guidance.image_embedding import preprocess
from idnerf.guidance.prior import Guidance
from idnerf.ray_pictures import released_ray_pictures

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(golden_module):
    return golden_module("idnerf/inputs.py")


@pytest.mark.parametrize("kind", ["stub", "tiny"])
def test_the_condition_is_the_released_programs(kind, inputs, clip_folder, pictures, tensors, assert_near):
    expected = tensors("clip_condition")
    height, width = expected["in_size"].tolist()
    extrinsics, intrinsics, _ = (torch.from_numpy(a[:3]) for a in inputs.cameras(4, height, width, **inputs.OPEN_RIG))
    encode = inputs.stub_image_embedding if kind == "stub" else load_clip(clip_folder, CPU)
    empty = torch.from_numpy(inputs.stub_text_embedding(inputs.EMPTY_PROMPT_IDS))
    distillation = Distillation(inputs.closed_form_noise, torch.linspace(0.99, 0.01, 10))
    sources = pictures(4, height, width)[:3]
    embedding = Guidance(distillation, encode, empty).condition(
        sources, released_ray_pictures(intrinsics, extrinsics, height, width)
    )
    assert_near(embedding[..., ::4], expected[f"out_{kind}_embedding"], 1e-5)
    assert_near(embedding.norm(dim=2), expected[f"out_{kind}_embedding_norms"], 1e-5)
    assert_near(preprocess(sources)[..., ::16, ::16], expected["out_preprocessed"], 1e-5)


def test_transformers_folder_and_both_original_files_hold_the_same_tower(
    clip_state, clip_folder, clip_archive, tmp_path
):
    whole = {f"visual.{name}": value for name, value in clip_state.items()} | {"text_projection": torch.zeros(2, 2)}
    torch.save(whole, tmp_path / "state.pt")
    picture = torch.rand(2, 3, 224, 224)
    expected = load_clip(clip_folder, CPU)(picture)
    states = [read_original(tmp_path / "state.pt"), read_original(clip_archive(clip_state))]
    for state, tolerance in zip(states, [1e-6, 0.02], strict=True):  # the archive is in half precision
        tower = ClipEncoder(from_original(state, "file", heads=4), CPU)
        torch.testing.assert_close(tower(picture), expected, atol=tolerance, rtol=tolerance)


def test_a_file_is_read_with_one_head_per_64_channels(clip_state, tmp_path):
    torch.save(clip_state, tmp_path / "ViT-L-14.pt")
    encoder = load_clip(tmp_path / "ViT-L-14.pt", CPU)
    assert encoder.tower.config.num_attention_heads == 1
    assert encoder.size == 224 and not any(parameter.requires_grad for parameter in encoder.tower.parameters())


def test_translation_accounts_for_every_entry_of_the_original(clip_state, manifest_of_clip):
    own = from_original(clip_state, "file", heads=4).state_dict()
    assert set(translate(clip_state)) == set(own)
    large = translate({name: torch.empty(shape, device="meta") for name, shape in manifest_of_clip.items()})
    assert sum(value.numel() for value in large.values()) == sum(
        torch.Size(shape).numel() for shape in manifest_of_clip.values()
    )


@pytest.fixture
def manifest_of_clip():
    """Names and shapes of ViT-L/14's image tower, relative to it."""
    import json
    from pathlib import Path

    manifests = json.loads((Path(__file__).parents[2] / "golden" / "idnerf" / "manifest.json").read_text())
    entries = manifests["clip_vit_l14_visual"]
    return {name.removeprefix("visual."): shape for name, shape in entries.items()}


def test_other_files_and_folders_are_refused_in_a_sentence(clip_state, tmp_path):
    (tmp_path / "page.pt").write_text("<html>")
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    lacking = {name: value for name, value in clip_state.items() if not name.startswith("ln_post")}
    torch.save(lacking, tmp_path / "lacking.pt")
    torch.save({"attnpool.positional_embedding": torch.zeros(2)}, tmp_path / "resnet.pt")
    for name, message in {
        "page.pt": "cannot read .*page.pt as a file of the original CLIP package",
        "other.pt": "holds no CLIP; expected the original package's ViT-L-14.pt",
        "lacking.pt": "lacks 2 entries of CLIP's image tower, first vision_model.post_layernorm",
        "resnet.pt": "holds no vision transformer of CLIP",
    }.items():
        with pytest.raises(RuntimeError, match=message):
            load_clip(tmp_path / name, CPU)
    with pytest.raises(FileNotFoundError, match="expected a CLIP model of transformers"):
        load_clip(tmp_path, CPU)
