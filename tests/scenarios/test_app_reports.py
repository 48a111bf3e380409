"""Reports and documents in the app: every word of a structured report is on the screen or said not to be, whatever wrote it, and a PDF leaves byte for byte."""

import json
import re
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab.webkit import WebKit
from playwright.sync_api import Page, expect
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (BasicTextSRStorage, ComprehensiveSRStorage, CTImageStorage, EncapsulatedCDAStorage, EncapsulatedPDFStorage, EncapsulatedSTLStorage, ExplicitVRBigEndian,
                         ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage, XRayRadiationDoseSRStorage)

import harness
from test_app_viewer import PHONE, Shown, image, show, smooth, until, wasm  # noqa: F401
from test_app_webkit import served, webkit  # noqa: F401
from test_app_webkit import until as in_webkit

PYDICOM = Path(pydicom.__file__).parent / "data/test_files"
CT = {"Modality": "CT", "SOPClassUID": CTImageStorage, "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 0, "WindowWidth": 1500}
# Of a report of 20,000 items on a busy machine.
OPENING_MS = 60_000
# A file of no patient, which every reader takes.
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, scheme, meaning
    return one


def item(relation: str, kind: str | None, name: str | None = None, children: list[Dataset] | None = None, **values: object) -> Dataset:
    """A content item (PS3.3 C.17.3)."""
    one = Dataset()
    one.RelationshipType = relation
    if kind:
        one.ValueType = kind
    if name:
        one.ConceptNameCodeSequence = Sequence([code("1", "99TEST", name)])
    if kind == "CONTAINER":
        one.ContinuityOfContent = "SEPARATE"
    for keyword, value in values.items():
        setattr(one, keyword, value)
    if children:
        one.ContentSequence = Sequence(children)
    return one


def number(relation: str, name: str, value: str, unit: tuple[str, str, str], children: list[Dataset] | None = None) -> Dataset:
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = Sequence([code(*unit)])
    measured.NumericValue = value
    return item(relation, "NUM", name, children, MeasuredValueSequence=Sequence([measured]))


def reference(class_uid: str, uid: str, frames: list[int] | None = None) -> Sequence:
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = class_uid, uid
    if frames:
        one.ReferencedFrameNumber = frames
    return Sequence([one])


def base(class_uid: str, name: str, modality: str, **elements: object) -> Dataset:
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 192"
    one.SOPClassUID, one.SOPInstanceUID = class_uid, f"1.2.3.7.{zlib.crc32(name.encode())}"
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", f"1.2.3.8.{zlib.crc32((name + modality).encode())}"
    one.PatientName, one.PatientID, one.Modality, one.InstanceNumber, one.SeriesNumber = "Test^One", "T-1", modality, 1, 9
    one.PatientBirthDate, one.PatientSex, one.StudyDate, one.StudyTime, one.AccessionNumber, one.StudyID, one.ReferringPhysicianName = "", "", "20240412", "101112", "", "", ""
    one.ContentDate, one.ContentTime = "20240412", "101112"
    for keyword, value in elements.items():
        setattr(one, keyword, value)
    return one


def report(name: str, children: list[Dataset], class_uid: str = ComprehensiveSRStorage, **elements: object) -> Dataset:
    one = base(class_uid, name, "SR", **{"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED", "PerformedProcedureCodeSequence": Sequence(), "ReferencedPerformedProcedureStepSequence": Sequence(), **elements})
    one.ValueType, one.ContinuityOfContent, one.ConceptNameCodeSequence = "CONTAINER", "SEPARATE", Sequence([code("18748-4", "LN", name)])
    one.ContentSequence = Sequence(children)
    return one


def document(name: str, file: bytes, class_uid: str = EncapsulatedPDFStorage, kind: str = "application/pdf", length: int | None = 0, **elements: object) -> Dataset:
    """`length`: 0 for that of the file, None for none."""
    one = base(class_uid, name, "DOC", **{"DocumentTitle": name, "ConceptNameCodeSequence": Sequence(), "MIMETypeOfEncapsulatedDocument": kind, "BurnedInAnnotation": "YES", **elements})
    one.EncapsulatedDocument = file + b"\0" * (len(file) % 2)
    if length is not None:
        one.EncapsulatedDocumentLength = length or len(file)
    return one


def save(folder: Path, one: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    one.file_meta = FileMetaDataset()
    one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID, one.file_meta.TransferSyntaxUID = one.SOPClassUID, one.SOPInstanceUID, syntax
    path = folder / f"{one.SOPInstanceUID}.dcm"
    pydicom.dcmwrite(path, one, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=syntax != ExplicitVRBigEndian)
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def pictures(folder: Path, count: int = 3, **elements: object) -> list[str]:
    """SOP Instance UIDs of some slices."""
    for place in range(1, count + 1):
        image(folder, f"ct{place}.dcm", "AXIAL", (smooth(64, 64, 900, place) + 200).astype(np.int16), place, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 2.0 * place], SeriesNumber=3,
              **CT | elements)
    return [f"1.2.3.{place}.{zlib.crc32(b'AXIAL')}" for place in range(1, count + 1)]


def listed(page: Page) -> list[str]:
    expect(page.locator(".documents li").first).to_be_visible()
    expect(page.locator(".documents > p")).to_have_count(0)
    return [one.replace("\n", " · ") for one in page.locator(".documents li").all_inner_texts()]


def opened(shown: Shown, name: str | None = None) -> Page:
    """The screen of a document, once its content is here."""
    button = shown.page.locator(".documents button").filter(has=shown.page.locator(".name", has_text=name)) if name else shown.page.locator(".documents button").first
    button.click()
    expect(shown.page.locator(".paper .body:not([aria-busy])")).to_be_visible(timeout=OPENING_MS)
    return shown.page


# Headings and terms in their order, each with what stands as its value; what is in a list inside a value stands for itself.
READ = """[...document.querySelectorAll('.body h3, .body h4, .body h5, .body h6, .body dl:not(.people) > dt')].map((one) => {
  const value = one.tagName === 'DT' ? [...one.nextElementSibling.children].filter((child) => !['DL', 'SECTION', 'DETAILS'].includes(child.tagName) && !child.classList.contains('moment')).map((child) => child.textContent).join(' ') : '';
  return { relation: one.querySelector('.relation')?.textContent ?? '', name: [...one.children].filter((child) => child.className === '').map((child) => child.textContent).join(''), value, at: (one.querySelector('.moment') ?? (one.tagName === 'DT' ? one.nextElementSibling.querySelector(':scope > .moment') : null))?.textContent ?? '' };
})"""
RELATIONS = {"contains": "", "has obs context": "observation context", "has concept mod": "modifier", "has properties": "property", "has acq context": "acquisition context", "inferred from": "inferred from",
             "selected from": "selected from"}
LINE = re.compile(r'^ *<(?P<relation>[a-z ]+?) (?:(?P<kind>[A-Z]+3?D?):(?:\(,,"(?P<name>[^"]*)"\))?=(?P<value>.*?)|(?P<place>[\d.]+))>(?: \{(?P<at>[^}]*)\})?$')
UNREAD = {"IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D", "TCOORD", "TABLE"}


def dumped(path: Path) -> list[dict]:
    """The items below the root as DCMTK reads them."""
    text = subprocess.run(["dsrdump", "-Ph", "-Er", "-Ev", "-Ec", "+Pl", "+Pu", "+U8", path], capture_output=True, check=True).stdout.decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip().startswith("<")]
    found = [LINE.match(line) for line in lines[1:]]
    assert all(found), [line for line, one in zip(lines[1:], found, strict=True) if not one]
    return [one.groupdict() for one in found]


