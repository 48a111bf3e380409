"""The data set around generated pixels: patient, study, geometry, and large private blocks as scanners write them."""

import hashlib
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

PRIVATE_CREATOR = "SCANPOST GENERATED HEADER"
PROTOCOL_BYTES = 72_000
IMAGE_BLOCK_BYTES = 11_000
STUDY_DATE, STUDY_TIME = "20240412", "021407"


def uid(*parts: object) -> str:
    """A UID that depends on nothing but `parts` (PS3.5 B.2)."""
    digest = hashlib.sha256(" ".join(map(str, ("scanpost generated", *parts))).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def new_data_set(seed: int, modality: str, sop_class: str, series: int, instance: int, description: str) -> FileDataset:
    """Patient, study and series attributes. The name has its three component groups (PS3.5 H.3.2, example 1)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = uid(seed, "instance", series, instance)
    data_set = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data_set.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    data_set.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"] if modality == "MR" else ["ORIGINAL", "PRIMARY", "AXIAL"]
    data_set.SOPClassUID = sop_class
    data_set.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data_set.StudyDate = data_set.SeriesDate = data_set.AcquisitionDate = data_set.ContentDate = STUDY_DATE
    data_set.StudyTime = data_set.SeriesTime = STUDY_TIME
    data_set.AcquisitionTime = data_set.ContentTime = f"{STUDY_TIME}.{series * 1000 + instance:06d}"
    data_set.AccessionNumber = f"G{seed:08d}"
    data_set.Modality = modality
    data_set.Manufacturer = "Scanpost generator"
    data_set.InstitutionName = "架空病院"
    data_set.StudyDescription = "HEAD EMERGENCY"
    data_set.SeriesDescription = description
    data_set.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    data_set.PatientID = f"GEN-{seed:06d}"
    data_set.PatientBirthDate = "19560719"
    data_set.PatientSex = "M"
    data_set.BodyPartExamined = "HEAD"
    data_set.StudyInstanceUID = uid(seed, "study")
    data_set.SeriesInstanceUID = uid(seed, "series", series)
    data_set.FrameOfReferenceUID = uid(seed, "frame of reference")
    data_set.SeriesNumber, data_set.InstanceNumber = series, instance
    return data_set


def add_geometry(data_set: Dataset, origin, row, column, spacing: float, thickness: float) -> None:
    """Image plane (PS3.3 C.7.6.2)."""
    data_set.PatientPosition = "HFS"
    data_set.ImagePositionPatient = [round(float(value), 4) for value in origin]
    data_set.ImageOrientationPatient = [float(value) for value in (*row, *column)]
    data_set.PixelSpacing = [spacing, spacing]
    data_set.SliceThickness = thickness
    normal = np.cross(row, column)
    data_set.SliceLocation = round(float(np.dot(normal, origin)), 4)


def add_pixels(data_set: Dataset, pixels: np.ndarray, bits_stored: int) -> None:
    """Native pixels of 16 bits allocated, signed or not by their type."""
    data_set.SamplesPerPixel = 1
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.Rows, data_set.Columns = pixels.shape[-2:]
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, bits_stored, bits_stored - 1
    data_set.PixelRepresentation = 1 if pixels.dtype.kind == "i" else 0
    data_set.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    data_set["PixelData"].VR = "OW"


def add_private_blocks(data_set: Dataset, seed: int, series: int, instance: int) -> None:
    """About 83 kB in group 0029: a protocol that is the same for the series, and a block that varies a little with the slice."""
    block = data_set.private_block(0x0029, PRIVATE_CREATOR, create=True)
    image = np.random.default_rng([seed, series, 29]).integers(0, 256, IMAGE_BLOCK_BYTES, np.uint8)
    # Real blocks are sparse: values in a fixed grid, zeros between.
    image[np.arange(IMAGE_BLOCK_BYTES) % 16 >= 6] = 0
    varying = np.random.default_rng([seed, series, instance, 29]).integers(0, 256, 96, np.uint8)
    image[64 : 64 + 96 * 16 : 16] = varying
    block.add_new(0x10, "OB", image.tobytes())
    block.add_new(0x18, "LO", f"SERIES {series}")
    block.add_new(0x20, "OB", _protocol(seed, series, instance))


def write(data_set: FileDataset, path: Path) -> None:
    """Writes a Part 10 file."""
    data_set.save_as(path, enforce_file_format=True)


def _protocol(seed: int, series: int, instance: int) -> bytes:
    random = np.random.default_rng([seed, series, 20])
    lines, size = [f"### PROTOCOL BEGIN ### slice {instance:05d}"], 0
    while size < PROTOCOL_BYTES:
        group, item = random.integers(0, 40, 2)
        lines.append(f"sProtocol.asGroup[{group}].asItem[{item}].dValue = {random.normal(0, 100):.12f}")
        size += len(lines[-1]) + 1
    return "\n".join(lines).encode()[:PROTOCOL_BYTES]
