"""Names and descriptions in every character set of DICOM: right in the manifest, shown where asked for, and untouched in the files."""

import json
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from lab import programs
from peers import charsets

# Elements that a banner has beside the name.
TEXTS = {
    "patient_id": "PatientID",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "accession": "AccessionNumber",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "body_part": "BodyPartExamined",
    "protocol": "ProtocolName",
    "image_type": "ImageType",
}

# (set, what pydicom reads, what the manifest holds).
OTHERWISE = {
    # The middle dot of foreign names and the dash, as GBK and today's fonts have them.
    ("\\ISO 2022 IR 58", "\u30fb", "\u00b7"),
    ("\\ISO 2022 IR 58", "\u2015", "\u2014"),
    # GB 18030-2022 names characters of Unicode where the edition of 2000, which Python has, had private ones.
    ("GB18030", "\ue5e5", "\u3000"),
    *(("GB18030", chr(0xE78D + place), char) for place, char in enumerate("︐︒︑︓︔︕︖︗︘︙")),
    ("GB18030", "\ue7c7", "\u1e3f"),
    *(("GB18030", chr(code), chr(0x9FB4 + place)) for place, code in enumerate([0xE81E, 0xE826, 0xE82B, 0xE82C, 0xE832, 0xE843, 0xE854, 0xE864])),
}


def pack(*arguments: object) -> str:
    return subprocess.run([programs.program("scanpost-pack"), *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def banners(bundle: Path) -> list[dict[str, str]]:
    return [series["banner"] for series in json.loads(pack("info", "--banner", "--json", bundle))["series"]]


def test_files_of_every_way_to_write_a_name(tmp_path: Path):
    """The 17 files that pydicom tests its own reading with (PS3.5 H, I, J, K and the European sets)."""
    files = charsets.test_files()
    assert len(files) == 17
    for path in files:
        bundle, folder = tmp_path / f"{path.stem}.bundle", tmp_path / path.stem
        pack("encode", path, bundle)
        (found,) = banners(bundle)
        data = pydicom.dcmread(path, force=True)
        name = data.get("PatientName") or PersonName("")
        expected = {
            "name_alphabetic": name.alphabetic,
            "name_ideographic": name.ideographic,
            "name_phonetic": name.phonetic,
            **{field: "\\".join(value if isinstance(value := data.get(keyword) or "", MultiValue) else [str(value)]) for field, keyword in TEXTS.items()},
        }
        assert found == {field: text for field, text in expected.items() if text}, path.name
        pack("decode", bundle, folder)
        (back,) = [file for file in folder.rglob("*") if file.is_file()]
        assert back.read_bytes() == path.read_bytes(), path.name


def test_every_character_of_every_set(tmp_path: Path):
    """Each row of each table, as a description: what pydicom reads is what the manifest holds, but for what is listed here with its reason."""
    folder, bundle = tmp_path / "rows", tmp_path / "rows.bundle"
    folder.mkdir()
    rows = charsets.write_rows(folder)
    pack("encode", folder, bundle)
    found = {int(banner["patient_id"]): banner.get("study_description", "") for banner in banners(bundle)}
    assert len(found) == len(rows)
    differ = []
    characters = 0
    for number, (terms, value) in enumerate(rows):
        expected = charsets.decoded(terms, value)
        characters += len(expected)
        assert len(expected) == len(found[number]), (terms, value)
        differ += [(terms, theirs, ours) for theirs, ours in zip(expected, found[number]) if theirs != ours]
    print(f"{characters} characters in {len(rows)} rows, {len(differ)} read in another way than pydicom")
    unexpected = [other for other in differ if other not in OTHERWISE]
    assert unexpected == [] and set(differ) == OTHERWISE


def test_without_being_asked_no_name_is_shown(tmp_path: Path):
    path = next(path for path in charsets.test_files() if path.stem == "chrH31")
    bundle = tmp_path / "bundle"
    said = pack("encode", path, bundle) + pack("info", bundle) + pack("info", "--json", bundle)
    assert "Yamada" not in said and "山田" not in said
    assert "山田^太郎" in pack("info", "--banner", bundle)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("A" * 65_000, "A" * 64 + "…"), ("A\x1b[2JB\u202eC", "A\ufffd[2JB\ufffdC")],
    ids=["long", "steering"],
)
def test_a_hostile_name_is_bounded_and_harmless_on_the_screen(tmp_path: Path, name: str, shown: str):
    path, bundle = tmp_path / "hostile.dcm", tmp_path / "bundle"
    charsets.write(path, "ISO_IR 192", name.encode())
    pack("encode", path, bundle)
    (line,) = [line for line in pack("info", "--banner", bundle).splitlines() if "study_description" in line]
    assert line.strip() == f"study_description: {shown}"
    assert len(banners(bundle)[0]["study_description"]) <= 1025