def value_of(one: dict) -> str | None:
    """As the app shows it; None where it says in words that it does not."""
    kind, value = one["kind"], one["value"]
    if one["place"] or kind in UNREAD:
        return None
    if kind == "CONTAINER":
        return ""
    if kind == "CODE":
        return re.match(r'\(.*?,"(.*)"\)$', value)[1]
    text = re.match(r'"(.*?)"(?: \((?P<unit>[^,]*),(?P<scheme>[^,]*),"(?P<meaning>.*)"\))?$', value, re.S)
    words = re.sub(r"\\r\\n|\\r|\\n", "\n", text[1])
    if kind == "NUM":
        unit = text["unit"] if text["scheme"] == "UCUM" else text["meaning"]
        return f"{words} {unit}" if (text["unit"], text["scheme"]) != ("1", "UCUM") else words
    if kind == "DATE":
        return re.sub(r"(\d{4})(\d\d)(\d\d)", r"\1-\2-\3", words)
    if kind == "TIME":
        return re.sub(r"(\d\d)(\d\d)(\d\d)", r"\1:\2:\3", words)
    if kind == "DATETIME":
        return re.sub(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", r"\1-\2-\3 \4:\5:\6", words)
    return " ".join(part for part in words.split("^") if part) if kind == "PNAME" else words


def compare(page: Page, path: Path) -> int:
    """What is on the screen with what DCMTK reads, item by item and in their order."""
    found, expected = page.evaluate(READ), dumped(path)
    assert len(found) == len(expected), ([one["name"] for one in found], expected)
    for one, other in zip(found, expected, strict=True):
        assert one["relation"] == RELATIONS[other["relation"]], (one, other)
        if other["name"]:
            assert one["name"] == other["name"], (one, other)
        value = value_of(other)
        if value is None:
            assert one["value"], (one, other)
        else:
            assert one["value"].rstrip() == value.rstrip(), (one, other)
        if other["at"]:
            assert one["at"].startswith(other["at"]), (one, other)
    return len(found)


@pytest.mark.parametrize(("name", "least"), [("test-SR.dcm", 27), ("reportsi.dcm", 8)])
def test_every_item_stands_as_dcmtk_reads_it(show, files: Path, tmp_path: Path, name: str, least: int) -> None:  # noqa: F811
    (files / name).write_bytes((PYDICOM / name).read_bytes())
    shown = show(files)
    page = opened(shown)
    assert compare(page, files / name) >= least
    page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    assert not harness.barriers(page)
    assert not page.refused, page.refused


def dose(events: int) -> list[Dataset]:
    mgy, kv = ("mGy", "UCUM", "mGy"), ("kV", "UCUM", "kV")
    one = lambda place: item("CONTAINS", "CONTAINER", f"Irradiation Event {place}", [  # noqa: E731
        item("CONTAINS", "CODE", "Target Region", ConceptCodeSequence=Sequence([code("T-D4000", "SRT", "Abdomen")])), number("CONTAINS", "Dose (RP)", f"{place}.25", mgy),
        number("CONTAINS", "KVP", "120", kv), number("CONTAINS", "Number of Pulses", str(place), ("1", "UCUM", "no units")), item("CONTAINS", "UIDREF", "Event UID", UID=f"1.2.3.{place}"),
        *(item("CONTAINS", "TEXT", f"Comment {n}", TextValue=f"event {place} line {n}") for n in range(8))])
    return [item("HAS OBS CONTEXT", "PNAME", "Observer", PersonName="Sato^Hana^^Dr"), *map(one, range(1, events + 1))]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_a_dose_report_is_read_in_every_encoding(show, files: Path, syntax: str) -> None:  # noqa: F811
    path = save(files, report("X-Ray Radiation Dose Report", dose(4), XRayRadiationDoseSRStorage), syntax)
    page = opened(show(files))
    assert compare(page, path) == 1 + 4 * 14
    expect(page.locator(".paper")).to_contain_text("Dose report")
    assert not page.refused, page.refused


def test_a_long_report_is_closed_by_sections_and_holds_all_of_it(show, files: Path) -> None:  # noqa: F811
    """Above 64 KiB the content is the bulk value of the bundle (spec-bundle 1.2)."""
    path = save(files, report("X-Ray Radiation Dose Report", dose(60), XRayRadiationDoseSRStorage))
    shown = show(files)
    assert any(one["kind"] == "opaque" for one in shown.told["segments"]), "it was to be long"
    page = opened(shown)
    expect(page.locator(".body details")).to_have_count(60)
    expect(page.locator(".body details").first).to_contain_text("13 items")
    assert page.locator(".body dt").count() < 20, "closed ones are not made"
    page.locator("summary").nth(6).click()
    expect(page.get_by_text("event 7 line 3")).to_be_visible()
    page.evaluate("document.querySelectorAll('.body details').forEach((one) => { one.open = true; })")
    until(lambda: page.locator(".body dt").count() == 1 + 60 * 13)
    assert compare(page, path) == 1 + 60 * 14


JAPANESE = "右下葉に径23 mmの結節を認める。\n肺癌を疑う。①ｶﾀｶﾅ"


@pytest.mark.parametrize(("terms", "codec"), [(["", "ISO 2022 IR 87"], "iso2022_jp"), (["ISO 2022 IR 13", "ISO 2022 IR 87"], "iso2022_jp"), (["ISO_IR 192"], "utf8"), (["GB18030"], "gb18030"), (["ISO_IR 100"], "latin1")])
def test_texts_stand_in_their_character_set(show, files: Path, tmp_path: Path, terms: list[str], codec: str) -> None:  # noqa: F811
    text = {"latin1": "Größe 3 µm, señal", "gb18030": "右下肺叶结节，直径23毫米。", "iso2022_jp": JAPANESE.replace("①ｶﾀｶﾅ", "")}.get(codec, JAPANESE)
    one = report(text.split("\n")[0][:20], [item("CONTAINS", "CONTAINER", text[:6], [item("CONTAINS", "TEXT", text[2:9], TextValue=text), item("HAS OBS CONTEXT", "PNAME", "O", PersonName="Yamada^Tarou=山田^太郎=やまだ^たろう" if codec == "iso2022_jp" else "A^B")])],
                 BasicTextSRStorage, SpecificCharacterSet=terms)
    save(files, one)
    page = opened(show(files, language="ja-JP"))
    assert page.locator(".body .words").evaluate("one => one.textContent") == text
    expect(page.locator("h2")).to_have_text(text.split("\n")[0][:20])
    expect(page.locator("h3")).to_have_text(text[:6])
    if codec == "iso2022_jp":
        expect(page.locator(".body")).to_contain_text("山田 太郎 · Yamada Tarou · やまだ たろう")
    for words in ("完成", "未承認", "レポート", "観察の背景"):
        expect(page.locator(".paper")).to_contain_text(words)
    page.screenshot(path=tmp_path / f"{codec}.png")
    assert not harness.barriers(page)


def test_what_is_in_doubt_stands_on_top_and_in_the_list(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    pictures(files)
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerifyingOrganization, observer.VerificationDateTime = "Kato^Jiro", "Hospital", "20240412111213+0900"
    author = Dataset()
    author.ObserverType, author.PersonName, author.InstitutionName = "PSN", "Mori^Ken", "Clinic"
    words = [item("CONTAINS", "TEXT", "Finding", TextValue="Nothing")]
    save(files, report("Doubtful", words, CompletionFlag="PARTIAL", PreliminaryFlag="PRELIMINARY", CompletionFlagDescription="waits for CT", TimezoneOffsetFromUTC="+0900"))
    save(files, report("Certain", words, VerificationFlag="VERIFIED", PreliminaryFlag="FINAL", VerifyingObserverSequence=Sequence([observer]), AuthorObserverSequence=Sequence([author]), ContentTime="090000"))
    save(files, report("Silent", words, CompletionFlag="", VerificationFlag="ODD", ContentDate="20240411"))
    shown = show(files)
    assert listed(shown.page) == ["Doubtful · Report · SR · 2024-04-12 10:11 +0900 · Preliminary · Incomplete · Not verified", "Certain · Report · SR · 2024-04-12 09:00",
                                  "Silent · Report · SR · 2024-04-11 10:11 · Does not say whether it is complete · ODD"]
    page = opened(shown, "Doubtful")
    assert page.locator(".marks-of li").all_inner_texts() == ["Preliminary", "Incomplete", "Not verified", "waits for CT"]
    assert page.locator(".marks-of").bounding_box()["y"] < page.locator(".body").bounding_box()["y"]
    page.get_by_role("button", name="Back to the images").click()
    expect(page.locator(".documents button", has_text="Doubtful")).to_be_focused()
    page = opened(shown, "Certain")
    assert page.locator(".marks-of li").all_inner_texts() == ["Final", "Complete", "Verified"]
    assert page.locator(".people").inner_text().split("\n") == ["Verified by", "Kato Jiro · Hospital · 2024-04-12 11:12:13 +0900", "Author", "Mori Ken · Clinic"]
    page.screenshot(path=tmp_path / "certain.png")


def test_references_lead_to_images_items_and_documents(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    first, second, _ = pictures(files)
    state = reference(CTImageStorage, second)
    state[0].ReferencedSOPSequence = reference("1.2.840.10008.5.1.4.1.1.11.1", "1.2.9")
    named = save(files, report("Named", [item("CONTAINS", "TEXT", "Finding", TextValue="in the other one")]))
    uid = pydicom.dcmread(named).SOPInstanceUID
    region = item("INFERRED FROM", "SCOORD", "Outline", [item("SELECTED FROM", "IMAGE", None, ReferencedSOPSequence=reference(CTImageStorage, first))], GraphicType="POLYLINE", GraphicData=[1.0, 2.0, 3.0, 4.0, 1.0, 2.0])
    places = Dataset()
    places.RelationshipType, places.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1, 1]
    lost = Dataset()
    lost.RelationshipType, lost.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 19]
    save(files, report("Leading", [
        item("CONTAINS", "CONTAINER", "Findings", [number("CONTAINS", "Diameter", "23.4", ("mm", "UCUM", "millimeter"), [region])]),
        item("CONTAINS", "CODE", "Conclusion", [places, lost], ConceptCodeSequence=Sequence([code("1", "99TEST", "Nodule")])),
        item("CONTAINS", "IMAGE", "Seen on", ReferencedSOPSequence=state), item("CONTAINS", "IMAGE", "Elsewhere", ReferencedSOPSequence=reference(CTImageStorage, "1.2.99")),
        item("CONTAINS", "COMPOSITE", "Report", ReferencedSOPSequence=reference(ComprehensiveSRStorage, uid)), item("CONTAINS", "COMPOSITE", "Plan", ReferencedSOPSequence=reference("1.2.5", "1.2.98")),
        item("CONTAINS", "WAVEFORM", "ECG", ReferencedSOPSequence=reference("1.2.6", "1.2.97")), item("CONTAINS", "TCOORD", "Beat", TemporalRangeType="POINT", ReferencedTimeOffsets=["1.5", "2"]),
        item("CONTAINS", "NOVELTY", "New")]))
    shown = show(files)
    shown.whole()
    page = opened(shown, "Leading")
    expect(page.locator(".body > .notice")).to_have_text("Not shown here: regions on images (1), presentation states (1), images (1), objects (1), waveforms (1), ranges of time (1), items of unknown types (1). Open the case on a workstation for it.")
    page.screenshot(path=tmp_path / "leading.png", full_page=True)
    assert not harness.barriers(page)
    expect(page.locator(".body")).to_contain_text("a region of 3 points, not drawn")
    expect(page.locator(".body")).to_contain_text("its presentation state is not applied")
    expect(page.locator(".body")).to_contain_text("an image that is not in this case")
    expect(page.locator(".body")).to_contain_text("points to an item that is not there")
    expect(page.locator(".body")).to_contain_text("an item of an unknown type, not shown: NOVELTY")
    page.get_by_role("button", name="see “Diameter: 23.4 mm”").click()
    expect(page.locator("dt", has_text="Diameter")).to_be_focused()
    for name, instance, corner in (("AXIAL · image 2", second, "2 / 3"), ("AXIAL · image 1", first, "1 / 3")):
        page.locator(".sheet").evaluate("one => { one.scrollTop = 90; }")
        top = page.locator(".sheet").evaluate("one => one.scrollTop")
        page.get_by_role("button", name=name).click()
        expect(page.locator(".paper")).to_be_hidden()
        expect(page.locator(".corner")).to_contain_text(corner)
        assert page.evaluate("viewer.pane.stack.series.instances[viewer.pane.frame.instance]") == instance
        assert not harness.barriers(page)
        page.get_by_role("button", name="Back to the report").click()
        expect(page.locator(".viewer")).to_be_hidden()
        expect(page.get_by_role("button", name=name)).to_be_focused()
        assert page.locator(".sheet").evaluate("one => one.scrollTop") == top
    page.get_by_role("button", name="Named", exact=True).click()
    expect(page.locator(".paper:not([hidden]) .words")).to_have_text("in the other one")
    page.get_by_role("button", name="Back to the report").click()
    expect(page.locator("h2")).to_have_text("Leading")
    expect(page.get_by_role("button", name="Named", exact=True)).to_be_focused()
    # Another one from the list, while an image is seen: nothing is left under it.
    page.get_by_role("button", name="AXIAL · image 2").click()
    opened(shown, "Named")
    page.keyboard.press("Escape")
    expect(page.locator(".paper")).to_have_count(0)
    expect(page.locator(".viewer")).to_be_visible()
    assert not page.refused, page.refused


def evidence(instances: int) -> Sequence:
    """Current Requested Procedure Evidence Sequence (PS3.3 C.17.2.3) of so many images."""
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.4", Sequence([reference(CTImageStorage, f"1.2.826.0.1.3680043.8.498.1234567890123456.{n:08}")[0] for n in range(instances)])
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.2.3", Sequence([series])
    return Sequence([study])


def predecessors(uid: str) -> Sequence:
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.4", reference(ComprehensiveSRStorage, uid)
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.2.3", Sequence([series])
    return Sequence([study])


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_list_and_screen_say_what_stands_behind_a_long_value(show, files: Path, syntax: str) -> None:  # noqa: F811
    pictures(files)
    save(files, report("Verified", [item("CONTAINS", "TEXT", "Finding", TextValue="words")], VerificationFlag="VERIFIED", PreliminaryFlag="PRELIMINARY", CurrentRequestedProcedureEvidenceSequence=evidence(700)), syntax)
    shown = show(files)
    assert any(one["kind"] == "opaque" for one in shown.told["segments"]) == (syntax != DeflatedExplicitVRLittleEndian), "it was to be long"
    assert listed(shown.page) == ["Verified · Report · SR · 2024-04-12 10:11 · Preliminary"]
    page = opened(shown)
    assert page.locator(".marks-of li").all_inner_texts() == ["Preliminary", "Complete", "Verified"]


def test_what_the_list_cannot_read_is_known_once_it_is_opened(show, files: Path) -> None:  # noqa: F811
    """Deflated and above 1 MiB only the beginning comes with the headers (spec-bundle 1.2)."""
    pictures(files)
    noise = np.random.default_rng(7).integers(33, 126, 2 << 20, np.uint8).tobytes().decode()
    one = report("Long", [item("CONTAINS", "TEXT", "Finding", TextValue="words")], VerificationFlag="VERIFIED")
    one.add_new(0x00290010, "LO", "TEST")
    one.add_new(0x00291001, "UT", noise)
    save(files, one, DeflatedExplicitVRLittleEndian)
    shown = show(files)
    assert listed(shown.page) == ["Report · Report · SR · 2024-04-12 10:11 · not known until it is opened"]
    page = opened(shown)
    expect(page.locator("h2")).to_have_text("Long")
    assert page.locator(".marks-of li").all_inner_texts() == ["Complete", "Verified"]
    page.keyboard.press("Escape")
    assert listed(shown.page) == ["Long · Report · SR · 2024-04-12 10:11"]
    expect(page.locator(".documents button")).to_be_focused()


def test_a_document_that_was_replaced_does_not_look_current(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    pictures(files)
    words = lambda text: [item("CONTAINS", "TEXT", "Finding", TextValue=text)]  # noqa: E731
    old = report("Chest", words("no nodule"), VerificationFlag="VERIFIED")
    save(files, old)
    new = report("Chest amended", words("a nodule"), VerificationFlag="VERIFIED", ContentTime="120000", PredecessorDocumentsSequence=predecessors(old.SOPInstanceUID))
    save(files, new, ImplicitVRLittleEndian)
    save(files, report("Elsewhere", words("x"), VerificationFlag="VERIFIED", ContentTime="090000", PredecessorDocumentsSequence=predecessors("1.2.99")))
    shown = show(files)
    assert listed(shown.page) == ["Chest amended · Report · SR · 2024-04-12 12:00", "Chest · Report · SR · 2024-04-12 10:11 · replaced or continued by “Chest amended 2024-04-12 12:00”", "Elsewhere · Report · SR · 2024-04-12 09:00"]
    page = opened(shown, "Chest amended")
    expect(page.locator(".sheet")).to_contain_text("This follows or replaces earlier documents (1).")
    page.get_by_role("button", name="Chest · 2024-04-12 10:11").click()
    seen = page.locator(".paper:not([hidden])")
    expect(seen.locator(".words")).to_have_text("no nodule")
    assert seen.locator(".marks-of li").all_inner_texts() == ["replaced or continued by “Chest amended 2024-04-12 12:00”", "Complete", "Verified"]
    page.screenshot(path=tmp_path / "replaced.png")
    assert not harness.barriers(page)
    seen.get_by_role("button", name="Chest amended · 2024-04-12 12:00").click()
    expect(page.locator(".paper")).to_have_count(1)
    expect(page.locator("h2")).to_have_text("Chest amended")
    page.keyboard.press("Escape")
    page = opened(shown, "Elsewhere")
    expect(page.locator(".sheet")).to_contain_text("This follows or replaces earlier documents (1).")
    expect(page.locator(".sheet .chip")).to_have_count(0)


def test_a_series_that_cannot_be_read_takes_no_other_with_it(show, files: Path) -> None:  # noqa: F811
    pictures(files)
    for name in ("First", "Second"):
        save(files, report(name, [item("CONTAINS", "TEXT", "Finding", TextValue="words")]))

    def mistake(told: dict) -> None:
        first = next(one for one in told["series"] if one["whole"])
        first["transferSyntax"] = "no UID"

    shown = show(files, change=mistake)
    assert len(listed(shown.page)) == 1
    expect(shown.page.locator(".others")).to_have_text("1 more that cannot be shown here")


def test_a_button_to_an_item_says_it_with_unit_and_to_its_end_or_that_it_is_cut(show, files: Path) -> None:  # noqa: F811
    def to(*place: int) -> Dataset:
        one = Dataset()
        one.RelationshipType, one.ReferencedContentItemIdentifier = "INFERRED FROM", list(place)
        return one

    long = "𠮷" * 90 + " is not seen"
    save(files, report("Pointing", [number("CONTAINS", "Diameter", "23.4", ("mm", "UCUM", "millimeter")), item("CONTAINS", "DATETIME", "Begun", DateTime="20240412101112"),
                                    item("CONTAINS", "TIME", "Ended", Time="1112"), item("CONTAINS", "TEXT", "Mass", TextValue=long),
                                    item("CONTAINS", "CODE", "Conclusion", [to(1, 1), to(1, 2), to(1, 3), to(1, 4)], ConceptCodeSequence=Sequence([code("1", "99TEST", "Nodule")]))], TimezoneOffsetFromUTC="+0900"))
    page = opened(show(files))
    assert page.locator(".body .chip").all_inner_texts() == ["see “Diameter: 23.4 mm”", "see “Begun: 2024-04-12 10:11:12 +0900”", "see “Ended: 11:12 +0900”", "see “" + f"Mass: {long}"[:80] + "…”"]


def test_no_item_vanishes_without_a_word(show, files: Path) -> None:  # noqa: F811
    save(files, report("Empty", [item("CONTAINS", "IMAGE", "Seen on", ReferencedSOPSequence=Sequence()), item("CONTAINS", "COMPOSITE", "Plan")]))
    alone = report("Alone", [])
    alone.ValueType, alone.TextValue = "TEXT", "PE"
    save(files, alone)
    shown = show(files)
    page = opened(shown, "Empty")
    expect(page.locator(".body > .notice")).to_have_text("Not shown here: images (1), objects (1). Open the case on a workstation for it.")
    assert page.locator(".body dd").all_inner_texts() == ["no value", "no value"]
    page.keyboard.press("Escape")
    page = opened(shown, "Alone")
    expect(page.locator(".body .words")).to_have_text("PE")
    expect(page.locator(".body")).not_to_contain_text("no content")


def test_who_wrote_it_is_told_also_where_it_was_a_machine(show, files: Path) -> None:  # noqa: F811
    machine = Dataset()
    machine.ObserverType, machine.Manufacturer, machine.ManufacturerModelName, machine.StationName = "DEV", "Maker", "Finder", "CAD 1"
    people = [Dataset() for _ in range(40)]
    for n, one in enumerate(people):
        one.ObserverType, one.PersonName = "PSN", f"Author^{n}"
    save(files, report("Written", [item("CONTAINS", "TEXT", "Finding", TextValue="words")], AuthorObserverSequence=Sequence([machine, *people])))
    page = opened(show(files))
    told = page.locator(".people dd").all_inner_texts()
    assert (told[0], told[1], told[-1], len(told)) == ("Device: Maker Finder CAD 1", "Author 0", "9 more", 33)


def test_documents_that_look_alike_are_told_apart(show, files: Path) -> None:  # noqa: F811
    words = [item("CONTAINS", "TEXT", "Finding", TextValue="words")]
    for n in (1, 2):
        save(files, report("Same", words, SOPInstanceUID=f"1.2.3.7.{n}", SeriesInstanceUID="1.2.3.99", InstanceNumber=n, ContentTime=f"10111{n}"))
    save(files, report("Other", words))
    assert sorted(listed(show(files).page)) == ["Other · Report · SR · 2024-04-12 10:11 · Not verified", *(f"Same · Report · SR · 2024-04-12 10:11 · 10:11:1{n} · no. {n} · Not verified" for n in (1, 2))]


def test_key_objects_name_their_images(show, files: Path) -> None:  # noqa: F811
    _, second, _ = pictures(files)
    one = report("For Referring Provider", [item("CONTAINS", "TEXT", "Key Object Description", TextValue="nodule"), item("CONTAINS", "IMAGE", None, ReferencedSOPSequence=reference(CTImageStorage, second))],
                 KeyObjectSelectionDocumentStorage, Modality="KO")
    del one.CompletionFlag, one.VerificationFlag
    save(files, one)
    shown = show(files)
    shown.whole()
    assert listed(shown.page) == ["For Referring Provider · Key object selection · KO · 2024-04-12 10:11"]
    page = opened(shown)
    page.get_by_role("button", name="AXIAL · image 2").click()
    assert page.evaluate("viewer.pane.stack.series.instances[viewer.pane.frame.instance]") == second


def test_a_case_of_one_report_alone_shows_it_and_tells_that_it_was_seen(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    save(files, report("Alone", [item("CONTAINS", "TEXT", "Finding", TextValue="words")]))
    page = show(files).page
    assert listed(page) == ["Alone · Report · SR · 2024-04-12 10:11 · Not verified"]
    expect(page.locator("h1")).to_contain_text("Test One")
    expect(page.locator(".stages")).to_be_hidden()
    expect(page.locator(".others")).to_be_hidden()
    assert page.evaluate("window.shownAt") is None and page.evaluate("window.scrollableAt > 0")
    page.screenshot(path=tmp_path / "alone.png")
    assert not harness.barriers(page)
    page.locator(".documents button").click()
    expect(page.locator(".words")).to_have_text("words")
    assert page.evaluate("window.shownAt > 0"), "a case without pictures is seen by its report"
    page.get_by_role("button", name="Back to the documents").click()
    expect(page.locator(".documents button")).to_be_focused()


@pytest.mark.parametrize("one", ["empty", "large", "unopened"])
def test_what_was_not_seen_is_not_told_to_the_hospital(show, files: Path, one: str) -> None:  # noqa: F811
    save(files, {"empty": report("One", []), "large": report("One", [item("CONTAINS", "TEXT", "Last", TextValue="\u9577" * 9_000_000)]), "unopened": document("One", b"<ClinicalDocument/>", EncapsulatedCDAStorage, "text/XML")}[one])
    page = opened(show(files))
    assert page.evaluate("window.shownAt") is None


def test_a_report_beside_images_that_cannot_be_shown_tells_nothing(show, files: Path) -> None:  # noqa: F811
    save(files, report("Beside", [item("CONTAINS", "TEXT", "Finding", TextValue="words")]))
    odd = base(CTImageStorage, "odd", "CT", Rows=4, Columns=4, BitsAllocated=1, BitsStored=1, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0, PixelData=b"\0\0")
    save(files, odd)
    shown = show(files)
    listed(shown.page)
    page = opened(shown)
    expect(page.locator(".words")).to_have_text("words")
    assert page.evaluate("viewer.pictures.stacks.length") == 0 and page.evaluate("window.shownAt") is None


def test_a_pdf_alone_is_seen_once_it_is_handed_over(show, files: Path) -> None:  # noqa: F811
    save(files, document("Alone", pdf_of(100)))
    page = opened(show(files))
    assert page.evaluate("window.shownAt") is None
    with page.expect_download():
        page.get_by_role("button", name="Save and open the PDF").click()
    until(lambda: page.evaluate("window.shownAt > 0"))


def test_pictures_do_not_wait_and_a_case_without_documents_fetches_nothing_of_it(show, ct_study: list[Path], files: Path) -> None:  # noqa: F811
    shown = show(ct_study[0].parent)
    shown.whole()
    loaded = "performance.getEntriesByType('resource').map(({ name }) => name).filter((name) => /document|report|handover/.test(name)).length"
    assert shown.page.evaluate(loaded) == 0
    expect(shown.page.locator(".documents")).to_be_hidden()


def test_pictures_and_keys_stay_as_they_were_beside_a_document(show, files: Path) -> None:  # noqa: F811
    pictures(files)
    save(files, report("Beside", [item("CONTAINS", "TEXT", "Finding", TextValue="words")]))
    shown = show(files)
    shown.whole()
    shown.go(2, 3)
    page = opened(shown)
    page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Larger letters").click()
    page.get_by_role("button", name="Larger letters").click()
    assert page.locator(".words").evaluate("one => parseFloat(getComputedStyle(one).fontSize)") == pytest.approx(17 * 1.5)
    assert page.locator(".words").evaluate("one => getComputedStyle(one).userSelect") == "text"
    page.get_by_role("button", name="Back to the images").click()
    expect(page.locator(".corner")).to_contain_text("3 / 3")
    shown.here()
    assert not page.refused, page.refused


def test_a_report_of_another_patient_stands_under_its_own_name(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    pictures(files)
    words = [item("CONTAINS", "TEXT", "Finding", TextValue="words")]
    save(files, report("Ours", words))
    save(files, report("Theirs", words, PatientName="Other^Two", PatientID="T-2", ContentDate="20240411"))
    shown = show(files)
    assert [one.endswith("another patient") for one in listed(shown.page)] == [False, True]
    page = opened(shown, "Theirs")
    expect(page.locator(".paper h1")).to_contain_text("Other Two")
    expect(page.locator(".paper")).not_to_contain_text("Test One")
    expect(page.get_by_role("alert")).to_have_text("Name, ID or birth date of this document differ from those of the images that were open.")
    page.screenshot(path=tmp_path / "theirs.png")
    page.keyboard.press("Escape")
    page = opened(shown, "Ours")
    expect(page.locator(".paper h1")).to_contain_text("Test One")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_name_in_another_way_of_writing_is_no_other_patient(show, files: Path) -> None:  # noqa: F811
    pictures(files, PatientName="Test^One=試験^一")
    words = [item("CONTAINS", "TEXT", "Finding", TextValue="words")]
    save(files, report("Written", words, PatientName="TEST^ONE^^^=試験　一"))
    save(files, report("Theirs", words, PatientName="=他人^二", ContentDate="20240411"))
    assert [one.endswith("another patient") for one in listed(show(files).page)] == [False, True]


def test_reports_of_two_patients_without_images_are_listed_by_their_names(show, files: Path) -> None:  # noqa: F811
    words = [item("CONTAINS", "TEXT", "Finding", TextValue="words")]
    save(files, report("Ours", words))
    save(files, report("Theirs", words, PatientName="Other^Two", PatientID="T-2", ContentDate="20240411"))
    assert listed(show(files).page) == ["Ours · Report · SR · 2024-04-12 10:11 · Test One · T-1 · Not verified", "Theirs · Report · SR · 2024-04-11 10:11 · Other Two · T-2 · Not verified"]


def test_reports_of_two_patients_in_one_series_show_no_name(show, files: Path) -> None:  # noqa: F811
    for name, patient in (("One", "Test^One"), ("Two", "Other^Two")):
        save(files, report(name, [item("CONTAINS", "TEXT", "Finding", TextValue=f"of {name}")], PatientName=patient, PatientID=patient, SeriesInstanceUID="1.2.3.99"))
    shown = show(files)
    expect(shown.page.locator(".mixed")).to_be_visible()
    for name in ("One", "Two"):
        page = opened(shown, name)
        expect(page.get_by_role("alert")).to_have_text("This document is of a series in which several patients are mixed: no name is shown.")
        expect(page.locator(".paper h1")).to_have_count(0)
        expect(page.locator(".words")).to_have_text(f"of {name}")
        page.keyboard.press("Escape")


def test_hostile_texts_become_visible_and_act_on_nothing(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    evil = "<img src=x onerror=alert(1)>\u202etxet\u2066\u0007\u200b&lt;b&gt;"
    save(files, report("<b>bold</b>\u202e", [item("CONTAINS", "CONTAINER", "<h1>\u202e", [item("CONTAINS", "TEXT", evil[:30], TextValue=evil)]), item("CONTAINS\u0001", "TEXT", "x", TextValue="y")], CompletionFlag="<I>"))
    shown = show(files)
    page = opened(shown)
    assert page.locator(".words").first.evaluate("one => one.textContent") == "<img src=x onerror=alert(1)>\ufffdtxet\ufffd\ufffd\ufffd&lt;b&gt;"
    assert page.locator(".paper img, .paper b, .documents b").count() == 0
    text = page.evaluate("document.body.innerText")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u0007\u0001]", text)
    assert not page.refused, page.refused


def nested(depth: int) -> Dataset:
    one = item("CONTAINS", "TEXT", "Deep", TextValue="deepest")
    for _ in range(depth):
        one = item("CONTAINS", "CONTAINER", "Level", [one])
    return one


def cut(path: Path, bytes_less: int) -> None:
    path.write_bytes(path.read_bytes()[:-bytes_less])


def test_damage_and_excess_are_said(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    words = lambda name, *more: [item("CONTAINS", "TEXT", "First", TextValue=f"{name} begins"), *more]  # noqa: E731
    save(files, report("Deep", words("Deep", nested(40))))
    cut(save(files, report("Cut", words("Cut", item("CONTAINS", "TEXT", "Last", TextValue="x" * 400)))), 300)
    lying = save(files, report("Lying", words("Lying", item("CONTAINS", "TEXT", "Last", TextValue="lie lie lie!"))))
    content = bytearray(lying.read_bytes())
    at = content.index(b"lie lie lie!")
    content[at - 4:at] = (0x7FFFFFFF).to_bytes(4, "little")
    lying.write_bytes(content)
    save(files, report("Long", words("Long", item("CONTAINS", "TEXT", "Last", TextValue="長" * 200_000))))
    save(files, report("Many", words("Many", *(item("CONTAINS", "TEXT", None, TextValue=str(n)) for n in range(20_100)))))
    save(files, report("Large", words("Large", item("CONTAINS", "TEXT", "Last", TextValue=("\u9577" * 9_000_000)))))
    shown = show(files)
    assert len(listed(shown.page)) == 6
    for name in ("Deep", "Cut", "Lying"):
        page = opened(shown, name)
        expect(page.get_by_role("alert")).to_contain_text("This document is damaged or cut")
        expect(page.locator(".words").first).to_have_text(f"{name} begins")
        assert "lie lie" not in page.locator(".paper").inner_text() and "xxx" not in page.locator(".paper").inner_text() and "deepest" not in page.locator(".paper").inner_text()
        page.screenshot(path=tmp_path / f"{name}.png")
        page.keyboard.press("Escape")
    page = opened(shown, "Long")
    expect(page.get_by_text("Too long: the other 338 kB are left out.")).to_be_visible()
    page.keyboard.press("Escape")
    page = opened(shown, "Many")
    expect(page.get_by_text("Too long: 102 items and all below them are left out.")).to_be_visible()
    page.keyboard.press("Escape")
    page = opened(shown, "Large")
    expect(page.get_by_role("alert")).to_contain_text("This document has 27.0 MB, which is too large for this device.")
    assert not page.refused, page.refused


def test_a_document_that_is_not_what_was_packed_is_refused(show, files: Path) -> None:  # noqa: F811
    save(files, report("Forged", [item("CONTAINS", "TEXT", "Finding", TextValue="words")]))

    def forge(told: dict) -> None:
        for series in told["series"]:
            series["whole"] = {at: "0" * 64 for at in series["whole"]}

    page = opened(show(files, change=forge))
    expect(page.get_by_role("alert")).to_have_text("Damaged. It is not shown. Call the hospital.")
    assert "words" not in page.locator(".paper .body").inner_text()


def pdf_of(bytes_least: int) -> bytes:
    """Of noise in a comment, an odd number of bytes."""
    noise = np.random.default_rng(7).integers(33, 126, bytes_least, np.uint8).tobytes()
    content = PDF + b"\n%" + noise
    return content if len(content) % 2 else content + b"%"


@pytest.mark.parametrize("bytes_least", [100, 3 << 20])
def test_a_pdf_leaves_byte_for_byte(show, files: Path, tmp_path: Path, bytes_least: int) -> None:  # noqa: F811
    pictures(files)
    pdf = pdf_of(bytes_least)
    save(files, document("検査報告書", pdf))
    shown = show(files)
    assert listed(shown.page) == ["検査報告書 · PDF · DOC · 2024-04-12 10:11"]
    page = opened(shown)
    expect(page.locator(".paper h1")).to_contain_text("Test One")
    expect(page.locator(".body")).to_contain_text("A PDF is opened outside of this app")
    page.screenshot(path=tmp_path / "pdf.png")
    assert not harness.barriers(page)
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save and open the PDF").click()
    assert saving.value.suggested_filename == "document.pdf", "a name that tells nothing"
    saving.value.save_as(tmp_path / "saved.pdf")
    assert (tmp_path / "saved.pdf").read_bytes() == pdf
    assert not page.refused, page.refused


def test_dcmtks_own_pdf_object_is_read(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "given.pdf").write_bytes(pdf_of(70_000))
    subprocess.run(["pdf2dcm", "+t", "Made by DCMTK", "+pn", "Test^One", "+pi", "T-1", tmp_path / "given.pdf", files / "one.dcm"], check=True, capture_output=True)
    page = opened(show(files), "Made by DCMTK")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Save and open the PDF").click()
    saving.value.save_as(tmp_path / "saved.pdf")
    assert (tmp_path / "saved.pdf").read_bytes() == (tmp_path / "given.pdf").read_bytes()


HOME_SCREEN = """Object.defineProperty(navigator, 'standalone', { value: true });
navigator.canShare = ({ files }) => window.sharable !== false && files.length === 1;
navigator.share = async ({ files: [file], ...more }) => { window.shared = { active: navigator.userActivation.isActive, name: file.name, type: file.type, more: Object.keys(more), bytes: [...new Uint8Array(await file.arrayBuffer())] };
  if (window.closes) throw new DOMException('closed', 'AbortError'); };
void 0"""


def test_from_the_home_screen_a_pdf_is_shared_within_the_tap(show, files: Path) -> None:  # noqa: F811
    pdf = pdf_of(100)
    save(files, document("Shared", pdf))
    shown = show(files)
    page = shown.page
    page.evaluate(HOME_SCREEN)
    opened(shown)
    page.get_by_role("button", name="Open the PDF in another app").click()
    until(lambda: page.evaluate("!!window.shared"))
    shared = page.evaluate("window.shared")
    assert bytes(shared.pop("bytes")) == pdf
    assert shared == {"active": True, "name": "document.pdf", "type": "application/pdf", "more": []}
    page.evaluate("window.closes = true")
    page.get_by_role("button", name="Open the PDF in another app").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.keyboard.press("Escape")
    page.evaluate("window.sharable = false")
    opened(shown)
    expect(page.get_by_text("A PDF cannot be handed over on this device.")).to_be_visible()
    assert page.locator(".body button, .body a").count() == 0


def test_what_is_no_pdf_is_not_opened(show, files: Path, tmp_path: Path) -> None:  # noqa: F811
    page_of_html = b"<html><script>document.title='owned'</script></html>"
    for one in (document("Html", page_of_html), document("Typed", PDF, kind="text/html"), document("Short", PDF, length=20), document("Cda", b"<ClinicalDocument/>", EncapsulatedCDAStorage, "text/XML"),
                document("Stl", b"solid", EncapsulatedSTLStorage, "model/stl"), document("PDF of no type", PDF, kind=""), document("Unsaid", PDF, length=None)):
        save(files, one)
    shown = show(files)
    assert len(listed(shown.page)) == 7
    for name, words in {"Html": "What is in it does not begin as a PDF", "Typed": "It says to be a PDF, and another kind of file", "Short": "not as long as it says", "Cda": "Files of this kind are not opened here",
                        "Stl": "Files of this kind are not opened here", "PDF of no type": "It does not say which type of file it is"}.items():
        page = opened(shown, name)
        expect(page.locator(".body")).to_contain_text(words)
        assert page.locator(".body button, .body a, iframe, embed, object").count() == 0
        page.keyboard.press("Escape")
    page = opened(shown, "Unsaid")
    expect(page.get_by_role("button", name="Save and open the PDF")).to_be_visible()
    assert page.title() != "owned" and not page.refused


def test_screen_readers_find_headings_and_lists(show, files: Path) -> None:  # noqa: F811
    save(files, report("Structure", [item("CONTAINS", "CONTAINER", "Findings", [item("CONTAINS", "CONTAINER", "Lung", [item("CONTAINS", "TEXT", "Finding", TextValue="words")]), item("CONTAINS", "TEXT", "Other", TextValue="more")]),
                                     item("CONTAINS", "CONTAINER", "Impression", [item("CONTAINS", "TEXT", "Text", TextValue="end")])]))
    page = show(files).page
    expect(page.get_by_role("list", name="Documents").get_by_role("listitem")).to_have_count(1)
    page.locator(".documents button").click()
    expect(page.locator(".words").first).to_be_visible()
    headings = page.evaluate("[...document.querySelectorAll('.paper :is(h1,h2,h3,h4,h5,h6)')].map((one) => `${one.tagName} ${one.innerText}`)")
    assert headings == ["H1 Test One", "H2 Structure", "H3 Findings", "H4 Lung", "H3 Impression"]
    expect(page.locator("h2")).to_be_focused()
    assert page.evaluate("[...document.querySelectorAll('.paper button')].every((one) => { const { width, height } = one.getBoundingClientRect(); return width >= 44 && height >= 44; })")
    assert page.evaluate("document.querySelector('.sheet').scrollWidth <= document.querySelector('.sheet').clientWidth")
    # On its side.
    page.set_viewport_size({"width": PHONE["viewport"]["height"], "height": PHONE["viewport"]["width"]})
    expect(page.get_by_text("end", exact=True)).to_be_visible()
    assert not harness.barriers(page)


def test_webkit_shows_the_same_words(webkit: WebKit, wasm: Path, files: Path, tmp_path: Path) -> None:  # noqa: F811
    (files / "test-SR.dcm").write_bytes((PYDICOM / "test-SR.dcm").read_bytes())
    with served(webkit, files, wasm, tmp_path):
        in_webkit(webkit, "!!document.querySelector('.documents li button')")
        webkit.evaluate("document.querySelector('.documents li button').click()")
        in_webkit(webkit, "!!document.querySelector('.paper .body:not([aria-busy]) dt')")
        webkit.screenshot(tmp_path / "webkit.png")
        found = webkit.evaluate(f"JSON.stringify({READ})")

    class Read:
        @staticmethod
        def evaluate(_: str) -> list[dict]:
            return json.loads(found)

    assert compare(Read, files / "test-SR.dcm") >= 27
