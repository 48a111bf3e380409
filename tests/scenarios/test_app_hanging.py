"""How a case is met in the app: by the sites' rows and the app's own, which series first, in which window, where it begins, what stands beside it; said on the picture, and the doctor's choice goes before it."""

import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab.portal import Portal
from playwright.sync_api import expect

import harness
from harness import Bench
from test_app import EN, Phone, deliver, enrol, link, phones, shots  # noqa: F401
from test_app_measure import opened, portal  # noqa: F401
from test_app_pair import LANDSCAPE
from test_app_viewer import PHONE, WAIT_MS, Shown, image, show, until, wasm  # noqa: F401
from test_enrolment import open_bench  # noqa: F401

SIDE, SLICES = 64, 5
# Quarters of each CT picture, HU: air of a lung, fluid, grey matter, bone.
QUARTERS = np.array([[-700, 5], [40, 600]])
WINDOWS = {"Brain": (40, 80), "Stroke": (35, 40), "Bone": (500, 2000), "Lung": (-600, 1500), "Mediastinum": (40, 400), "Abdomen": (60, 350)}
SENT = (100, 300)
# Of a grey, by the bound of the codec in the narrowest window and its rounding.
GREY_ERROR_MAX = 24


def ct(folder: Path, description: str, number: int, **elements: object) -> None:
    """A series of the same picture; each slice is moved a little, so that no two are one."""
    for at in range(SLICES):
        hu = np.kron(QUARTERS, np.ones((SIDE // 2, SIDE // 2)))
        told = {"Modality": "CT", "SeriesNumber": number, "RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU", "WindowCenter": SENT[0], "WindowWidth": SENT[1], "BitsStored": 12,
                "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 5 * at], "PixelSpacing": [1, 1], "FrameOfReferenceUID": "1.2.3.10",
                "SeriesInstanceUID": f"1.2.3.{number}.{zlib.crc32(description.encode())}", "SOPInstanceUID": f"1.2.3.{number}.{at}.{zlib.crc32(description.encode())}"}
        image(folder, f"{number:02}-{at}.dcm", description, (hu + 1024).astype(np.uint16), at + 1, **told | elements)


def mr(folder: Path, description: str, number: int, b_values: tuple[int, ...] = (), **elements: object) -> None:
    """A series of MR; where it has several b-values, all of them at each place."""
    for at in range(SLICES * max(1, len(b_values))):
        place = at // max(1, len(b_values))
        told = {"Modality": "MR", "SeriesNumber": number, "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 5 * place], "PixelSpacing": [1, 1],
                "WindowCenter": 128, "WindowWidth": 256, "FrameOfReferenceUID": "1.2.3.10", "SeriesInstanceUID": f"1.2.3.{number}.{zlib.crc32(description.encode())}",
                "SOPInstanceUID": f"1.2.3.{number}.{at}.{zlib.crc32(description.encode())}"}
        told |= {"DiffusionBValue": float(b_values[at % len(b_values)])} if b_values else {}
        image(folder, f"{number:02}-{at:02}.dcm", description, np.full((SIDE, SIDE), 40 + 4 * at, np.uint8), at + 1, **told | elements)


def hung(*rows: dict):
    """A case of a site with this table."""
    return lambda told: told.update(hanging=list(rows))


def drawn(shown: Shown) -> None:
    """What was asked for is on the screen, words and all."""
    shown.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")


def corner(shown: Shown) -> list[str]:
    shown.here()
    return shown.page.locator(".stage.active .corner, .stage:only-child .corner").inner_text().split("\n")


def now(shown: Shown) -> str:
    """The series that is on the screen, by its small picture."""
    return shown.page.locator(".thumbnail[aria-pressed=true] bdi").inner_text()


def strip(shown: Shown) -> list[str]:
    shown.whole()
    return shown.page.locator(".thumbnail bdi").all_inner_texts()


def arranged(shown: Shown) -> str:
    return shown.page.locator(".stage").first.locator(".arranged").inner_text()


def seen_through(shown: Shown, window: tuple[int, int]) -> None:
    """The four quarters have the greys that this window gives them, on the screen."""
    center, width = window
    shown.here()
    screen = shown.screen()
    high, wide = screen.shape[:2]
    side = min(high, wide)
    points = [[screen[high // 2 + y * side // 4, wide // 2 + x * side // 4, 0] for x in (-1, 1)] for y in (-1, 1)]
    meant = np.clip((QUARTERS - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * 255
    assert np.abs(np.array(points) - meant).max() <= GREY_ERROR_MAX, (points, meant)


def tap(shown: Shown, name: str) -> None:
    shown.page.get_by_role("button", name=name, exact=True).click()
    drawn(shown)


def chips(shown: Shown) -> list[str]:
    return shown.page.locator(".chips .chip").all_inner_texts()


def go_to(shown: Shown, name: str) -> None:
    shown.page.locator(".thumbnail").filter(has_text=name).click()
    expect(shown.page.locator(".thumbnail[aria-pressed=true] bdi").first).to_have_text(name)
    drawn(shown)


HEADS = {
    "body part": {"BodyPartExamined": "HEAD"},
    "study": {"StudyDescription": "Head CT without contrast"},
    "protocol": {"ProtocolName": "BRAIN_ROUTINE"},
    "Japanese": {"StudyDescription": "頭部単純CT"},
    "glued to Latin": {"StudyDescription": "CT脳"},
}
NOT_BRAIN = {"unless": ["neck", "cta", "sinus", "胸"]}
HEAD = {"name": "CT head", "modality": ["CT"], "words": ["head", "brain", "頭部", "脳"], "windows": ["brain", "stroke"]} | NOT_BRAIN
HEAD_BONE = HEAD | {"name": "CT head, bone", "series": ["bone"], "windows": ["bone", "brain"], "place": "last"}


@pytest.mark.parametrize("elements", HEADS.values(), ids=HEADS.keys())
def test_a_head_is_met_as_the_site_wants_it_and_no_localizer_comes_first(show, tmp_path: Path, elements: dict) -> None:  # noqa: F811
    folder = tmp_path / "head"
    folder.mkdir()
    ct(folder, "Topo", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **elements)
    ct(folder, "Bone 1.0", 2, **elements)
    ct(folder, "Soft 5.0", 3, **elements)
    shown = show(folder, change=hung(HEAD_BONE, HEAD))
    assert corner(shown) == [f"{SLICES // 2 + 1} / {SLICES}", "Brain  W 80  L 40"]
    assert now(shown) == "Soft 5.0" and strip(shown) == ["Soft 5.0", "Bone 1.0", "Topo"]
    assert chips(shown)[:4] == ["As sent", "Brain", "Stroke", "Bone"]
    expect(shown.page.get_by_role("button", name="Brain", exact=True)).to_have_attribute("aria-pressed", "true")
    assert arranged(shown) == "Arranged by the site: CT head"
    seen_through(shown, WINDOWS["Brain"])
    # One tap gives it as it was sent.
    tap(shown, "As sent")
    seen_through(shown, SENT)
    assert corner(shown)[1] == "W 300  L 100" and arranged(shown) == ""
    tap(shown, "Stroke")
    seen_through(shown, WINDOWS["Stroke"])
    assert corner(shown)[1] == "Stroke  W 40  L 35" and arranged(shown) == ""
    go_to(shown, "Bone 1.0")
    seen_through(shown, WINDOWS["Bone"])
    assert arranged(shown) == "Arranged by the site: CT head, bone" and chips(shown)[:3] == ["As sent", "Bone", "Brain"]
    # Values of a localizer are no HU of a place.
    go_to(shown, "Topo")
    seen_through(shown, SENT)
    assert arranged(shown) == "Arranged: localizers last"
    # What the doctor chose is there again.
    go_to(shown, "Soft 5.0")
    seen_through(shown, WINDOWS["Stroke"])
    assert not shown.page.refused, shown.page.refused


NO_HEADS = {"vessels": "CTA HEAD", "neck": "CT HEAD NECK", "sinuses": "CT HEAD SINUS", "both": "頭部・胸部CT", "inside a word": "FOREHEADS", "nothing": "CT"}


@pytest.mark.parametrize("study", NO_HEADS.values(), ids=NO_HEADS.keys())
def test_what_may_be_another_part_is_shown_as_it_was_sent(show, tmp_path: Path, study: str) -> None:  # noqa: F811
    folder = tmp_path / "other"
    folder.mkdir()
    ct(folder, "5.0", 1, StudyDescription=study)
    shown = show(folder, change=hung(HEAD))
    assert corner(shown)[1] == "W 300  L 100" and arranged(shown) == ""
    seen_through(shown, SENT)


@pytest.mark.parametrize("study", ["頭部CT", "CT HEAD", "膵頭部癌 造影CT", "CT CHEST"])
def test_without_a_table_every_ct_is_seen_as_it_was_sent(show, tmp_path: Path, study: str) -> None:  # noqa: F811
    """Also where the image's own window is one that has a name here."""
    folder = tmp_path / "sent"
    folder.mkdir()
    ct(folder, "肺動脈 LUNG 1mm", 1, StudyDescription=study)
    ct(folder, "5.0", 2, StudyDescription=study, WindowCenter=40, WindowWidth=400)
    shown = show(folder)
    seen_through(shown, SENT)
    assert corner(shown)[1] == "W 300  L 100" and arranged(shown) == "" and strip(shown) == ["肺動脈 LUNG 1mm", "5.0"]
    go_to(shown, "5.0")
    seen_through(shown, (40, 400))
    assert corner(shown)[1] == "W 400  L 40"
    tap(shown, "Mediastinum")
    assert corner(shown)[1] == "Mediastinum  W 400  L 40"


def test_image_type_alone_says_what_a_localizer_is(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "types"
    folder.mkdir()
    ct(folder, "BONE SURVEY", 1, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    ct(folder, "SCOUT BIOPSY", 2, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    ct(folder, "Chest", 3, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct(folder, "Liver", 4, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    shown = show(folder)
    assert strip(shown) == ["BONE SURVEY", "SCOUT BIOPSY", "Liver", "Chest"] and arranged(shown) == ""


def test_a_scanogram_among_the_slices_makes_no_localizer_of_them(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "mixed"
    folder.mkdir()
    ct(folder, "Other", 1, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], BodyPartExamined="HEAD")
    ct(folder, "Head", 2, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], BodyPartExamined="HEAD")
    first = pydicom.dcmread(folder / "02-0.dcm")
    first.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    first.save_as(folder / "02-0.dcm")
    shown = show(folder, change=hung({"name": "first", "series": ["head"], "place": "first"}))
    assert now(shown) == "Head" and strip(shown) == ["Head", "Other"]


JUNK = [None, {}, "head", 7, [None], [{"name": "x", "words": "head"}], [{"name": "x", "words": [{}]}], [{"name": ["x"]}], [{"name": "x" * 400, "place": "last"}], [{"place": "last"}]]


@pytest.mark.parametrize("table", JUNK, ids=[str(one)[:30] for one in JUNK])
def test_a_table_that_is_none_keeps_no_case_from_opening(show, heads: Path, table: object) -> None:  # noqa: F811
    shown = show(heads, change=lambda told: told.update(hanging=table))
    assert now(shown) == "Alpha" and arranged(shown) == "" and strip(shown) == ["Alpha", "Beta", "Gamma", "Delta", "Scout"]


def test_what_a_newer_portal_says_is_not_taken_by_half(show, heads: Path) -> None:  # noqa: F811
    shown = show(heads, change=hung({"name": "condition", "modality": ["CT"], "contrast": ["yes"], "windows": ["lung"]},
                                    {"name": "window", "modality": ["CT"], "series": ["alpha"], "windows": ["liver", "brain"]},
                                    {"name": "place", "modality": ["CT"], "place": "middle"}))
    seen_through(shown, SENT)
    assert now(shown) == "Alpha" and arranged(shown) == ""


def test_a_chest_has_its_windows_at_hand_and_the_lung_its_own(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "chest"
    folder.mkdir()
    ct(folder, "縦隔条件", 1, StudyDescription="胸部CT")
    ct(folder, "肺野条件", 2, StudyDescription="胸部CT")
    chest = {"name": "CT chest", "modality": ["CT"], "words": ["胸部"], "windows": ["as_sent", "lung", "mediastinum"]}
    shown = show(folder, change=hung(chest | {"name": "CT lung", "series": ["肺野"], "windows": ["lung", "mediastinum"]}, chest))
    assert corner(shown)[1] == "W 300  L 100" and chips(shown)[:3] == ["As sent", "Lung", "Mediastinum"]
    seen_through(shown, SENT)
    assert arranged(shown) == ""
    go_to(shown, "肺野条件")
    seen_through(shown, WINDOWS["Lung"])
    assert arranged(shown) == "Arranged by the site: CT lung" and corner(shown)[1] == "Lung  W 1500  L -600"


@pytest.mark.parametrize("description", ["DWI b0/b1000", "ep2d_diff_3scan_trace_p2", "拡散強調像", "ＤＷＩ"])
def test_of_a_head_diffusion_comes_first_at_its_highest_b_value(show, tmp_path: Path, description: str) -> None:  # noqa: F811
    folder = tmp_path / "mr"
    folder.mkdir()
    mr(folder, "AAHead_Scout", 1, BodyPartExamined="BRAIN")
    mr(folder, "t2_tse", 2, BodyPartExamined="BRAIN")
    mr(folder, "ep2d_diff_ADC", 3, BodyPartExamined="BRAIN")
    mr(folder, description, 4, (0, 1000), BodyPartExamined="BRAIN")
    shown = show(folder)
    assert now(shown) == description
    assert strip(shown) == [description, "t2_tse", "ep2d_diff_ADC", "AAHead_Scout"]
    # In the middle of them, or beside it where that needs less to be decoded.
    place = int(corner(shown)[0].split(" ")[0])
    assert corner(shown)[0] == f"{place} / {2 * SLICES}  b 1000" and place in (SLICES + SLICES // 2, SLICES + SLICES // 2 + 1)
    assert arranged(shown) == "Arranged: MR diffusion"
    # The grey of that slice and b-value, and not of b 0.
    screen = shown.screen()
    assert screen[screen.shape[0] // 2, screen.shape[1] // 2, 0] == pytest.approx(40 + 4 * (2 * (place - 1 - SLICES) + 1), abs=2)
    go_to(shown, "t2_tse")
    assert arranged(shown) == ""


def test_of_series_for_each_b_value_the_highest_comes_first(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "mr"
    folder.mkdir()
    mr(folder, "T2", 1, BodyPartExamined="BRAIN")
    for number, name in enumerate(("DWI_b0", "DWI_b1000", "DWI_ADC b0/b1000"), 2):
        mr(folder, name, number, BodyPartExamined="BRAIN")
    shown = show(folder)
    assert now(shown) == "DWI_b1000" and strip(shown) == ["DWI_b1000", "DWI_b0", "T2", "DWI_ADC b0/b1000"]


def test_elsewhere_diffusion_is_a_series_like_others(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "mr"
    folder.mkdir()
    mr(folder, "t2_tse", 1, BodyPartExamined="PROSTATE")
    mr(folder, "DWI", 2, (0, 1000), BodyPartExamined="PROSTATE")
    shown = show(folder)
    assert now(shown) == "t2_tse" and strip(shown) == ["t2_tse", "DWI"] and arranged(shown) == ""
    go_to(shown, "DWI")
    assert int(corner(shown)[0].split(" ")[0]) in (SLICES, SLICES + 1)


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    folder = tmp_path / "heads"
    folder.mkdir()
    for number, name in enumerate(("Scout", "Alpha", "Beta", "Gamma", "Delta"), 1):
        ct(folder, name, number, BodyPartExamined="HEAD", ProtocolName="Polytrauma")
    return folder


def test_the_first_row_that_fits_counts(show, heads: Path) -> None:  # noqa: F811
    shown = show(heads, change=hung(
        {"name": "elsewhere", "sites": ["other.example"], "modality": ["CT"], "windows": ["bone"]},
        {"name": "MR", "modality": ["MR"], "begin": "first"},
        {"name": "not with polytrauma", "modality": ["CT"], "words": ["head"], "unless": ["POLYTRAUMA"], "windows": ["lung"]},
        {"name": "頭部外傷", "sites": ["hospital.example"], "modality": ["CT"], "words": ["ＨＥＡＤ"], "series": ["gamma"], "windows": ["stroke", "abdomen"], "place": "first"},
        {"name": "by protocol", "modality": ["CT"], "words": ["polytrauma"], "series": ["beta", "alpha"], "windows": ["as_sent", "bone"], "begin": "last"},
        {"name": "never reached", "modality": ["CT"], "series": ["gamma"], "windows": ["lung"]}))
    assert now(shown) == "Gamma" and strip(shown) == ["Gamma", "Alpha", "Beta", "Delta", "Scout"]
    seen_through(shown, WINDOWS["Stroke"])
    assert arranged(shown) == "Arranged by the site: 頭部外傷" and chips(shown)[:4] == ["As sent", "Stroke", "Abdomen", "Brain"]
    go_to(shown, "Beta")
    seen_through(shown, SENT)
    assert corner(shown)[0] == f"{SLICES} / {SLICES}" and chips(shown)[:2] == ["As sent", "Bone"]
    assert arranged(shown) == "Arranged by the site: by protocol"
    go_to(shown, "Delta")
    seen_through(shown, SENT)
    assert arranged(shown) == "", "no row fits it"
    assert not shown.page.refused, shown.page.refused


ROWS = ({"name": "a", "series": ["delta"], "place": "first", "begin": "first"}, {"name": "b", "series": ["beta"], "place": "first"}, {"name": "c", "series": ["alpha"], "place": "last"},
        {"name": "d", "series": ["scout"], "place": "first"})


def test_rows_order_the_series(show, heads: Path) -> None:  # noqa: F811
    shown = show(heads, change=hung(*ROWS))
    assert now(shown) == "Delta" and corner(shown)[0] == f"1 / {SLICES}"
    assert strip(shown) == ["Delta", "Beta", "Gamma", "Alpha", "Scout"], "a localizer is never first"
    assert arranged(shown) == "Arranged by the site: a"


def test_what_the_sender_marked_goes_before_all_rows(show, heads: Path) -> None:  # noqa: F811
    def marked(told: dict) -> None:
        hung(*ROWS)(told)
        next(one for one in told["series"] if one["banner"]["series_description"] == "Gamma")["keyImages"] = [1]
    shown = show(heads, change=marked)
    assert now(shown) == "Gamma" and corner(shown)[0] == f"2 / {SLICES} ★", "what the sender marked is seen first"
    assert strip(shown) == ["Gamma", "Delta", "Beta", "Alpha", "Scout"]


def test_a_row_without_anything_leaves_series_as_they_were_sent(show, heads: Path) -> None:  # noqa: F811
    shown = show(heads, change=hung({"name": "as sent"}))
    seen_through(shown, SENT)
    assert arranged(shown) == "" and strip(shown) == ["Alpha", "Beta", "Gamma", "Delta", "Scout"]


NOT_HU = {"another unit": {"RescaleType": "HU_MOD"}, "no unit": {"RescaleType": "US"}}


@pytest.mark.parametrize("elements", NOT_HU.values(), ids=NOT_HU.keys())
def test_values_that_are_no_hu_are_seen_as_they_were_sent(show, tmp_path: Path, elements: dict) -> None:  # noqa: F811
    folder = tmp_path / "values"
    folder.mkdir()
    ct(folder, "5.0", 1, BodyPartExamined="HEAD", **elements)
    shown = show(folder, change=hung({"name": "all", "modality": ["CT"], "windows": ["stroke"]}))
    seen_through(shown, SENT)
    assert arranged(shown) == "" and corner(shown)[1] == "W 300  L 100"
    expect(shown.page.get_by_role("button", name="As sent")).to_have_attribute("aria-pressed", "true")
    expect(shown.page.get_by_role("button", name="Stroke")).to_have_attribute("aria-pressed", "false")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    mr(folder, "T2", 1, BodyPartExamined="BRAIN")
    mr(folder, "FLAIR", 2, BodyPartExamined="BRAIN")
    mr(folder, "ADC", 3, BodyPartExamined="BRAIN")
    mr(folder, "DWI", 4, (0, 1000), BodyPartExamined="BRAIN")
    return folder


BESIDE = {"name": "stroke", "modality": ["MR"], "series": ["DWI"], "place": "first", "begin": "highest_b", "beside": ["nothing like it", "adc"]}


def titles(shown: Shown) -> list[str]:
    """The series of each pane, where there are two."""
    return [text.split("\n")[0] for text in shown.page.locator(".stage .title").all_inner_texts()]


def test_two_stand_side_by_side_where_there_is_room_until_the_doctor_chose(show, pairs: Path, tmp_path: Path) -> None:  # noqa: F811
    shown = show(pairs, change=hung(BESIDE))
    stages = shown.page.locator(".stage")
    shown.whole()
    expect(stages).to_have_count(1)
    shown.page.set_viewport_size(LANDSCAPE)
    expect(stages).to_have_count(2)
    assert titles(shown) == ["DWI", "ADC"] and arranged(shown) == "Arranged by the site: stroke"
    shown.page.screenshot(path=tmp_path / "beside.png")
    shown.page.set_viewport_size(PHONE["viewport"])
    expect(stages).to_have_count(1)
    shown.page.set_viewport_size(LANDSCAPE)
    expect(stages).to_have_count(2)
    # Closed by hand, it stays closed.
    tap(shown, "View")
    tap(shown, "Two series side by side")
    expect(stages).to_have_count(1)
    shown.page.set_viewport_size(PHONE["viewport"])
    shown.page.set_viewport_size(LANDSCAPE)
    shown.page.evaluate("new Promise((done) => setTimeout(done, 300))")
    expect(stages).to_have_count(1)
    assert not shown.page.refused, shown.page.refused


def test_none_comes_beside_a_series_that_was_chosen(show, pairs: Path) -> None:  # noqa: F811
    shown = show(pairs, change=hung(BESIDE))
    shown.whole()
    go_to(shown, "T2")
    shown.page.set_viewport_size(LANDSCAPE)
    shown.page.evaluate("new Promise((done) => setTimeout(done, 300))")
    expect(shown.page.locator(".stage")).to_have_count(1)
    assert not shown.page.refused, shown.page.refused


def test_two_are_there_at_once_on_a_screen_that_is_wider_than_high(show, pairs: Path) -> None:  # noqa: F811
    shown = show(pairs, change=hung(BESIDE), device=PHONE | {"viewport": LANDSCAPE})
    expect(shown.page.locator(".stage")).to_have_count(2)
    until(lambda: titles(shown) == ["DWI", "ADC"])


def test_two_patients_are_never_side_by_side(show, pairs: Path) -> None:  # noqa: F811
    def stranger(told: dict) -> None:
        hung(BESIDE)(told)
        next(one for one in told["series"] if one["banner"]["series_description"] == "ADC")["banner"]["patient_id"] = "T-2"
    shown = show(pairs, change=stranger, device=PHONE | {"viewport": LANDSCAPE})
    shown.whole()
    expect(shown.page.locator(".stage")).to_have_count(1)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    for number, name in enumerate(("Thin", "Other"), 1):
        for at in range(16):
            image(folder, f"{number}-{at:02}.dcm", name, np.full((SIDE, SIDE), 40 + 10 * at, np.uint8), at + 1, Modality="MR", SeriesNumber=number, ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
                  ImagePositionPatient=[0, 0, 4 * at], PixelSpacing=[1, 1], WindowCenter=128, WindowWidth=256, FrameOfReferenceUID="1.2.3.10", BodyPartExamined="KNEE")
    return folder


def test_planes_say_who_arranged_the_series(show, volume: Path) -> None:  # noqa: F811
    shown = show(volume, change=hung({"name": "kn\nW 1  L 1", "words": ["knee", "膝"], "begin": "first"}))
    shown.whole()
    tap(shown, "View")
    tap(shown, "Axial, coronal and sagittal planes")
    expect(shown.page.locator(".section")).to_have_count(3)
    words = shown.page.locator(".section .arranged").all_inner_texts()
    assert sorted(words) == ["", "", "Arranged by the site: kn W 1 L 1"], "on the plane that is stored, in one line"
    assert not shown.page.refused, shown.page.refused


# Of a text, words that stand in it and words that do not.
STANDS = {
    "Head CT": (["head", "HEAD", "head ct", "ｈｅａｄ"], ["hea", "ead", "headct", ""]),
    "T2FLAIR_AX": (["flair", "t2", "ax", "flair ax", "T2FLAIR"], ["lair", "flai", "2flair x"]),
    "DWI1000": (["dwi", "1000", "DWI1000"], ["100", "dw", "wi"]),
    "頭部単純ＣＴ": (["頭", "頭部", "単純", "CT", "ct"], ["胸", "c"]),
    "ﾄｳﾌﾞ": (["トウブ", "ﾄｳﾌﾞ"], ["ドウブ"]),
    "Schädel nativ": (["SCHÄDEL", "scha\u0308del"], ["sch", "del"]),
    "c-spine (bone)": (["spine", "bone", "c-spine"], ["spi"]),
    "x.*y": ([".*", "x.*y"], ["x.y", "a.*"]),
}


def test_words_are_found_whole_and_in_any_form(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "words"
    folder.mkdir()
    mr(folder, "ONE", 1)
    shown = show(folder)
    asked = [[text, word] for text, (found, others) in STANDS.items() for word in (*found, *others)]
    expected = [stands for found, others in STANDS.values() for stands in [True] * len(found) + [False] * len(others)]
    answers = shown.page.evaluate("""async (asked) => {
      const { Hanging } = await import('/js/viewer/hanging.js');
      return asked.map(([text, word]) => {
        const stack = { series: { modality: 'OT', banner: { series_description: text }, description: '' }, keys: new Set() };
        new Hanging([{ name: 'x', series: [word], begin: 'last' }], '').arrange([stack]);
        return stack.begin === 'last';
      });
    }""", asked)
    assert [[*one, answer] for one, answer in zip(asked, answers, strict=True)] == [[*one, answer] for one, answer in zip(asked, expected, strict=True)]


def test_a_protocol_stands_for_a_series_without_a_description(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "protocol"
    folder.mkdir()
    mr(folder, "T2", 1, BodyPartExamined="HEAD", ProtocolName="DWI T2")
    mr(folder, "", 2, (0, 800), BodyPartExamined="HEAD", ProtocolName="DWI")
    shown = show(folder)
    assert corner(shown)[0].endswith("b 800")
    assert arranged(shown) == "Arranged: MR diffusion"


@pytest.mark.parametrize(("language", "words", "brain", "sent"), [("en-GB", "Arranged by the site: 頭部CT 当直", "Brain", "As sent"), ("ja-JP", "施設の設定: 頭部CT 当直", "脳", "標準")])
def test_it_is_said_on_the_picture_and_keeps_nobody_out(show, heads: Path, language: str, words: str, brain: str, sent: str, tmp_path: Path) -> None:  # noqa: F811
    row = {"name": "頭部CT 当直", "modality": ["CT"], "words": ["head"], "windows": ["brain", "stroke"], "begin": "first"}
    shown = show(heads, change=hung(row), language=language)
    shown.whole()
    assert arranged(shown) == words and corner(shown)[1] == f"{brain}  W 80  L 40"
    assert not (found := harness.barriers(shown.page)), found
    assert not harness.too_small(shown.page)
    # It lies over no other words.
    over = """(() => { const box = (name) => document.querySelector(name).getBoundingClientRect(), a = box('.arranged');
      return ['.corner', '.ruler', '.mark'].filter((name) => { const b = box(name); return b.width && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom; }); })()"""
    assert shown.page.evaluate(over) == []
    shown.page.screenshot(path=tmp_path / f"arranged-{language}.png")
    shown.page.evaluate("viewer.pane.present({ turn: 1, mirrored: true, inverted: false })")
    expect(shown.page.locator(".mark")).to_be_visible()
    assert shown.page.evaluate(over) == []
    shown.page.screenshot(path=tmp_path / f"arranged-mirrored-{language}.png")
    tap(shown, sent)
    seen_sent = shown.page.locator(".arranged")
    expect(seen_sent).to_be_hidden()
    assert corner(shown)[1] == "W 300  L 100"


def test_a_name_with_marks_of_direction_turns_no_line_round(show, heads: Path) -> None:  # noqa: F811
    shown = show(heads, change=hung({"name": "a\u202eb<b>c</b>", "modality": ["CT"], "windows": ["bone"]}))
    shown.here()
    assert arranged(shown) == "Arranged by the site: a\ufffdb<b>c</b>"


TABLE = 'hanging = [{ name = "頭部CT", sites = ["hospital.example"], modality = ["CT"], words = ["head"], windows = ["stroke"], begin = "first" }, { name = "others", modality = ["CT"], windows = ["bone"] }]'


@pytest.fixture
def head_study(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "study"
    folder.mkdir()
    ct(folder, "5.0", 1, BodyPartExamined="HEAD")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("portal", [(TABLE,)], indirect=True)
def test_a_sites_table_reaches_the_app_and_is_there_without_a_network(open_bench: Bench, portal: Portal, phones, head_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, head_study)
    shown = opened(phone, delivery)
    assert corner(shown) == [f"1 / {SLICES}", "Stroke  W 40  L 35"] and arranged(shown) == "Arranged by the site: 頭部CT"
    phone.sees_no_fault("hanging")
    # All of it is here.
    expect(phone.page.locator("progress.done")).to_have_count(1, timeout=WAIT_MS)
    phone.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    held = phone.page.evaluate("caches.open('scanpost-data-1').then(async (cache) => (await cache.match('https://scanpost.invalid/hanging')).text())")
    assert held and "stroke" not in held, "as the passkey alone opens it"
    portal.stop()
    phone.context.set_offline(True)
    phone.page.goto(portal.origin + "/")
    phone.page.get_by_role("button", name=EN.open).click()
    phone.page.locator(f"[data-delivery='{delivery}']").click(timeout=WAIT_MS)
    phone.full()
    assert corner(shown) == [f"1 / {SLICES}", "Stroke  W 40  L 35"] and arranged(shown) == "Arranged by the site: 頭部CT"


@pytest.mark.parametrize(("rows", "words"), [
    ('[[portal.hanging]]\nname = "CT head"\nmodality = ["CT"]\nwindows = ["brian"]', r"unknown variant `brian`, expected one of `as_sent`, `brain`"),
    ('[[portal.hanging]]\nname = "CT head"\nmodality = ["CT"]\n[[portal.hanging]]\nname = "b"\nwindows = ["brain"]', r'row 2 \("b"\): windows are of CT alone'),
    ('[[portal.hanging]]\nname = "CT head"\nmodalities = ["CT"]', r"unknown field `modalities`"),
])
def test_a_wrong_row_keeps_the_portal_from_starting_and_is_named(open_bench: Bench, portal: Portal, rows: str, words: str) -> None:  # noqa: F811
    portal.stop()
    portal.config.write_text(f"{portal.config.read_text()}\n{rows}\n")
    with pytest.raises(RuntimeError, match=words):
        portal.start()
