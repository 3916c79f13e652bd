"""VGG16's convolutions (https://arxiv.org/abs/1409.1556), as a measure of perceptual difference needs them.

The parameters are torchvision's (`features.0.weight` ... `features.28.bias`), so its file `vgg16-397923af.pth` loads
unchanged. That file is not ours to ship: `load_vgg16` finds it or says where to get it.
"""

import os
from pathlib import Path
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn

from common.checkpoints import load_checkpoint, load_state

FILE_NAME = "vgg16-397923af.pth"
URL = f"https://download.pytorch.org/models/{FILE_NAME}"
ENVIRONMENT = "POLYVIEW_VGG16"

# Channels of each convolution, a 2x2 maximum between the groups.
_GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Vgg16(nn.Module):
    """Features after relu1_2, relu2_2, relu3_3, relu4_3 and, with `num_groups` 5, relu5_3.

    Takes images normalised with `normalize`; parameters are frozen, gradients pass through.
    """

    def __init__(self, num_groups: int = 4):
        super().__init__()
        layers: list[nn.Module] = []
        self._taps = []
        channels = 3
        for group in _GROUPS[:num_groups]:
            if layers:
                layers.append(nn.MaxPool2d(2))
            for width in group:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            self._taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """One feature map per group, from fine to coarse."""
        maps = []
        for index, layer in enumerate(self.features):
            images = layer(images)
            if index in self._taps:
                maps.append(images)
        return maps


def normalize(images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """RGB in [0, 1] with ImageNet's mean and deviation removed."""
    mean = images.new_tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = images.new_tensor([0.229, 0.224, 0.225])[:, None, None]
    return (images - mean) / deviation


def load_vgg16(path: str | Path | None = None, num_groups: int = 4) -> Vgg16:
    """VGG16 with ImageNet weights.

    Args:
        path: Weights file; None looks at the environment variable POLYVIEW_VGG16, then in PyTorch's download folder,
            then tries to download it there.
        num_groups: See `Vgg16`.

    Raises:
        FileNotFoundError: The weights are nowhere and cannot be downloaded; the sentence says where to put them.
        RuntimeError: The file is not VGG16.
    """
    path = Path(path) if path else find_vgg16()
    state = load_checkpoint(path)
    network = Vgg16(num_groups)
    wanted = network.state_dict()
    load_state(network, {name: value for name, value in state.items() if name in wanted}, path)
    return network


def find_vgg16() -> Path:
    """The weights file on this machine, downloaded if need be; raises as `load_vgg16`."""
    if ENVIRONMENT in os.environ:
        path = Path(os.environ[ENVIRONMENT])
        if not path.is_file():
            raise FileNotFoundError(f"no VGG16 weights at {path}, where the environment variable {ENVIRONMENT} points")
        return path
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), hash_prefix="397923af", progress=False)
    except (URLError, OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f"the VGG16 ImageNet weights are missing and cannot be downloaded ({error}); fetch {URL} elsewhere "
            f"and put it at {path}, or set {ENVIRONMENT} to where it is"
        ) from error
    return path
