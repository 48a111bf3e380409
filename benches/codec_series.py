"""The series of the codec benches: the real ones beside the project, and test files that pydicom, nibabel and dipy bring."""

import gzip
import hashlib
import os
import pathlib
import struct
import sys
import sysconfig
from dataclasses import dataclass, field

import imagecodecs
import numpy
import pydicom
from pydicom.encaps import generate_frames

TOP = pathlib.Path(__file__).resolve().parent.parent
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
# The least value of a series is kept exact where it fills areas: at least this part of the series,
EXACT_SHARE = 1 / 64
# in runs of at least this many samples. Zeros that noise makes here and there are no areas.
EXACT_RUN = 16

# Test files of pydicom 3.0.2 (MIT) of other vendors and modalities; single images all of them.
PYDICOM_FILES = {
    "mr-toshiba-64": ("MR_small.dcm", "3f27d1c22f1a66e80d7bb7c911e8610fd0bb70325a76746a7adb1c0ddefcf2bb"),
    "mr-siemens-overlay": ("examples_overlay.dcm", "112539bc17c0e281987397e827dff9e99890109866d570f08761f83b8f55c277"),
    "us-philips-palette": ("examples_palette.dcm", "c6f5b60e1711d6009f7a944873969d4c8d4fcbd6ad96099a3a1a20f32a95a2bb"),
    "us-ge-rgb": ("examples_rgb_color.dcm", "bdd7f166ccef2dbd7ea9fc601ac25811f45aa623493b86cec0979b47109b83d4"),
    "ct-ge-128": ("CT_small.dcm", "3dd31e5cc835b3f2cdd46c9da1982f59251e78518fefa8163d914631c66437d6"),
    "ct-5mm-13-bit": ("J2K_pixelrep_mismatch.dcm", "2df92c523d36639e4d88f892f47e4f6616c48ab017a445a6241ffe38b2d07bbf"),
}

# Volumes of several slices in nibabel 5.4.2 (MIT) and dipy 1.12.1 (BSD): MR, without DICOM headers. The first is by Philips, the others do not say.
VOLUMES = {
    "mr-epi-phantom-philips": ("nibabel/tests/data/phantom_EPI_asc_CLEAR_2_1.REC", "6a27cb6d719ed93f5ce2df947c6f8dbfaba5d458cfc7fc985099dbe5424b2aac"),
    "mr-dwi-nibabel": ("nibabel/tests/data/example4d.nii.gz", "42097dfbab9d2a036b41ae5c97a359591cf2cf5c3f8dc6ca6455c0b8a7f22696"),
    "mr-s0-dipy": ("dipy/data/files/S0_10slices.nii.gz", "b77985d533c8b0b2f4a7d276e6b0d8388df9966b5c9d67be7c1cbd4178285e14"),
    "mr-aniso-dipy": ("dipy/data/files/aniso_vox.nii.gz", "8440b6366d3dbd58d8f5af3ef6764dbd65e35b1061abe7bf4dc8fac32fb7aff7"),
}
# Columns and rows of the .REC file, as its .PAR file says.
REC_SIDE = 64


@dataclass
class Series:
    """Frames × rows × columns (× samples), as stored values."""

    name: str
    values: numpy.ndarray
    signed: bool
    file_bytes: int
    headers: bytes = field(repr=False)
    exact: list[int]
    palette: bool = False

    @property
    def grey16(self):
        return self.values.ndim == 3 and self.values.dtype.itemsize == 2

    @property
    def samples(self):
        return self.values.shape[3] if self.values.ndim == 4 else 1

    def for_peers(self):
        """Unsigned, since JPEG-LS and JPEG XL know no sign: the least value is taken off."""
        if self.signed:
            return (self.values.astype(numpy.int32) - int(self.values.min())).astype(numpy.uint16)
        return self.values


def all_series(names):
    root = pathlib.Path(os.environ.get("SCANPOST_DATA", TOP.parent / "shared/data"))
    folders = sorted(path for path in root.glob("*") if path.is_dir()) if root.is_dir() else []
    if not folders:
        print(f"NOT MEASURED: no real series in {root} (set SCANPOST_DATA)", file=sys.stderr)
    wanted = lambda name: not names or name in names
    series = [read(folder.name, sorted(p for p in folder.rglob("*") if p.is_file())) for folder in folders if wanted(folder.name)]
    series += [read_pydicom(name) for name in PYDICOM_FILES if wanted(name)]
    return [one for one in series if one] + [read_volume(name) for name in VOLUMES if wanted(name)]


def read_pydicom(name):
    """A test file, which must be the one that was measured before."""
    file, digest = PYDICOM_FILES[name]
    path = pathlib.Path(pydicom.__file__).parent / "data/test_files" / file
    read_known(path, digest)
    return read(name, [path])


def read_known(path, digest):
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        sys.exit(f"{path.name}: SHA-256 is {found}, not {digest}")
    return data


