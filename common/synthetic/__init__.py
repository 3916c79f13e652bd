"""The scene generator: things on a table, rendered with exact geometry, deterministic by seed."""

from common.synthetic.generator import generate
from common.synthetic.rigs import RIGS

__all__ = ["RIGS", "generate"]
