import pytest
import torch

from common.checkpoints import load_checkpoint, load_state, save_checkpoint
from tools.export_weights import export_weights, main


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3), torch.nn.BatchNorm2d(64), torch.nn.Conv2d(64, 64, 3))


def test_the_file_is_half_as_large_and_loads_as_before_up_to_rounding(tmp_path, capsys):
    trained = network()
    trained[1].running_var.fill_(1e6)  # beyond 16 bits
    save_checkpoint(tmp_path / "latest.pth", {"net": trained.state_dict(), "optim": {"a": torch.ones(9)}, "epoch": 3})
    main(["--checkpoint", str(tmp_path / "latest.pth"), "--output", str(tmp_path / "out" / "net.pth")])
    assert "net.pth" in capsys.readouterr().out
    content = load_checkpoint(tmp_path / "out" / "net.pth")
    assert set(content) == {"net"}
    assert (tmp_path / "out" / "net.pth").stat().st_size < 0.6 * (tmp_path / "latest.pth").stat().st_size
    loaded = network()
    load_state(loaded, content["net"], "net.pth")
    for (name, value), other in zip(trained.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert other.dtype == value.dtype
        torch.testing.assert_close(other, value, rtol=1e-3, atol=1e-4, msg=name)
    assert loaded[1].running_var[0] == 1e6


def test_a_file_without_a_network_is_refused(tmp_path):
    save_checkpoint(tmp_path / "a.pth", {"epoch": 3})
    with pytest.raises(
        ValueError, match=r"a\.pth has no entry 'net' or 'network_state_dict' or 'model' \(it has epoch\)"
    ):
        export_weights(tmp_path / "a.pth", tmp_path / "b.pth")
    assert not (tmp_path / "b.pth").exists()


def test_single_parts_can_be_kept(tmp_path):
    save_checkpoint(
        tmp_path / "a.pth", {"model": network().state_dict(), "epoch": 3, "polyview": {"seed": 1}, "iter": 5}
    )
    export_weights(tmp_path / "a.pth", tmp_path / "b.pth", ["2"])
    content = load_checkpoint(tmp_path / "b.pth")
    assert set(content["model"]) == {"2.weight", "2.bias"}
    assert set(content) == {"model", "epoch", "polyview"}
    with pytest.raises(ValueError, match=r"a\.pth has no part '7' \(it has 0, 1, 2\)"):
        export_weights(tmp_path / "a.pth", tmp_path / "b.pth", ["2", "7"])