def read_volume(name):
    """Slices of a volume of 16-bit voxels, axial ones, in the order of the file."""
    file, digest = VOLUMES[name]
    path = pathlib.Path(sysconfig.get_path("purelib")) / file
    data = read_known(path, digest)
    if path.suffix == ".REC":
        values, signed = numpy.frombuffer(data, "<u2").reshape(-1, REC_SIDE, REC_SIDE), False
    else:
        values, signed = nifti(gzip.decompress(data))
    return Series(name, values, signed, values.nbytes, b"", [])


def nifti(data):
    """Voxels of a NIfTI-1 file (nifti1.h): sizes at 40, kind at 70 (4 = signed, 512 = unsigned, both of 16 bits), start at 108."""
    count, columns, rows, *more = struct.unpack("<8h", data[40:56])
    (kind,), (start,) = struct.unpack("<h", data[70:72]), struct.unpack("<f", data[108:112])
    slices = int(numpy.prod([max(1, size) for size in more[: count - 2]]))
    values = numpy.frombuffer(data, {4: "<i2", 512: "<u2"}[kind], columns * rows * slices, int(start))
    return values.reshape(slices, rows, columns), kind == 4


def read(name, paths):
    images, file_bytes = [], 0
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
        except pydicom.errors.InvalidDicomError:
            continue
        if "PixelData" not in dataset:
            continue
        file_bytes += path.stat().st_size
        order = (int(dataset.get("SeriesNumber") or 0), int(dataset.get("InstanceNumber") or 0))
        images.append((order, pixels(dataset), dataset, headers(path, dataset)))
    if not images:
        return None
    images.sort(key=lambda image: image[0])
    first = images[0][2]
    values = numpy.stack([image[1] for image in images])
    return Series(
        name, values, bool(first.PixelRepresentation), file_bytes, b"".join(image[3] for image in images),
        exact_values(values, first), first.PhotometricInterpretation == "PALETTE COLOR",
    )


def pixels(dataset):
    shape = (dataset.Rows, dataset.Columns) + ((dataset.SamplesPerPixel,) if dataset.SamplesPerPixel > 1 else ())
    if dataset.file_meta.TransferSyntaxUID == JPEG_2000_LOSSLESS:
        coded = next(generate_frames(dataset.PixelData, number_of_frames=1))
        unsigned = imagecodecs.jpeg2k_decode(coded).astype(numpy.int32)
        return sign_extended(unsigned, dataset.BitsStored) if dataset.PixelRepresentation else unsigned.astype(numpy.uint16)
    kind = f"<{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
    return numpy.frombuffer(dataset.PixelData, kind, numpy.prod(shape)).reshape(shape)


def sign_extended(values, bits):
    return numpy.where(values >> (bits - 1) & 1, values - (1 << bits), values).astype(numpy.int16)


def headers(path, dataset):
    """The bytes of a file that are not its pixels."""
    whole, value = path.read_bytes(), dataset.PixelData
    start = whole.rfind(value)
    return whole[:start] + whole[start + len(value):] if start >= 0 else whole[: -len(value)]


def exact_values(values, dataset):
    """What a careful sender would keep exact: padding, and a least value that fills areas."""
    exact = set()
    padding = dataset.get("PixelPaddingValue")
    if padding is not None and (values == int(padding)).any():
        exact.add(int(padding))
    least = values.min()
    is_least = values == least
    runs = numpy.count_nonzero(is_least[:, :, 1:] != is_least[:, :, :-1]) / 2
    if numpy.count_nonzero(is_least) >= max(values.size * EXACT_SHARE, runs * EXACT_RUN):
        exact.add(int(least))
    mask = 0xFFFF if values.dtype.itemsize == 2 else 0xFF
    return sorted(value & mask for value in exact)


def s20(values):
    """20th percentile of the standard deviation of foreground blocks of 8 × 8 after their plane is taken off: noise, as a reader sees it."""
    rows, columns = numpy.mgrid[:8, :8]
    plane = numpy.linalg.qr(numpy.stack([numpy.ones(64), rows.ravel(), columns.ravel()], 1))[0]
    foreground, deviations = numpy.percentile(values, 60), []
    for image in values[:: max(1, len(values) // 16)]:
        high, wide = image.shape[0] // 8, image.shape[1] // 8
        blocks = image[: high * 8, : wide * 8].reshape(high, 8, wide, 8).swapaxes(1, 2).reshape(-1, 64).astype(float)
        blocks = blocks[blocks.mean(1) > max(foreground * 0.5, image.mean() * 0.5 if values.min() >= 0 else -200)]
        rest = blocks - blocks @ plane @ plane.T
        deviations += list(numpy.sqrt((rest**2).sum(1) / 61))
    return float(numpy.percentile(deviations, 20)) if deviations else 1.0
