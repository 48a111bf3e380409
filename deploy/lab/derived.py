"""What an image that was compressed within a bound must be, made from what was sent (docs/spec-bundle.md 6).

Built on pydicom alone, so that it stands apart from the program that writes such images.
"""

import hashlib
import re
import subprocess
import tempfile
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLossless, JPEGLosslessSV1

METHOD = "SCANPOST_LATTICE"
DECODED = r"(?P<decoded>, decoded from (RLE|JPEG|JPEG-LS|JPEG 2000|HTJ2K) lossless)?"
LOSSY = re.compile(rf"Irreversibly compressed by the Scanpost lattice codec{DECODED}: near (?P<near>\d+), largest error of the series "
                   r"(?P<error>\d+), RMSE \d+\.\d{3}, all in stored values"
                   r"(?P<reference>\. Reference only: compression ratio above the national ceiling\.)?$")
EXACT = re.compile(rf"Pixels equal to those of the source image{DECODED}; new UIDs, since other images of its series were irreversibly "
                   r"compressed by the Scanpost lattice codec$")
REFERENCE_ONLY = "Reference only: compression ratio above the national ceiling."
SOURCE_IMAGES, DERIVATION_CODES = "SourceImageSequence", "DerivationCodeSequence"
# Of image and series, smallest and largest (PS3.3 C.7.6.3): no longer known.
EXTREMES = ("SmallestImagePixelValue", "LargestImagePixelValue", "SmallestPixelValueInSeries", "LargestPixelValueInSeries")
# Where fragments lie, which only compressed pixels have.
EXTENDED = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "EncapsulatedPixelDataValueTotalLength")
# UIDs of classes, the study and the frame of reference never follow.
NEVER_RENAMED = (0x00080016, 0x00081150, 0x0020000D, 0x00200052)
OWN_NAMES = (0x00080018, 0x0020000E)
# A quarter of a frame of zeros is the ground of an MR image (docs/decisions/0005-near-auto.md); it comes back as it was.
GROUND_SHARE = 0.25


@dataclass
class Statement:
    """What a derived image says of itself, and how far its pixels really are from those sent."""

    source: str
    exact: bool
    decoded: bool = False
    near: int = 0
    stated_error: int = 0
    reference_only: bool = False
    error: int = 0


def statement(pulled: Dataset) -> Statement | None:
    """`None` for an image that came as it was sent."""
    words = str(pulled.get("DerivationDescription", ""))
    sources = pulled.get(SOURCE_IMAGES) or []
    lossy, exact = LOSSY.search(words), EXACT.search(words)
    if not sources or not (lossy or exact):
        return None
    source = str(sources[-1].get("ReferencedSOPInstanceUID", ""))
    if exact:
        return Statement(source, True, exact["decoded"] is not None)
    decoded, reference = lossy["decoded"] is not None, lossy["reference"] is not None
    return Statement(source, False, decoded, int(lossy["near"]), int(lossy["error"]), reference)


def renamed(sent: Dataset, names: dict[str, str]) -> Dataset:
    """The data set as sent, with every reference to a renamed instance or series following."""
    def follow(data_set: Dataset, top: bool) -> None:
        for element in data_set:
            if element.VR == "SQ":
                for item in element.value:
                    follow(item, False)
            elif element.VR == "UI" and element.tag not in NEVER_RENAMED and not (top and element.tag in OWN_NAMES):
                values = [str(value) for value in element.value] if element.VM > 1 else [str(element.value)]
                if any(value in names for value in values):
                    values = [names.get(value, value) for value in values]
                    element.value = values if len(values) > 1 else values[0]
    follow(sent, True)
    return sent


def expected(sent: Dataset, pulled: Dataset, said: Statement) -> Dataset:
    """The data set that `pulled` must be, but for its pixels."""
    made = sent
    own = (str(sent.SOPClassUID), str(sent.SOPInstanceUID))
    made.SOPInstanceUID, made.SeriesInstanceUID = pulled.SOPInstanceUID, pulled.SeriesInstanceUID
    words = str(pulled.DerivationDescription)
    ours = (EXACT if said.exact else LOSSY).search(words)[0]
    made.DerivationDescription = "; ".join(filter(None, (_old(sent, "DerivationDescription"), ours)))
    _append(made, SOURCE_IMAGES, _source_item(*own))
    if said.decoded:
        for name in EXTENDED:
            if name in made:
                delattr(made, name)
    if said.exact:
        return made
    types = [str(value) for value in _values(sent, "ImageType")] or ["DERIVED", "SECONDARY"]
    made.ImageType = ["DERIVED", *types[1:]]
    for item in made.iterall():
        if item.keyword == "FrameType":
            item.value = ["DERIVED", *list(item.value)[1:]]
    _append(made, DERIVATION_CODES, _code("113040", "Lossy Compression"))
    made.LossyImageCompression = "01"
    ratio = [str(value) for value in _values(pulled, "LossyImageCompressionRatio")][-1]
    made.LossyImageCompressionRatio = [*(str(value) for value in _values(sent, "LossyImageCompressionRatio")), ratio]
    made.LossyImageCompressionMethod = [*(str(value) for value in _values(sent, "LossyImageCompressionMethod")), METHOD]
    if said.reference_only:
        made.ImageComments = "; ".join(filter(None, (REFERENCE_ONLY, _old(sent, "ImageComments"))))
    for name in EXTREMES:
        if name in made:
            delattr(made, name)
    return made


