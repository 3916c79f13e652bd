import torch

from neuray_mrvm.networks.visibility_encoder import VisibilityEncoder


def test_ray_features_are_those_of_the_reference(weights, array, reference):
    encoder = VisibilityEncoder()
    encoder.load_state_dict(weights(root="vis_encoder."))
    want = reference("networks")["vis_encoder"]
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            got = encoder(array("ve_ray", (2, 32, 16, 20)), array("ve_img", (2, 32, 16, 20)))
        torch.testing.assert_close(got, want, rtol=0, atol=1e-4)


def test_names_and_their_order_are_those_of_the_released_checkpoints(manifest):
    named = {f"vis_encoder.{name}": list(value.shape) for name, value in VisibilityEncoder().state_dict().items()}
    released = {name: shape for name, shape in manifest["gen_depth"].items() if name.startswith("vis_encoder.")}
    assert list(named.items()) == list(released.items())
