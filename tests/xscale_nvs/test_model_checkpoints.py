import pytest
import torch

from common.checkpoints import load_checkpoint
from common.ops.hash_grid import HashGridLayout
from xscale_nvs import load
from xscale_nvs.model_checkpoints import (
    load_model,
    read_model,
    read_resume,
    save_model,
    save_resume,
)
from xscale_nvs.networks.model import XscaleModel

SIZES = {"hash_n_levels": 2, "z_length_s": 2, "log2_hashmap_size": 6, "hash_base_resol": 2, "descriptor_dim": 4}
WORDS = [str(word) for pair in SIZES.items() for word in pair]


def make_model(exposures=3):
    return XscaleModel(HashGridLayout(2, 2, 6, 2, 1.4768261459394993), hidden=4, num_exposures=exposures)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_file_has_the_papers_name_and_keys_and_best_is_the_newest(tmp_path):
    model = make_model()
    assert save_model(tmp_path, model, 0, 0, 2e-4) == "epoch:00000.pth.tar"
    assert save_model(tmp_path, model, 200, 3800, 2e-4) == "epoch:00200.pth.tar"
    stored = torch.load(tmp_path / "epoch:00200.pth.tar", weights_only=True)  # as the released program reads it
    assert (stored["epoch"], stored["iteration"], stored["lr"]) == (200, 3800, 2e-4)
    assert_same(stored["shading_machine_dict"], model.shading_machine.state_dict())
    assert_same(stored["spatial_encoding_dict"], model.spatial_encoding.state_dict())
    assert list(stored["l_embeddings_list"]) == list(stored["x_embeddings_list"]) == ["0.weight"]
    assert load_checkpoint(tmp_path / "best.pth.tar")["epoch"] == 200


def test_without_exposure_codes_there_is_no_table_and_none_is_read(tmp_path):
    save_model(tmp_path, make_model(None), 0, 0, 2e-4)
    content = read_model(tmp_path / "best.pth.tar")
    assert "x_embeddings_list" not in content
    with pytest.raises(RuntimeError, match="has no x_embeddings_list; it was trained without exposure codes"):
        load_model(make_model(), content, "file")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3}])
def test_a_state_dict_of_the_whole_model_is_taken_apart(tmp_path, prefix, wrap):
    model = make_model()
    torch.save(wrap({prefix + name: value for name, value in model.state_dict().items()}), tmp_path / "foreign.pth")
    found = load(tmp_path / "foreign.pth", overrides=WORDS)
    assert_same(found.state_dict(), model.state_dict())


def test_a_checkpoint_decides_how_many_exposure_codes_there_are(tmp_path):
    save_model(tmp_path, make_model(5), 0, 0, 2e-4)
    assert len(load(tmp_path / "best.pth.tar", overrides=WORDS).x_embeddings_list[0].weight) == 5


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"net": {}}, "has no shading_machine_dict; a checkpoint of XScale-NVS holds .* this file holds net"),
        ({"shading_machine.a": torch.zeros(1), "optimizer": 1}, "has no entry 'optimizer'"),
        ([1], "expected a dictionary"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, sentence):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match=sentence):
        read_model(tmp_path / "other.pth")


def test_another_table_size_is_refused_by_name(tmp_path):
    save_model(tmp_path, make_model(), 0, 0, 2e-4)
    with pytest.raises(RuntimeError, match=r"best.pth.tar \(spatial_encoding_dict\) has 1 of another shape, first"):
        load(tmp_path / "best.pth.tar", overrides=[*WORDS, "log2_hashmap_size", "4"])


def test_a_damaged_state_gives_way_to_the_one_before_it(tmp_path, caplog):
    assert read_resume(tmp_path) is None
    for epoch in (0, 200):
        save_resume(tmp_path, save_model(tmp_path, make_model(), epoch, epoch, 2e-4), {"epoch": epoch})
    assert read_resume(tmp_path)[0]["epoch"] == 200
    newest = tmp_path / "epoch:00200.pth.tar"
    newest.write_bytes(newest.read_bytes()[:-500])
    state, weights, path = read_resume(tmp_path)
    assert (state["epoch"], weights["epoch"], path.name) == (0, 0, "epoch:00000.pth.tar")
    assert "cannot continue the run" in caplog.text
    (tmp_path / "epoch:00000.pth.tar").unlink()
    with pytest.raises(RuntimeError, match=r"no state in .* can be continued; set resume False"):
        read_resume(tmp_path)
