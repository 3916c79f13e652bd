import pytest
import torch

from neuray_mrvm.networks.image_encoder import ImageEncoder


@pytest.fixture
def encoder(weights):
    encoder = ImageEncoder()
    encoder.load_state_dict(weights(root="image_encoder."))
    return encoder


def test_names_and_their_order_are_those_of_the_released_checkpoints(manifest):
    """The state of a released optimiser counts parameters in this order."""
    named = {name: list(value.shape) for name, value in ImageEncoder().state_dict().items()}
    released = {name: shape for name, shape in manifest["gen_depth"].items() if name.startswith("image_encoder.")}
    assert [(f"image_encoder.{name}", shape) for name, shape in named.items()] == list(released.items())


def test_features_are_those_of_the_reference(encoder, all_views, reference):
    want = reference("networks")["image_encoder"]
    torch.testing.assert_close(encoder(all_views.imgs[:2]), want, rtol=0, atol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(encoder(all_views.imgs[:2]), want, rtol=0, atol=1e-4)


def test_odd_sizes_give_maps_larger_than_a_quarter(encoder, array, reference):
    got = encoder(array("enc_odd", (1, 3, 40, 56), 0.5))
    torch.testing.assert_close(got, reference("networks")["image_encoder_odd"], rtol=0, atol=1e-4)


def test_every_picture_is_encoded_on_its_own_in_training_too(encoder, all_views):
    alone = torch.cat([encoder.train()(picture[None]) for picture in all_views.imgs[:3]])
    torch.testing.assert_close(encoder.eval()(all_views.imgs[:3]), alone, rtol=0, atol=1e-4)


def test_every_parameter_learns(encoder, array):
    encoder(array("encoder", (1, 3, 32, 48))).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())
