import pytest
import torch

from idnerf.guidance.distillation import Distillation
from idnerf.guidance.image_embedding import RememberingEncoder, preprocess, stretch
from idnerf.guidance.prior import Guidance


@pytest.fixture(scope="module")
def inputs(golden_module):
    return golden_module("idnerf/inputs.py")


def guidance(encode, empty_prompt):
    return Guidance(Distillation(lambda noisy, t, prompts: noisy, torch.linspace(0.99, 0.01, 10)), encode, empty_prompt)


class Counting:
    """A stand-in encoder that counts the pictures it is shown."""

    def __init__(self):
        self.count = 0

    def __call__(self, pictures):
        self.count += len(pictures)
        return pictures.mean((2, 3))


def test_stretching_keeps_both_ends_and_lies_between_neighbours():
    vectors = torch.tensor([[1.0, 3.0, 2.0]])
    torch.testing.assert_close(stretch(vectors, 5), torch.tensor([[1.0, 2.0, 3.0, 2.5, 2.0]]))
    assert stretch(vectors, 3) is vectors


def test_a_condition_has_three_unit_tokens_per_view_behind_as_many_of_the_empty_prompt():
    torch.manual_seed(0)
    empty = torch.rand(77, 3)
    embedding = guidance(lambda pictures: pictures.mean((2, 3)), empty).condition(
        torch.rand(2, 3, 8, 10), torch.rand(2, 6, 8, 10)
    )
    assert embedding.shape == (2, 6, 3)
    assert torch.equal(embedding[0], empty[:6])
    torch.testing.assert_close(embedding[1].norm(dim=1), torch.ones(6))


def test_more_views_than_the_prompt_has_room_for_are_refused():
    with pytest.raises(ValueError, match="reads 8 tokens and each source view needs 3; got 3 views, use 2 or fewer"):
        guidance(Counting(), torch.rand(8, 3)).condition(torch.rand(3, 3, 8, 10), torch.rand(3, 6, 8, 10))


def test_a_picture_is_encoded_once_and_never_again_with_the_same_folder(tmp_path):
    torch.manual_seed(0)
    pictures, first, later = torch.rand(3, 3, 4, 4), Counting(), Counting()
    encode = RememberingEncoder(first, tmp_path)
    vectors = encode(pictures)
    assert first.count == 3 and torch.equal(encode(pictures[[2, 0]]), vectors[[2, 0]]) and first.count == 3
    assert torch.equal(RememberingEncoder(later, tmp_path)(pictures), vectors) and later.count == 0
    encode(pictures + 1e-3)
    assert first.count == 6


def test_memory_is_bounded_and_what_was_forgotten_is_encoded_again():
    pictures, encoder = torch.rand(3, 3, 4, 4), Counting()
    encode = RememberingEncoder(encoder, capacity=2)
    vectors = encode(pictures)
    assert torch.equal(encode(pictures[1:]), vectors[1:]) and encoder.count == 3
    assert torch.equal(encode(pictures[:1]), vectors[:1]) and encoder.count == 4


def test_a_gradient_is_shortened_to_the_largest_norm_and_dropped_where_it_is_no_number(caplog):
    latent, prompts = torch.rand(1, 4, 64, 64), torch.zeros(2, 6, 3)
    for factor, norm in [(1e4, 2.0), (float("inf"), 0.0)]:
        distillation = Distillation(lambda noisy, t, p, f=factor: f * noisy, torch.linspace(0.99, 0.01, 10))
        prior = Guidance(distillation, Counting(), torch.rand(77, 3), largest_norm=2.0)
        assert abs(prior.gradient(latent, prompts).norm().item() - norm) < 1e-5
    assert "is not finite; this step goes without it" in caplog.text


def test_preprocessing_neither_smooths_nor_keeps_proportions():
    picture = torch.zeros(1, 3, 448, 896)
    picture[..., 1::2] = 1.0
    plain = preprocess(torch.full((1, 3, 5, 7), 0.5))
    torch.testing.assert_close(preprocess(picture), plain)  # the two middle columns of four
    picture[..., 0::4] = 5.0
    torch.testing.assert_close(preprocess(picture), plain)
