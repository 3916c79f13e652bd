import torch

from common.ops.window_sampling import Window
from idnerf.conditioning import look_up, view_vectors
from idnerf.views import EncodedViews, SourceViews

RELEASED = Window(1, 1, shrink=True)
GROUPS = (2, 8)


def encoded_fixture(fixture, pictures, made):
    height, width = fixture["in_size"].tolist()
    extrinsics, intrinsics, near_fars = (fixture[f"in_{n}"][0] for n in ("extrinsics", "intrinsics", "near_fars"))
    count = len(extrinsics) - 1
    views = SourceViews(pictures(count + 1, height, width)[:-1], extrinsics[:-1], intrinsics[:-1], near_fars[:-1])
    channels = 128 * (count - 1)
    low = made("conditioning/low", (1, count, channels, height // 8, width // 8))[0]
    high = made("conditioning/high", (1, count, channels, height // 4, width // 4))[0]
    return EncodedViews(views, *(torch.cat([maps, maps[:, :8]], dim=1) for maps in (low, high)), num_tokens=8)


def test_what_the_views_show_is_the_released(tensors, pictures, made, assert_near):
    fixture = tensors("conditioning")
    encoded = encoded_fixture(fixture, pictures, made)
    points = fixture["in_points"][0]
    assert_near(view_vectors(encoded, points, RELEASED)[None], fixture["out_view_features"], 1e-4)
    assert_near(look_up(encoded, points, GROUPS, RELEASED).matching()[None], fixture["out_matching"], 1e-4)


def test_tokens_are_read_where_the_features_are(tensors, pictures, made):
    fixture = tensors("conditioning")
    encoded = encoded_fixture(fixture, pictures, made)
    points = fixture["in_points"][0]
    for window in (RELEASED, Window(), Window(2, 3)):
        vectors = view_vectors(encoded, points, window)
        channels = encoded.low.shape[1] - encoded.num_tokens
        both = vectors[..., :8] + vectors[..., channels : channels + 8]
        torch.testing.assert_close(look_up(encoded, points, GROUPS, window).features, both)


def test_a_point_behind_the_cameras_gives_finite_numbers(tensors, pictures, made):
    fixture = tensors("conditioning")
    encoded = encoded_fixture(fixture, pictures, made)
    centers = -(encoded.views.extrinsics[:, :3, :3].mT @ encoded.views.extrinsics[:, :3, 3:])[..., 0]
    points = torch.stack([2 * centers, centers * 1.0])
    seen = look_up(encoded, points, GROUPS, RELEASED)
    assert seen.similarity.isfinite().all() and seen.features.isfinite().all()
