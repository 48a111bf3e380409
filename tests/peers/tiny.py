"""Tiny images, made by the thousand: what counts is how many there are."""

from pathlib import Path

import numpy as np

from lab.study import ct, header

SIZE = 8


def generate(folder: Path, images: int, seed: int) -> list[Path]:
    """Writes `images` slices of one series; their files in the order of their Instance Numbers."""
    folder.mkdir(parents=True)
    return [_write(folder, seed, instance) for instance in range(1, images + 1)]


def _write(folder: Path, seed: int, instance: int) -> Path:
    data_set = header.new_data_set(seed, "CT", ct.CT_IMAGE_STORAGE, 1, instance, "TINY")
    header.add_geometry(data_set, np.array((0, 0, instance / 10)), *ct.AXIAL, 1, 0.1)
    data_set.RescaleIntercept, data_set.RescaleSlope = 0, 1
    header.add_pixels(data_set, np.random.default_rng([seed, instance]).integers(0, 4096, (SIZE, SIZE), np.uint16), 12)
    path = folder / f"tiny-{instance:05d}.dcm"
    header.write(data_set, path)
    return path
