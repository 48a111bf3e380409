"""A head MR as an emergency department orders it: a thin-sliced T1, T2, FLAIR and DWI, with Rician noise, 12 bits in 16."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.study import header, phantom

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
AXIAL = ((1, 0, 0), (0, 1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))
LARGEST = 4095


@dataclass(frozen=True)
class Sequence:
    """One series. `signal` is indexed by the tissue numbers of `phantom`."""

    description: str
    share: float
    orientation: tuple
    size: int
    spacing: float
    thickness: float
    noise: float
    signal: tuple
    repeats: tuple = ("",)


SEQUENCES = (
    Sequence("T1 MPRAGE SAG", 0.60, SAGITTAL, 256, 1.0, 1.8, 9, (0, 620, 60, 110, 380, 560, 450, 160, 250)),
    Sequence("T2 TSE TRA", 0.14, AXIAL, 320, 0.75, 6.0, 12, (0, 520, 40, 1500, 760, 540, 600, 1600, 1100)),
    Sequence("FLAIR TRA", 0.13, AXIAL, 320, 0.75, 6.0, 10, (0, 430, 30, 120, 620, 470, 520, 140, 980)),
    Sequence("DWI TRA", 0.13, AXIAL, 256, 0.95, 9.0, 14, (0, 90, 20, 900, 420, 360, 400, 850, 700), ("b0", "b1000")),
)


def generate(folder: Path, images: int, seed: int) -> int:
    """Writes `images` files and gives their number back."""
    head = phantom.Head(seed)
    for number, (sequence, count) in enumerate(zip(SEQUENCES, shares(images)), start=1):
        for instance in range(1, count + 1):
            write_image(folder, head, seed, sequence, number, instance, count)
    return images


def shares(images: int) -> list[int]:
    """How many images each sequence gets; the first takes what rounding leaves."""
    counts = [int(images * sequence.share) for sequence in SEQUENCES]
    counts[0] += images - sum(counts)
    return counts


def write_image(folder: Path, head: phantom.Head, seed: int, sequence: Sequence, number: int, instance: int, count: int) -> None:
    slices = max(1, count // len(sequence.repeats))
    repeat, position = divmod(instance - 1, slices)
    # The slices cover the head from end to end, however many there are.
    step = max(sequence.thickness, 200 / max(slices, 1) if sequence.orientation == AXIAL else 160 / max(slices, 1))
    origin = slice_origin(sequence, (position - (slices - 1) / 2) * step)
    random = np.random.default_rng([seed, number, instance])
    pixels = image(head, sequence, origin, random, diffusion=repeat > 0)
    description = " ".join(filter(None, (sequence.description, sequence.repeats[min(repeat, len(sequence.repeats) - 1)])))
    data_set = header.new_data_set(seed, "MR", MR_IMAGE_STORAGE, number, instance, description)
    data_set.ScanningSequence, data_set.SequenceVariant, data_set.ScanOptions = "SE", "SK", ""
    data_set.MRAcquisitionType = "3D" if number == 1 else "2D"
    data_set.RepetitionTime, data_set.EchoTime, data_set.MagneticFieldStrength = 2000 + number, 2.5 * number, 3
    data_set.SpacingBetweenSlices = round(step, 4)
    header.add_geometry(data_set, origin, *sequence.orientation, sequence.spacing, sequence.thickness)
    data_set.WindowCenter, data_set.WindowWidth = 500, 1000
    header.add_private_blocks(data_set, seed, number, instance)
    header.add_pixels(data_set, pixels, 12)
    header.write(data_set, folder / f"mr-{number:02d}-{instance:04d}.dcm")


def slice_origin(sequence: Sequence, offset: float) -> np.ndarray:
    """The centre of the first pixel: half a field of view against row and column, `offset` mm along the normal."""
    row, column = (np.array(axis, float) for axis in sequence.orientation)
    half = sequence.spacing * (sequence.size - 1) / 2
    return offset * np.cross(row, column) - half * row - half * column


def image(head: phantom.Head, sequence: Sequence, origin, random: np.random.Generator, diffusion: bool) -> np.ndarray:
    """One slice: tissue signal, uneven coil, Rician noise (the magnitude of a complex signal with Gaussian noise)."""
    x, y, z = phantom.slice_points(origin, *sequence.orientation, sequence.spacing, sequence.size, sequence.size)
    signal = np.array(sequence.signal, float)
    if diffusion:
        signal = signal * np.where(np.arange(signal.size) == phantom.LESION, 0.9, 0.3)
    ideal = phantom.smooth(signal[head.tissue(x, y, z)]) * (1 + 0.15 * np.cos(x / 90) * np.cos(y / 110))
    real = ideal + random.normal(0, sequence.noise, ideal.shape)
    imaginary = random.normal(0, sequence.noise, ideal.shape)
    return np.clip(np.rint(np.hypot(real, imaginary)), 0, LARGEST).astype(np.uint16)
