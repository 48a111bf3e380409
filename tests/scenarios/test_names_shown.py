"""Names in every character set of PS3.5 H, I and J as people read them: on the technician's page and in the doctor's app. The oracle is pydicom's own
decoding of its 17 files."""

from pathlib import Path

import pydicom
import pytest
from lab import page
from peers import charsets, senders
from playwright.sync_api import expect
from pydicom.tag import Tag
from pydicom.valuerep import PersonName

from test_app_viewer import show, wasm  # noqa: F401
from test_page import Desk, desk  # noqa: F401

PATIENT_NAME = Tag(0x00100010)
FILES = charsets.test_files()
NO_NAME = {"ja": "氏名なし", "en": "No name"}


def names(path: Path) -> list[str]:
    """All groups in the order in which they are shown, by pydicom."""
    name = pydicom.dcmread(path, force=True).get("PatientName") or PersonName("")
    return [group.replace("^", " ").strip() for group in (name.ideographic, name.alphabetic, name.phonetic) if group]


def as_a_study(path: Path, folder: Path) -> Path:
    """The same, with ids of its own, so that each can lie at the gateway beside the others. The bytes of the name stay."""
    dataset = pydicom.dcmread(path, force=True)
    name = dataset.get_item(PATIENT_NAME)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = (pydicom.uid.generate_uid() for _ in range(3))
    dataset.SOPClassUID = dataset.get("SOPClassUID") or pydicom.uid.SecondaryCaptureImageStorage
    dataset.PatientID = path.stem
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    written = folder / path.name
    dataset.save_as(written, enforce_file_format=True)
    again = pydicom.dcmread(written).get_item(PATIENT_NAME)
    assert (again and again.value) == (name and name.value), path.name
    return written


@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_way_to_write_a_name_is_right_on_the_page(desk: Desk, tmp_path: Path, language: str) -> None:  # noqa: F811
    assert len(FILES) == 17
    studies = [as_a_study(path, tmp_path) for path in FILES]
    senders.pynetdicom(desk.bench.port, page.HOLD, studies)
    screen = desk.open(language)
    expect(screen.locator(".study")).to_have_count(len(FILES), timeout=30_000)
    expect(screen.locator(".study .picture")).to_have_count(len(FILES), timeout=30_000)
    rows = screen.locator(".study").evaluate_all("""rows => rows.map((row) => [row.querySelector('.id bdi').textContent,
        [row.querySelector('.name'), ...row.querySelectorAll('.other')].map((name) => name.textContent), row.dataset.name])""")
    shown = {stem: groups for stem, groups, _ in rows}
    expected = {path.stem: names(path) or [NO_NAME[language]] for path in FILES}
    assert shown == expected
    assert {stem: name for stem, _, name in rows} == {stem: groups[0] for stem, groups in expected.items()}
    assert sum(len(groups) > 1 for groups in expected.values()) == 5 and sum(groups == [NO_NAME[language]] for groups in expected.values()) == 2
    # On the button that sends it, beside the doctor's name.
    for stem, groups in expected.items():
        screen.locator(".study", has=screen.get_by_text(stem, exact=True)).locator("input[name=study]").check()
        assert screen.locator("#whom bdi").first.text_content() == f"{groups[0]}  ID {stem}"
    desk.sees_no_fault(screen, f"names-{language}")


@pytest.mark.parametrize("path", [path for path in FILES if "PixelData" in pydicom.dcmread(path, force=True)], ids=lambda path: path.stem)
def test_every_way_to_write_a_name_is_right_in_the_app(show, tmp_path: Path, path: Path) -> None:  # noqa: F811
    folder = tmp_path / "study"
    folder.mkdir()
    as_a_study(path, folder)
    shown = show(folder, language="ja-JP")
    shown.here()
    first, *others = names(path)
    heading = shown.page.locator(".who h1")
    assert heading.text_content() == first + " ".join(others)
    assert heading.locator(".other").all_text_contents() == ([" ".join(others)] if others else [])
    assert not shown.page.refused