def pixel_faults(sent: Dataset, pulled: Dataset, said: Statement) -> list[str]:
    """What is wrong with the pixels; sets `said.error` to the largest difference of stored values."""
    if said.decoded and pulled.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
        return ["pixels were decoded, the transfer syntax is another"]
    one, other = _decoded_samples(sent) if said.decoded else _samples(sent), _samples(pulled)
    if one.shape != other.shape:
        return ["not as many pixels"]
    said.error = int(np.abs(one.astype(np.int64) - other).max(initial=0))
    faults = [f"a pixel is {said.error} off, {said.near} allowed"] if said.error > said.near else []
    padding = _padding(sent)
    frame = max(1, int(sent.Rows) * int(sent.Columns))
    if sent.get("Modality") == "MR":
        zeros = sum(int(part.size) for part in np.split(one, range(frame, one.size, frame)) if (part == 0).mean() >= GROUND_SHARE)
        padding = padding | ({0} if zeros else set())
    if any(((one == value) != (other == value)).any() for value in padding):
        faults.append("padding or ground is not exact")
    return faults


def name_faults(pulled: Dataset, said: Statement) -> list[str]:
    """A derived image's SOP Instance UID follows from its source and its pixels (SPEC 6.3); that of an exact one from source bytes."""
    if said.exact:
        return [] if str(pulled.SOPInstanceUID).startswith("2.25.") else ["SOP Instance UID is not of our root"]
    digest = hashlib.sha256(_pixel_bytes(pulled)).digest()
    number = int.from_bytes(hashlib.sha256(said.source.encode() + b"\0" + digest).digest()[:16], "big")
    return [] if str(pulled.SOPInstanceUID) == f"2.25.{number}" else ["SOP Instance UID is not that of these pixels"]


def _pixel_bytes(data_set: Dataset) -> bytes:
    length = (int(data_set.Rows) * int(data_set.Columns) * int(data_set.get("NumberOfFrames") or 1)
              * int(data_set.SamplesPerPixel) * (int(data_set.BitsAllocated) // 8))
    return bytes(data_set.PixelData)[:length]


def _samples(data_set: Dataset) -> np.ndarray:
    order = "<" if data_set.original_encoding[1] else ">"
    kind = "i" if data_set.PixelRepresentation else "u"
    return np.frombuffer(_pixel_bytes(data_set), f"{order}{kind}{int(data_set.BitsAllocated) // 8}")


def _decoded_samples(data_set: Dataset) -> np.ndarray:
    """By pydicom and its plugins; JPEG lossless, for which it has none that may be used here, by DCMTK."""
    if data_set.file_meta.TransferSyntaxUID in (JPEGLossless, JPEGLosslessSV1):
        with tempfile.TemporaryDirectory() as folder:
            sent, native = Path(folder) / "sent.dcm", Path(folder) / "native.dcm"
            data_set.save_as(sent)
            subprocess.run(["dcmdjpeg", str(sent), str(native)], check=True, capture_output=True, timeout=60)
            return _samples(pydicom.dcmread(native))
    return np.ascontiguousarray(data_set.pixel_array).ravel()


def _padding(data_set: Dataset) -> set[int]:
    values = [int(data_set.get(name)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit") if data_set.get(name) is not None]
    return set(range(min(values), max(values) + 1)) if values else set()


def _old(data_set: Dataset, name: str) -> str:
    return str(data_set.get(name) or "").rstrip()


def _values(data_set: Dataset, name: str) -> list:
    value = data_set.get(name)
    if value is None or value == "":
        return []
    return list(value) if data_set[name].VM > 1 else [value]


def _append(data_set: Dataset, name: str, item: Dataset) -> None:
    items = [deepcopy(old) for old in data_set.get(name) or []]
    data_set[name] = DataElement(pydicom.datadict.tag_for_keyword(name), "SQ", [*items, item])


def _source_item(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
    item.PurposeOfReferenceCodeSequence = [_code("121320", "Uncompressed predecessor")]
    return item


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
