"""A head CT: 512 x 512, signed 16 bits in Hounsfield units, -1024 outside the round field of view."""

from pathlib import Path

import numpy as np

from lab.study import header, phantom

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SIZE, SPACING, THICKNESS = 512, 0.48, 5.0
PADDING = -1024
NOISE_HU = 4.5
AXIAL = ((1, 0, 0), (0, 1, 0))
# Indexed by the tissue numbers of `phantom`.
HOUNSFIELD = np.array((-1000, 20, 1100, 5, 38, 28, 36, 12, 68), float)


def generate(folder: Path, images: int, seed: int) -> int:
    """Writes `images` slices from the skull's base upwards."""
    head = phantom.Head(seed)
    step = max(THICKNESS, 200 / images)
    for instance in range(1, images + 1):
        origin = np.array((-SPACING * (SIZE - 1) / 2, -SPACING * (SIZE - 1) / 2, (instance - 1 - (images - 1) / 2) * step))
        data_set = header.new_data_set(seed, "CT", CT_IMAGE_STORAGE, 1, instance, "HEAD 5MM")
        data_set.KVP, data_set.ConvolutionKernel = 120, "H31"
        header.add_geometry(data_set, origin, *AXIAL, SPACING, THICKNESS)
        data_set.WindowCenter, data_set.WindowWidth = 40, 80
        data_set.RescaleIntercept, data_set.RescaleSlope, data_set.RescaleType = 0, 1, "HU"
        header.add_pixels(data_set, image(head, origin, np.random.default_rng([seed, 100, instance])), 16)
        data_set.add_new("PixelPaddingValue", "SS", PADDING)
        header.write(data_set, folder / f"ct-{instance:04d}.dcm")
    return images


def image(head: phantom.Head, origin, random: np.random.Generator) -> np.ndarray:
    """One slice with the noise a little correlated, as a smooth kernel leaves it."""
    x, y, z = phantom.slice_points(origin, *AXIAL, SPACING, SIZE, SIZE)
    ideal = phantom.smooth(HOUNSFIELD[head.tissue(x, y, z)])
    noisy = ideal + phantom.smooth(random.normal(0, NOISE_HU * 1.8, ideal.shape))
    stored = np.clip(np.rint(noisy), PADDING, 3071).astype(np.int16)
    outside = np.hypot(x, y) > SPACING * SIZE / 2
    stored[np.broadcast_to(outside, stored.shape)] = PADDING
    return stored
