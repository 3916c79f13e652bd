import pytest
import torch

from idnerf.networks.network import build_network
from idnerf.views import split_batch

NUM_SAMPLES = 24
SLICE = 500
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def golden_network(network_options, golden_weights):
    """`golden_network(samples)`: the released network with the fixtures' weights."""

    def build(samples):
        network = build_network(network_options({"nerf.sample_intvs": samples, "nerf.rand_rays_test": SLICE}))
        network.load_state_dict(golden_weights())
        return network.eval()

    return build


@pytest.fixture(scope="module")
def batch(tensors, pictures):
    """The item of the end-to-end fixture."""
    fixture = tensors("forward_eval")
    cameras = {name: fixture[f"in_{name}"] for name in ("extrinsics", "intrinsics", "near_fars")}
    count = cameras["extrinsics"].shape[1]
    return cameras | {"images": pictures(count, *fixture["in_size"].tolist())[None]}


def test_names_and_shapes_are_the_released_ones(network_options, manifest):
    state = build_network(network_options()).state_dict()
    assert [(name, list(value.shape)) for name, value in state.items()] == list(manifest.items())


@torch.no_grad()
def test_whole_picture_is_the_released_one(golden_network, batch, tensors, assert_near):
    fixture = tensors("forward_eval")
    rendered = golden_network(NUM_SAMPLES)(batch, "test")
    for name in ("rgb", "depth", "opacity"):
        assert_near(rendered[name], fixture[f"out_{name}"], TOLERANCE)
    assert (rendered["depth"] - fixture["out_depth"]).abs().mean() < 2e-6


@torch.no_grad()
def test_rays_with_the_shipped_number_of_samples_are_the_released_ones(golden_network, batch, tensors, assert_near):
    fixture = tensors("forward_eval")
    network = golden_network(128)
    sources, target, _ = split_batch(batch)
    encoded = network.encode(sources)
    latent, _ = network.infer_latent(encoded, target)
    rendered = network.render(encoded, latent, target, fixture["in_ray_index"])
    for name in ("rgb", "depth", "opacity"):
        assert_near(rendered[name][None], fixture[f"out_128_{name}"], TOLERANCE)


@pytest.fixture
def small_case(network_options, batch):
    """`small_case(views, **changes)`: a fresh network with the paper's behaviour, its sources and its target."""

    def build(views=2, **changes):
        changes = {"n_src_views": views, "parity.base": "ours", "nerf.sample_intvs": 8} | changes
        torch.manual_seed(0)
        network = build_network(network_options(changes)).eval()
        chosen = {name: torch.cat([value[:, :views], value[:, -1:]], dim=1) for name, value in batch.items()}
        return network, *split_batch(chosen)[:2]

    return build


@pytest.mark.parametrize("views", [2, 3])
def test_rays_with_and_without_gradients_are_equal(small_case, views):
    """Kernels, pieces and threads on one side, PyTorch's operations at once on the other."""
    network, sources, target = small_case(views)
    encoded = network.encode(sources)
    latent, rays = network.infer_latent(encoded, target)
    assert rays.shape == (views, 6, *sources.size)
    index = torch.arange(0, target.height * target.width, 7)
    recorded = network.render(encoded, latent, target, index)
    with torch.no_grad():
        for chunk in (None, 5):
            ours = network.render(encoded, latent, target, index, chunk=chunk)
            for name, value in recorded.items():
                torch.testing.assert_close(ours[name], value.detach(), atol=2e-5, rtol=1e-5)


def test_the_loss_reaches_every_network(small_case):
    network, sources, target = small_case(2)
    encoded = network.train().encode(sources)
    latent, _ = network.infer_latent(encoded, target)
    index, u = network.draw_rays(target, latent.device)
    network.render(encoded, latent, target, index[:64], u[:64])["rgb"].square().sum().backward()
    for name, child in network.named_children():
        assert max(p.grad.abs().max() for p in child.parameters() if p.grad is not None) > 0, name


def test_random_rays_are_pixels_and_their_jitter_stays_in_the_intervals(small_case):
    network, _, target = small_case(2, **{"nerf.rand_rays_train": 100})
    index, u = network.draw_rays(target, torch.device("cpu"))
    assert len(index.unique()) == 100 and index.max() < target.height * target.width
    assert u.shape == (100, 8) and u.min() >= 0 and u.max() < 1


@torch.no_grad()
def test_one_token_per_view_keeps_views_apart(small_case):
    """Without the attention's mixing, a view's token reaches its own place only if tokens are not interleaved."""
    network, _, _ = small_case(2)
    decoder = network.nerf_dec
    decoder.guidance_module = torch.nn.Identity()
    tokens = torch.arange(16.0).reshape(1, 1, 2, 8)
    code = torch.arange(16.0, 24.0)
    assert decoder.refine(tokens, code).flatten().tolist() == list(range(24))
    decoder.released_tokens = True
    assert decoder.refine(tokens, code).flatten()[:8].tolist() == list(range(0, 24, 3))


def test_what_cannot_be_is_refused_in_one_sentence(small_case, network_options, batch):
    network, sources, _ = small_case(2)
    with pytest.raises(ValueError, match="takes 2 source views"):
        network.encode(split_batch(batch)[0])
    for name, value in (
        ("latent_inference.latent_dim", 8),
        ("decoder.net_width", 64),
        ("encoder.attn_splits_list", [2, 4]),
        ("encoder.cos_n_group", [2, 7]),
        ("encoder.feature_upsampler", "none"),
        ("nerf.view_dep", False),
        ("n_src_views", 1),
        ("decoder.raytrans_act", "Softmax"),
    ):
        with pytest.raises(ValueError, match=name):
            build_network(network_options({name: value}))
    cropped = type(sources)(sources.images[..., :-3, :], *list(vars(sources).values())[1:])
    with pytest.raises(ValueError, match="multiples of 16"):
        network.encode(cropped)
    with pytest.raises(ValueError, match="batch_size"):
        network({name: value.repeat(2, *[1] * (value.dim() - 1)) for name, value in batch.items()}, "test")
