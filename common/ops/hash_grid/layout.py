"""Where the entries of a multiresolution hash grid lie in its one parameter vector (the layout of tiny-cuda-nn)."""

import math
from dataclasses import dataclass, field

import numpy as np

FEATURES_PER_LEVEL = (1, 2, 4, 8)


@dataclass(frozen=True)
class HashGridLayout:
    """Sizes of a multiresolution hash grid; everything else follows from them.

    Level l has the scale s_l and R_l grid points per axis (float32, every operation rounded; g the growth factor):

        s_l = 2^(l log2 g) * base_resolution - 1        R_l = ceil(s_l) + 1
        T_l = min(R_l^D rounded up to a multiple of 8, 2^log2_hashmap_size)

    It occupies entries [offset_l, offset_l + T_l), each entry `features_per_level` consecutive floats. A level whose
    R_l^D points fit into T_l is indexed row by row ("dense"), any other by a hash.

    Attributes:
        n_levels: Number of levels.
        features_per_level: Floats per entry: 1, 2, 4 or 8.
        log2_hashmap_size: Logarithm of the largest number of entries of a level.
        base_resolution: Grid points per axis of the coarsest level.
        per_level_scale: Growth factor g between levels, at least 1.
        n_dims: Coordinates of a point, 2 or 3.
        scales: s_l, float32 values.
        resolutions: R_l.
        sizes: T_l, in entries.
        offsets: First entry of every level, and after them the number of all entries.

    Raises:
        ValueError: A size that no grid can have.

    Source: Müller et al., "Instant Neural Graphics Primitives", section 3, and tiny-cuda-nn's documentation.
    """

    n_levels: int
    features_per_level: int
    log2_hashmap_size: int
    base_resolution: int
    per_level_scale: float
    n_dims: int = 3
    scales: tuple[float, ...] = field(init=False, repr=False, compare=False)
    resolutions: tuple[int, ...] = field(init=False, repr=False, compare=False)
    sizes: tuple[int, ...] = field(init=False, repr=False, compare=False)
    offsets: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        scales = tuple(_scale(level, self.base_resolution, self.per_level_scale) for level in range(self.n_levels))
        resolutions = tuple(math.ceil(scale) + 1 for scale in scales)
        largest = 2**self.log2_hashmap_size
        sizes = tuple(min(-(-(r**self.n_dims) // 8) * 8, largest) for r in resolutions)
        offsets = tuple(sum(sizes[:level]) for level in range(self.n_levels + 1))
        for name, value in (("scales", scales), ("resolutions", resolutions), ("sizes", sizes), ("offsets", offsets)):
            object.__setattr__(self, name, value)

    @property
    def num_entries(self) -> int:
        """Entries of all levels."""
        return self.offsets[-1]

    @property
    def num_parameters(self) -> int:
        """Length of the parameter vector."""
        return self.num_entries * self.features_per_level

    @property
    def num_features(self) -> int:
        """Length of an encoded point."""
        return self.n_levels * self.features_per_level

    def is_hashed(self, level: int) -> bool:
        """Whether the level has more grid points than entries."""
        return self.resolutions[level] ** self.n_dims > self.sizes[level]

    def _check(self) -> None:
        rules = {
            "n_levels": (self.n_levels >= 1, "at least 1"),
            "features_per_level": (self.features_per_level in FEATURES_PER_LEVEL, "1, 2, 4 or 8"),
            "log2_hashmap_size": (3 <= self.log2_hashmap_size <= 30, "from 3 to 30"),
            "base_resolution": (self.base_resolution >= 1, "at least 1"),
            "per_level_scale": (1 <= self.per_level_scale < math.inf, "at least 1"),
            "n_dims": (self.n_dims in (2, 3), "2 or 3"),
        }
        for name, (is_right, rule) in rules.items():
            if not is_right:
                raise ValueError(f"{name} of a hash grid must be {rule}, got {getattr(self, name)}")
        finest = self.base_resolution * self.per_level_scale ** (self.n_levels - 1)
        if finest >= 2**31:
            raise ValueError(
                f"the finest level of the hash grid would have {finest:.3g} points per axis, more than 32 bits can"
                " count; lower n_levels, base_resolution or per_level_scale"
            )


def _scale(level: int, base_resolution: int, per_level_scale: float) -> float:
    """s_l. The powers of two are computed in float64: float32 ones are a unit off on several levels."""
    growth = np.float32(np.log2(np.float64(np.float32(per_level_scale))))
    exponent = np.float32(level) * growth
    return float(np.float32(np.exp2(np.float64(exponent))) * np.float32(base_resolution) - np.float32(1))
