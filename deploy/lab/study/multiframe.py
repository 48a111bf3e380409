"""One big multi-frame object, made frame by frame so that neither writer nor sender ever holds it.

Multi-frame Grayscale Word Secondary Capture (PS3.3 A.8.4), 512 x 512, 16 bits.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset

from lab.study import header

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7.3"
SIZE = 512
FRAME_BYTES = SIZE * SIZE * 2
# Pixel Data of explicit length ends below 2^32 - 1 (PS3.5 7.1.1).
FRAMES_MAX = 0xFFFF_FFFE // FRAME_BYTES


def data_set_without_pixels(frames: int, seed: int):
    """Everything before Pixel Data."""
    if not 1 <= frames <= FRAMES_MAX:
        raise ValueError(f"between 1 and {FRAMES_MAX} frames")
    data_set = header.new_data_set(seed, "OT", SOP_CLASS, 1, 1, "MULTI-FRAME")
    data_set.ConversionType = "WSD"
    header.add_pixels(data_set, np.zeros((SIZE, SIZE), np.uint16), 12)
    del data_set.PixelData
    data_set.NumberOfFrames = frames
    data_set.BurnedInAnnotation = "NO"
    data_set.PresentationLUTShape = "IDENTITY"
    data_set.RescaleIntercept, data_set.RescaleSlope, data_set.RescaleType = 0, 1, "US"
    data_set.add_new("FrameIncrementPointer", "AT", 0x00181063)
    data_set.FrameTime = 40
    return data_set


def chunks(frames: int, seed: int, with_meta: bool) -> Iterator[bytes]:
    """The bytes of the object: a Part 10 file with its meta group, or the bare data set as C-STORE carries it."""
    data_set = data_set_without_pixels(frames, seed)
    buffer = DicomBytesIO()
    if with_meta:
        dcmwrite(buffer, data_set, enforce_file_format=True)
    else:
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, data_set)
    yield buffer.getvalue()
    yield struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, frames * FRAME_BYTES)
    for frame in range(frames):
        yield frame_bytes(seed, frame)


def frame_bytes(seed: int, frame: int) -> bytes:
    """A bright ball that moves over a gradient, with noise of 4 bits."""
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    angle = frame / 20
    ball = np.hypot(down - 256 - 120 * np.sin(angle), across - 256 - 120 * np.cos(angle)) < 60
    noise = np.random.default_rng([seed, frame]).integers(0, 16, (SIZE, SIZE), np.uint16)
    return ((down + across).astype(np.uint16) + ball.astype(np.uint16) * 1500 + noise).astype("<u2").tobytes()


def generate(folder: Path, frames: int, seed: int) -> int:
    """Writes one file."""
    with open(folder / "multiframe.dcm", "wb") as file:
        for chunk in chunks(frames, seed, with_meta=True):
            file.write(chunk)
    return 1

