"""The network that a configuration names."""

from collections.abc import Mapping
from typing import Any

from neuray_mrvm.networks.generalization import GeneralizationNetwork


def build_generalization(cfg: Mapping[str, Any]) -> GeneralizationNetwork:
    """`network: neuray_gen` with random weights."""
    return GeneralizationNetwork(cfg)
