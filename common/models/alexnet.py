"""AlexNet's convolutions (https://arxiv.org/abs/1404.5997), the smaller backbone of LPIPS.

The parameters are torchvision's (`features.0.weight` ... `features.10.bias`), so its file `alexnet-owt-7be5be79.pth`
loads unchanged.
"""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from common.checkpoints import load_checkpoint, load_state

FILE_NAME = "alexnet-owt-7be5be79.pth"
URL = f"https://download.pytorch.org/models/{FILE_NAME}"
ENVIRONMENT = "POLYVIEW_ALEXNET"


class AlexNet(nn.Module):
    """Features after each of the five ReLUs, from ImageNet-normalised images; frozen, gradients pass through."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """One feature map per ReLU, from fine to coarse."""
        maps = []
        for layer in self.features:
            images = layer(images)
            if isinstance(layer, nn.ReLU):
                maps.append(images)
        return maps


def load_alexnet(path: str | Path) -> AlexNet:
    """AlexNet with the ImageNet weights of torchvision's file.

    Raises:
        RuntimeError: The file is not AlexNet.
    """
    network, state = AlexNet(), load_checkpoint(path)
    wanted = network.state_dict()
    load_state(network, {name: value for name, value in state.items() if name in wanted}, path)
    return network
