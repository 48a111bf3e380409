"""Files whose text is written in every character set of PS3.3 C.12.1.1.2, by pydicom's codecs and by hand."""

import codecs
from pathlib import Path

import pydicom
from pydicom.charset import ENCODINGS_TO_CODES, convert_encodings, decode_bytes, python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import TEXT_VR_DELIMS

STUDY_DESCRIPTION = Tag(0x00081030)
# Bytes of a row of 94 characters of two bytes.
CELLS = range(0x21, 0x7F)
# One byte a character: the whole upper half.
SINGLE = [100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 13]
# Two bytes a character: Specific Character Set, escape, codec for a pair, whether in G1.
DOUBLE = [
    ("\\ISO 2022 IR 87", b"\x1b$B", False),
    ("\\ISO 2022 IR 159", b"\x1b$(D", False),
    ("\\ISO 2022 IR 149", b"\x1b$)C", True),
    ("\\ISO 2022 IR 58", b"\x1b$)A", True),
]


def test_files() -> list[Path]:
    """pydicom's own files, one for each way to write a name."""
    return sorted((Path(pydicom.__file__).parent / "data/charset_files").glob("chr*.dcm"))


def rows() -> list[tuple[str, bytes]]:
    """(Specific Character Set, value) of every row of every set; cells that the codec does not know are left out."""
    found = []
    for number in SINGLE:
        codec = python_encoding[f"ISO_IR {number}"]
        cells = bytes(byte for byte in range(0xA0, 0x100) if knows(codec, bytes([byte])))
        found.append((f"ISO_IR {number}", cells))
    for terms, escape, upper in DOUBLE:
        codec = next(name for name, code in ENCODINGS_TO_CODES.items() if code == escape)
        bit = 0x80 if upper else 0
        for row in CELLS:
            pairs = [bytes([row | bit, cell | bit]) for cell in CELLS]
            known = b"".join(pair for pair in pairs if knows(codec, pair if upper else escape + pair))
            if known:
                found.append((terms, escape + known + (b"" if upper else b"\x1b(B")))
    for terms in ["GB18030", "GBK"]:
        for lead in range(0x81, 0xFF):
            pairs = [bytes([lead, trail]) for trail in range(0x40, 0xFF) if trail != 0x7F]
            found.append((terms, b"".join(pair for pair in pairs if knows(terms, pair))))
    for start in range(0xA0, 0x10000, 256):
        text = "".join(chr(code) for code in range(start, start + 256) if not 0xD800 <= code < 0xE000)
        found.append(("ISO_IR 192", text.strip().encode()))
    return [(terms, value) for terms, value in found if value]


def knows(codec: str, code: bytes) -> bool:
    try:
        return "\ufffd" not in codecs.decode(code, codec)
    except UnicodeDecodeError:
        return False


def write_rows(folder: Path) -> list[tuple[str, bytes]]:
    """One file for each row, a series of its own, whose Patient ID is the row's place in what is returned."""
    written = [(terms, part) for terms, value in rows() for part in parts(terms, value)]
    for number, (terms, value) in enumerate(written):
        write(folder / f"{number:05}.dcm", terms, value, str(number))
    return written


def write(path: Path, terms: str, description: bytes, patient_id: str = "1") -> None:
    """A file whose Study Description has these bytes, whatever pydicom makes of them."""
    data = Dataset()
    data.SpecificCharacterSet = terms.split("\\")
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID = "1.2.3"
    data.SeriesInstanceUID = generate_uid()
    data.PatientID = patient_id
    # VR UC: a value of any length.
    padded = description + b" " * (len(description) % 2)
    data[STUDY_DESCRIPTION] = RawDataElement(STUDY_DESCRIPTION, "UC", len(padded), padded, 0, False, True)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)


def parts(terms: str, value: bytes) -> list[bytes]:
    """A value in parts that a scan reads whole; UTF-8 rows alone are longer, and these are cut between characters."""
    if len(value) <= 1000:
        return [value]
    text = value.decode(python_encoding[terms])
    half = len(text) // 2
    return [part for side in (text[:half], text[half:]) for part in parts(terms, side.encode(python_encoding[terms]))]


def decoded(terms: str, value: bytes) -> str:
    """What pydicom reads; it leaves the escape to Chinese in the text."""
    return decode_bytes(value, convert_encodings(terms.split("\\")), TEXT_VR_DELIMS).replace("\x1b$)A", "").strip(" \0")
