import pytest
import torch

from gens.networks.feature_net import FeatureNetwork, load_imagenet_trunk


@pytest.fixture
def network(weights):
    network = FeatureNetwork()
    network.load_state_dict(weights("feature_network."))
    return network


def test_maps_are_those_of_the_reference(network, reference):
    images = reference("scene")["imgs"][:2]
    want = reference("feature_network")
    with torch.no_grad():
        maps = network.eval()(images)
    for level, features in enumerate(maps):
        torch.testing.assert_close(features, want[f"eval_out{level}"], rtol=0, atol=1e-4)


def test_training_uses_and_records_the_statistics_of_the_batch(network, reference):
    want = reference("feature_network")
    maps = network.train()(reference("scene")["imgs"][:2])
    for level in range(1, 5):
        torch.testing.assert_close(maps[level], want[f"train_out{level}"], rtol=0, atol=1e-4)
    state = network.state_dict()
    torch.testing.assert_close(state["layer1.1.running_mean"], want["running_mean_after"], rtol=0, atol=1e-6)
    torch.testing.assert_close(state["layer5.1.0.layers.7.running_var"], want["running_var_after"], rtol=0, atol=1e-5)
    assert state["layer1.1.num_batches_tracked"] == want["num_batches_after"]


def test_an_image_of_another_size_is_refused(network):
    with pytest.raises(ValueError, match="multiples of 32, got 64 x 100"):
        network(torch.zeros(1, 3, 64, 100))


def test_torchvisions_weights_fill_the_encoder_and_nothing_else(network, tmp_path):
    """The file as torchvision lays it out: one list of layers, then what classifies."""
    starts = {"layer1.": 0, "layer2.0.": 8, "layer3.0.": 9, "layer4.0.": 10, "layer4.1.": 11}
    starts |= {"layer5.0.": 12, "layer5.1.": 13}
    published = {"layers.14.weight": torch.zeros(1280, 320, 1, 1), "classifier.1.bias": torch.zeros(1000)}
    for name, value in network.state_dict().items():
        for start, index in starts.items():
            if name.startswith(start):
                own = name.removeprefix(start) if index else ""
                published[f"layers.{index}.{own}" if index else f"layers.{name.removeprefix('layer1.')}"] = value
    torch.save(published, tmp_path / "mnasnet.pth")
    fresh = FeatureNetwork()
    decoder = fresh.out_layer1.weight.clone()
    load_imagenet_trunk(fresh, tmp_path / "mnasnet.pth")
    for name, value in fresh.state_dict().items():
        if name.startswith("layer"):
            assert torch.equal(value, network.state_dict()[name]), name
    assert torch.equal(fresh.out_layer1.weight, decoder)
    torch.save({"layers.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match="is it for this network"):
        load_imagenet_trunk(fresh, tmp_path / "other.pth")
