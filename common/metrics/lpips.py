"""Learned perceptual image patch similarity, version 0.1 (Zhang et al., CVPR 2018, https://arxiv.org/abs/1801.03924).

    d(a, b) = sum over layers l of  mean over pixels of  w_l . (A_l / |A_l| - B_l / |B_l|)^2

A_l, B_l are activations of an ImageNet classifier and w_l >= 0 the learned linear weights. Only the arithmetic is here:
w_l comes from the data files of the `lpips` package, which is located but not imported (it would import torchvision),
and the classifier's weights are torchvision's files.
"""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.models import alexnet, vgg16

Backbone = Literal["vgg", "alex"]

# Pixels that a picture's shorter side needs for the last pooling to leave something.
_SMALLEST_SIDE: dict[Backbone, int] = {"vgg": 16, "alex": 31}


class Lpips(nn.Module):
    """The distance of pictures in [-1, 1], one number each; differentiable.

    Args:
        backbone: Which classifier `features` is.
        features: Gives its activations A_l (after relu1_2, 2_2, 3_3, 4_3, 5_3 of VGG16; after each ReLU of AlexNet).
        linear: w_l.
    """

    def __init__(self, backbone: Backbone, features: nn.Module, linear: Sequence[Float[Tensor, " _"]]) -> None:
        super().__init__()
        self.backbone = backbone
        self.smallest_side = _SMALLEST_SIDE[backbone]
        self.features = features.eval().requires_grad_(False)
        # ImageNet normalisation as LPIPS defines it, for pictures in [-1, 1].
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None], persistent=False)
        for index, weights in enumerate(linear):
            self.register_buffer(f"linear{index}", weights[:, None, None], persistent=False)

    def forward(self, first: Float[Tensor, "B 3 H W"], second: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        total = first.new_zeros(first.shape[0])
        pairs = zip(*(self.features((images - self.shift) / self.scale) for images in (first, second)), strict=True)
        for index, (a, b) in enumerate(pairs):
            weights = getattr(self, f"linear{index}")
            total = total + (weights * (_unit(a) - _unit(b)) ** 2).sum(dim=1).mean(dim=(1, 2))
        return total

    @torch.no_grad()
    def distance(self, prediction: Float[np.ndarray, "H W 3"], truth: Float[np.ndarray, "H W 3"]) -> float:
        """The distance of two pictures in [0, 1]."""
        pair = np.stack([prediction, truth]).astype(np.float32).transpose(0, 3, 1, 2)
        pair = torch.from_numpy(np.ascontiguousarray(pair)).to(self.shift.device) * 2 - 1
        return float(self(pair[:1], pair[1:]))


def _unit(features: Tensor) -> Tensor:
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def load_lpips(backbone: Backbone = "vgg", device: str | torch.device = "cpu") -> Lpips:
    """LPIPS 0.1 with the published weights.

    Raises:
        FileNotFoundError: The linear weights or the classifier's are not on this machine; the sentence says what to
        get. ValueError: Unknown backbone.
    """
    if backbone not in _SMALLEST_SIDE:
        raise ValueError(f"no LPIPS backbone {backbone!r}; choose one of {', '.join(_SMALLEST_SIDE)}")
    linear, path = read_linear_weights(find_linear_weights(backbone)), find_classifier(backbone)
    features = vgg16.load_vgg16(path, num_groups=5) if backbone == "vgg" else alexnet.load_alexnet(path)
    return Lpips(backbone, features, linear).to(device)


def find_classifier(backbone: Backbone) -> Path:
    """The classifier's file from torchvision: where an environment variable says, else in PyTorch's download folder.

    A metric downloads nothing by itself (VGG16 is half a gigabyte).

    Raises:
        FileNotFoundError: It is not there; the sentence says what to download and where to put it.
    """
    source = vgg16 if backbone == "vgg" else alexnet
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = Path(os.environ.get(source.ENVIRONMENT) or folder / source.FILE_NAME)
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"LPIPS needs the ImageNet weights {source.FILE_NAME}: download {source.URL} to {folder}, "
        f"or set {source.ENVIRONMENT} to where the file is"
    )


def find_linear_weights(backbone: Backbone) -> Path:
    """The file of linear weights inside the installed `lpips` package.

    Raises:
        FileNotFoundError: The package, or the file in it, is missing.
    """
    package = importlib.util.find_spec("lpips")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "weights" / "v0.1" / f"{backbone}.pth"
        if path.is_file():
            return path
    raise FileNotFoundError("no LPIPS linear weights on this machine; install them with: pip install lpips")


def read_linear_weights(path: Path) -> list[Float[Tensor, " _"]]:
    """w_l of each compared layer from a file of the `lpips` package."""
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return [stored[f"lin{index}.model.1.weight"].flatten() for index in range(5)]
