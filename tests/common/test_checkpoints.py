import collections
import os
import pickle
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from common.checkpoints import (
    checksum,
    load_checkpoint,
    load_state,
    previous_path,
    remove_leftovers,
    save_checkpoint,
)


def payload(value=1.0):
    return {
        "net": collections.OrderedDict(weight=torch.full((3,), value)),
        "epoch": 4,
        "rates": [0.5, (1, None)],
        "name": "x",
    }


def test_what_was_saved_comes_back(tmp_path):
    save_checkpoint(tmp_path / "new" / "latest.pth", payload())
    content = load_checkpoint(tmp_path / "new" / "latest.pth")
    assert torch.equal(content.pop("net")["weight"], torch.ones(3))
    assert content == {"epoch": 4, "rates": [0.5, (1, None)], "name": "x"}


def test_the_previous_checkpoint_stays_beside_the_new_one(tmp_path):
    path = tmp_path / "latest.pth"
    for value in (1.0, 2.0, 3.0):
        save_checkpoint(path, payload(value))
    assert load_checkpoint(path)["net"]["weight"][0] == 3
    assert load_checkpoint(previous_path(path))["net"]["weight"][0] == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["latest.previous.pth", "latest.pth"]


@pytest.mark.parametrize("damage", ["cut", "empty", "flip", "gone"])
def test_a_damaged_checkpoint_is_replaced_by_the_previous_one_with_a_warning(tmp_path, caplog, damage):
    path = tmp_path / "latest.pth"
    save_checkpoint(path, {"net": {"weight": torch.arange(5000.0)}})
    save_checkpoint(path, {"net": {"weight": torch.arange(5000.0) + 1}})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # inside the tensor's bytes, which torch itself does not check
    damaged = {"cut": content[: len(content) // 2], "empty": b"", "flip": content}
    path.unlink() if damage == "gone" else path.write_bytes(damaged[damage])
    assert load_checkpoint(path)["net"]["weight"][1] == 1
    assert "continuing from the one before it" in caplog.text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"not a checkpoint at all", "damaged or not a PyTorch file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "Git LFS pointer"),
        (pickle.dumps({"a": 1}), "damaged or not a PyTorch file"),
    ],
)
def test_other_files_are_refused_with_a_sentence(tmp_path, content, sentence):
    (tmp_path / "latest.pth").write_bytes(content)
    with pytest.raises(RuntimeError, match=sentence):
        load_checkpoint(tmp_path / "latest.pth")


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"net": Attack()}, tmp_path / "latest.pth")
    with pytest.raises(RuntimeError, match=r"damaged or not a PyTorch file \(.*mkdir") as raised:
        load_checkpoint(tmp_path / "latest.pth")
    assert not (tmp_path / "attacked").exists()
    assert "weights_only" not in str(raised.value)  # no advice to run it


def test_a_bare_tensor_and_a_folder_and_nothing_are_refused(tmp_path):
    torch.save(torch.ones(2), tmp_path / "tensor.pth")
    with pytest.raises(RuntimeError, match="expected a dictionary"):
        load_checkpoint(tmp_path / "tensor.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(RuntimeError, match="is a folder"):
        load_checkpoint(tmp_path / "folder.pth")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*none\.pth"):
        load_checkpoint(tmp_path / "none.pth")


def test_numpy_scalars_of_foreign_files_are_accepted(tmp_path):
    torch.save({"best": np.float64(3.5), "step": np.int64(7), "array": np.arange(3)}, tmp_path / "foreign.pth")
    content = load_checkpoint(tmp_path / "foreign.pth")
    assert content["best"] == 3.5
    assert content["array"].tolist() == [0, 1, 2]


def test_released_checkpoints_of_the_field_can_be_read(real_data):
    for name, key in (("mvsnet_pl.ckpt", "state_dict"), ("mvsnerf-v0.tar", "network_mvs_state_dict")):
        content = load_checkpoint(real_data / "checkpoints" / name)
        assert all(isinstance(value, torch.Tensor) for value in content[key].values())


def test_the_checksum_sees_every_kind_of_change():
    one = checksum(payload())
    assert checksum(payload()) == one
    changed = [
        payload(1.0000001),
        payload() | {"epoch": 5},
        payload() | {"name": "y"},
        payload() | {"rates": [0.5, (1, 0)]},
    ]
    assert len({one, *map(checksum, changed)}) == 5
    assert checksum(torch.zeros(2, 3)) != checksum(torch.zeros(3, 2))
    assert checksum(torch.zeros(2)) != checksum(torch.zeros(2, dtype=torch.int32))


def test_state_is_loaded_strictly_with_a_report():
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = module.state_dict()
    load_state(module, {f"module.{name}": value + 1 for name, value in state.items()}, "multi.pth")
    wrong = {name: value for name, value in state.items() if name != "0.weight"}
    wrong |= {"1.weight": torch.zeros(7, 3), "extra": torch.zeros(1)}
    with pytest.raises(RuntimeError) as raised:
        load_state(module, wrong, "wrong.pth")
    first, *report = str(raised.value).splitlines()
    assert first.startswith("checkpoint wrong.pth lacks 1 of 4 entries, first 0.weight; has 1 that this network")
    assert report == ["missing: 0.weight", "unexpected: extra", "1.weight is (7, 3) there and (1, 3) here"]


def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(tmp_path):
    """A file-size limit stands in for a full disk: writing fails in the same place, with an OSError."""
    script = textwrap.dedent("""
        import resource, signal, sys, torch
        from common.checkpoints import save_checkpoint
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        save_checkpoint(sys.argv[1], {"net": torch.zeros(10)})
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            save_checkpoint(sys.argv[1], {"net": torch.zeros(100_000)})
        except OSError as error:
            print(error.filename)
    """)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "latest.pth"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(path)
    assert load_checkpoint(path)["net"].shape == (10,)
    assert [file.name for file in tmp_path.iterdir()] == ["latest.pth"]


def test_leftovers_of_killed_processes_are_removed_and_checkpoints_stay(tmp_path):
    save_checkpoint(tmp_path / "latest.pth", payload())
    (tmp_path / ".latest-abc123.pth").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    remove_leftovers(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["latest.pth", "notes.txt"]
