"""Other people's encoders: DCMTK, OpenJPEG by pylibjpeg, OpenJPH. Each makes compressed copies of native files."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless

SECONDS_MAX = 60


def dcmtk(*command: str) -> Callable[[Path, Path], None]:
    def encode(native: Path, compressed: Path) -> None:
        # The instance stays the same one: DCMTK would make a new one of a derived image.
        subprocess.run([*command, str(native), str(compressed)], check=True, capture_output=True, timeout=SECONDS_MAX)
    return encode


def openjpeg(native: Path, compressed: Path) -> None:
    data_set = pydicom.dcmread(native)
    data_set.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    data_set.save_as(compressed)


def openjph(native: Path, compressed: Path) -> None:
    data_set = pydicom.dcmread(native)
    with tempfile.TemporaryDirectory() as folder:
        image, codestream = Path(folder) / "image.pgm", Path(folder) / "image.j2c"
        largest = 2 ** int(data_set.BitsStored) - 1
        head = f"P5 {data_set.Columns} {data_set.Rows} {largest}\n".encode()
        image.write_bytes(head + data_set.pixel_array.astype(">u2").tobytes())
        command = ["ojph_compress", "-i", str(image), "-o", str(codestream), "-reversible", "true"]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS_MAX)
        put_frames(data_set, [codestream.read_bytes()], HTJ2KLossless)
    data_set.save_as(compressed)


def put_frames(data_set: pydicom.Dataset, frames: list[bytes], syntax: str, **how: object) -> None:
    """Encapsulates codestreams in place of native pixels."""
    data_set.PixelData = encapsulate(frames, **how)
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    data_set.file_meta.TransferSyntaxUID = syntax


ENCODERS: dict[str, Callable[[Path, Path], None]] = {
    "RLE": dcmtk("dcmcrle"),
    "JPEG lossless": dcmtk("dcmcjpeg", "+e1", "--uid-never"),
    "JPEG lossless, any predictor": dcmtk("dcmcjpeg", "+el", "+sv", "6", "--uid-never"),
    "JPEG-LS": dcmtk("dcmcjpls", "--uid-never"),
    "JPEG 2000": openjpeg,
    "HTJ2K": openjph,
}


def compress(native: list[Path], folder: Path, codec: str) -> list[Path]:
    """Compressed copies in `folder`, under the same names."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in native:
        ENCODERS[codec](path, folder / path.name)
    return [folder / path.name for path in native]


def stored_values(path: Path) -> np.ndarray:
    """Of a native file, by NumPy alone."""
    data_set = pydicom.dcmread(path)
    kind = "i" if data_set.PixelRepresentation else "u"
    return np.frombuffer(data_set.PixelData, f"<{kind}{int(data_set.BitsAllocated) // 8}").astype(np.int64)
