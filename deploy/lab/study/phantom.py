"""The head: nested and paired ellipsoids with a folded cortex, asked for its tissue at points in millimetres.

Axes are DICOM's patient axes (PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the head.
"""

import numpy as np

AIR, SKIN, BONE, FLUID, GREY, WHITE, DEEP, EYE, LESION = range(9)

# (tissue, centre mm, half axes mm); later ones lie over earlier ones.
ELLIPSOIDS = (
    (SKIN, (0, 0, 0), (78, 98, 108)),
    (BONE, (0, 0, 4), (73, 92, 100)),
    (FLUID, (0, 0, 4), (68, 87, 95)),
    (GREY, (0, 0, 4), (66, 84, 92)),
    (WHITE, (28, 0, 8), (30, 66, 66)),
    (WHITE, (-28, 0, 8), (30, 66, 66)),
    (FLUID, (9, -6, 14), (6, 32, 12)),
    (FLUID, (-9, -6, 14), (6, 32, 12)),
    (DEEP, (15, -4, 2), (9, 15, 10)),
    (DEEP, (-15, -4, 2), (9, 15, 10)),
    (GREY, (24, 44, -48), (26, 22, 18)),
    (GREY, (-24, 44, -48), (26, 22, 18)),
    (WHITE, (0, 20, -62), (12, 12, 34)),
    (EYE, (32, -78, -28), (12, 12, 12)),
    (EYE, (-32, -78, -28), (12, 12, 12)),
    (LESION, (34, 18, 26), (7, 9, 6)),
)


class Head:
    """One person's head: the seed varies size and folding by a few per cent."""

    def __init__(self, seed: int):
        random = np.random.default_rng([seed, 1])
        self.scale = random.uniform(0.96, 1.04, 3)
        self.waves = random.normal(0, 0.22, (12, 3))
        self.phases = random.uniform(0, 2 * np.pi, 12)

    def tissue(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Tissue numbers at points in mm."""
        fold = self._folding(x, y, z)
        labels = np.full(np.broadcast_shapes(x.shape, y.shape, z.shape), AIR, np.uint8)
        for tissue, centre, axes in ELLIPSOIDS:
            radius = sum(((axis - c) / (a * s)) ** 2 for axis, c, a, s in zip((x, y, z), centre, axes, self.scale))
            edge = 1 + (0.35 * fold if tissue == WHITE and axes[1] > 60 else 0)
            labels[radius < edge] = tissue
        return labels

    def _folding(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        waves = (np.cos(kx * x + ky * y + kz * z + phase) for (kx, ky, kz), phase in zip(self.waves, self.phases))
        return sum(waves) / len(self.phases)


def slice_points(origin, row, column, spacing: float, rows: int, columns: int):
    """x, y, z in mm of each pixel of a slice, by the formula of PS3.3 C.7.6.2.1.1."""
    across = np.arange(columns)[None, :] * spacing
    down = np.arange(rows)[:, None] * spacing
    return tuple(origin[axis] + row[axis] * across + column[axis] * down for axis in range(3))


def smooth(image: np.ndarray) -> np.ndarray:
    """Partial volume: each pixel takes a part of its four neighbours."""
    padded = np.pad(image, 1, mode="edge")
    cross = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return 0.5 * image + 0.125 * cross
