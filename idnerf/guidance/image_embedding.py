"""Pictures as a prompt: CLIP vectors stretched to the width of the text that the diffusion model expects (spec 5.2).

The sources' pictures, ray origins and ray directions each become one vector of unit length; a ray picture is shown to
CLIP as if its three coordinates were colours.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from common.io.atomic import atomic_path

MEAN = (0.48145466, 0.4578275, 0.40821073)
STANDARD_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
IMAGE_SIZE = 224

ImageEncoder = Callable[[Float[Tensor, "N 3 side side"]], Float[Tensor, "N D"]]


def view_embeddings(
    encode: ImageEncoder,
    pictures: Float[Tensor, "S 3 H W"],
    ray_pictures: Float[Tensor, "S 6 H W"],
    width: int,
    size: int = IMAGE_SIZE,
) -> Float[Tensor, "tokens width"]:
    """3S tokens: of the pictures, then of the ray origins, then of the ray directions.

    Args:
        encode: The image tower of CLIP.
        pictures: In [0, 1].
        ray_pictures: Origin and direction of every pixel's ray, as they are.
        width: Of a text token.
        size: Side of the pictures that `encode` takes.
    """
    origins, directions = ray_pictures.split(3, 1)
    prepared = preprocess(torch.cat([pictures, origins, directions]), size)
    return stretch(normalize(encode(prepared).float(), dim=-1, eps=0.0), width)


def preprocess(pictures: Float[Tensor, "N 3 H W"], size: int = IMAGE_SIZE) -> Float[Tensor, "N 3 size size"]:
    """Resized without regard to proportions and without smoothing, then normalised by CLIP's statistics."""
    resized = interpolate(pictures, (size, size), mode="bilinear", align_corners=False)
    mean, deviation = (resized.new_tensor(values).reshape(3, 1, 1) for values in (MEAN, STANDARD_DEVIATION))
    return (resized - mean) / deviation


def stretch(vectors: Float[Tensor, "N D"], width: int) -> Float[Tensor, "N width"]:
    """Each vector read at `width` places from its first value to its last, linearly between values."""
    if vectors.shape[1] == width:
        return vectors
    return interpolate(vectors[:, None], width, mode="linear", align_corners=True)[:, 0]


class RememberingEncoder:
    """An image encoder that knows what it has seen before, in this run or in an earlier one.

    Pictures are encoded one by one, so that the answer about one never depends on which others it came with: a run
    that continues goes on with exactly the same numbers, whatever is remembered.

    Args:
        encode: The encoder.
        folder: Keeps one file per picture for later runs with the same encoder; None for none.
        capacity: How many vectors to keep in memory; the least recently used are forgotten. 3 KiB each for 768 values.
    """

    def __init__(self, encode: ImageEncoder, folder: Path | None = None, capacity: int = 100_000):
        self._encode = encode
        self._folder = folder
        self._capacity = capacity
        self._known: OrderedDict[str, Tensor] = OrderedDict()

    def __call__(self, pictures: Float[Tensor, "N 3 side side"]) -> Float[Tensor, "N D"]:
        """One vector per picture, on the pictures' device."""
        return torch.stack([self._look_up(picture) for picture in pictures]).to(pictures.device)

    def _look_up(self, picture: Float[Tensor, "3 side side"]) -> Float[Tensor, " D"]:
        content = picture.detach().cpu().contiguous().numpy()
        key = hashlib.blake2b(content, digest_size=16).hexdigest()
        if key not in self._known:
            self._known[key] = self._read_or_encode(key, picture)
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _read_or_encode(self, key: str, picture: Float[Tensor, "3 side side"]) -> Float[Tensor, " D"]:
        path = None if self._folder is None else self._folder / f"{key}.npy"
        if path is not None and path.is_file():
            return torch.from_numpy(np.load(path, allow_pickle=False))
        vector = self._encode(picture[None])[0].float().cpu()
        if path is not None:
            with atomic_path(path) as temporary:
                np.save(temporary, vector.numpy())
        return vector
