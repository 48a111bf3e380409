"""What would mislead whoever looks (docs/hazards.md): sides, scale, order and name are those of the images."""

import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect

from test_app_viewer import compare, image, series, show, smooth, wasm  # noqa: F401

ROWS, COLUMNS, BLOCK = 360, 280, 40
# Image Orientation (Patient) and the letters of left, right, top, bottom by PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head.
SIDES = {
    "AXIAL": ([1, 0, 0, 0, 1, 0], "R L A P"),
    "PRONE": ([-1, 0, 0, 0, -1, 0], "L R P A"),
    "MIRRORED": ([-1, 0, 0, 0, 1, 0], "L R A P"),
    "CORONAL": ([1, 0, 0, 0, 0, -1], "R L H F"),
    "SAGITTAL": ([0, 1, 0, 0, 0, -1], "A P H F"),
    "TURNED": ([0, 1, 0, 1, 0, 0], "A P R L"),
    "OBLIQUE": ([0.8660254, 0.5, 0, -0.5, 0.8660254, 0], "RA LP AL PR"),
    "NEARLY": ([0.9950042, 0.0998334, 0, -0.0998334, 0.9950042, 0], "R L A P"),
}
# What a left arm with a ring would be: bright, at the patient's left.
LEFT = np.array([1, 0, 0])
# The scale of each slice of one series, as PET has it.
SCALES = [(0.5, 0), (2.0, -1000), (1.0, -1024)]
# Twice the bound of CT (3 HU) and half a step of the coarsest scale, in greys over a window of 400 HU.
GREYS_APART_MAX = 5


def ringed(orientation: list[float]) -> np.ndarray:
    """A picture whose patient's left edge is bright, where the plane has one, and whose first corner is dark."""
    picture = smooth(ROWS, COLUMNS, 300) + 300
    across, down = (float(np.dot(LEFT, orientation[at:at + 3])) for at in (0, 3))
    if abs(across) > 0.6:
        picture[:, slice(-BLOCK, None) if across > 0 else slice(0, BLOCK)] = 1000
    elif abs(down) > 0.6:
        picture[slice(-BLOCK, None) if down > 0 else slice(0, BLOCK), :] = 1000
    picture[:BLOCK, :BLOCK] /= 8
    return picture.astype(np.uint16)


@pytest.fixture
def sided(tmp_path: Path) -> Path:
    folder = tmp_path / "sided"
    folder.mkdir()
    for name, (orientation, _) in SIDES.items():
        image(folder, f"{name}.dcm", name, ringed(orientation), 1, ImageOrientationPatient=orientation, ImagePositionPatient=[0, 0, 0],
              WindowCenter=500, WindowWidth=1000, RescaleSlope=1, RescaleIntercept=0)
    image(folder, "nothing.dcm", "NOTHING", ringed([1, 0, 0, 0, 1, 0]), 1, WindowCenter=500, WindowWidth=1000)
    return folder


def test_letters_and_picture_stand_on_the_side_that_the_image_names(show, sided: Path):  # noqa: F811
    shown = show(sided)
    for name, (orientation, letters) in SIDES.items():
        series(shown, name)
        for side, letter in zip(("left", "right", "top", "bottom"), letters.split(), strict=True):
            expect(shown.page.locator(f".edge.{side}")).to_have_text(letter)
        # To the pixel: neither turned nor mirrored, whatever the letters say.
        compare(shown, "fit")
        edge = bright_edge(shown)
        assert edge is None if "L" not in letters else "L" in shown.page.locator(f".edge.{edge}").inner_text(), (name, edge)
    series(shown, "NOTHING")
    expect(shown.page.locator(".edge").filter(has_text=re.compile(r"\S"))).to_have_count(0)


def bright_edge(shown) -> str | None:
    """On which side of the screen the picture is bright."""
    screen = shown.screen().mean(axis=2)
    lit = np.argwhere(screen > 0)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0)
    picture = screen[top:bottom + 1, left:right + 1]
    strip = {"left": picture[:, :20], "right": picture[:, -20:], "top": picture[:20], "bottom": picture[-20:]}
    found = [side for side, part in strip.items() if np.median(part) > 240]
    assert len(found) <= 1
    return found[0] if found else None


def test_each_image_goes_through_its_own_scale_and_a_window_is_in_its_units(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "scaled"
    folder.mkdir()
    for number, (slope, intercept) in enumerate(SCALES, start=1):
        # The same values in HU by three scales: they must look the same.
        stored = (smooth(ROWS, COLUMNS, 1500, 5) - 500 - intercept) / slope
        image(folder, f"{number}.dcm", "SCALED", stored.round().astype(np.int16), number, Modality="CT", RescaleSlope=slope, RescaleIntercept=intercept,
              RescaleType="HU", WindowCenter=40, WindowWidth=400)
    shown = show(folder)
    shown.here()
    pictures = []
    for place in range(len(SCALES)):
        shown.go(place, len(SCALES))
        shown.here()
        compare(shown, "fit")
        pictures.append(shown.screen())
    for other in pictures[1:]:
        assert np.abs(pictures[0] - other).max() <= GREYS_APART_MAX
    shown.page.get_by_role("button", name="Window", exact=True).click()
    shown.page.get_by_role("button", name="Bone").click()
    expect(shown.page.locator(".corner")).to_contain_text("W 2000  L 500")
    assert shown.page.evaluate("[viewer.pane.window.center, viewer.pane.window.width]") == [500, 2000]
    compare(shown, "fit")


# Of slices, in the order in which they are written, mm towards the head.
HEIGHTS = [30, -10, 20, 0, 10]


def stand_in_the_order_of_the_patient(shown) -> None:
    shown.here()
    seen = []
    for place in range(len(HEIGHTS)):
        shown.go(place, len(HEIGHTS))
        seen.append(shown.geometry()["position"][2])
        compare(shown, "fit")
    assert seen == sorted(HEIGHTS)


def test_slices_stand_in_the_order_of_the_patient_whatever_their_numbers_say(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "shuffled"
    folder.mkdir()
    for number, height in enumerate(HEIGHTS, start=1):
        image(folder, f"{number}.dcm", "SHUFFLED", smooth(ROWS, COLUMNS, 900, number).astype(np.uint16), number, ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
              ImagePositionPatient=[0, 0, height], WindowCenter=450, WindowWidth=900)
    stand_in_the_order_of_the_patient(show(folder))


def groups(**attributes: object) -> pydicom.Dataset:
    """An item of functional groups, by the name of each group: what its own item says."""
    group = pydicom.Dataset()
    for name, elements in attributes.items():
        own = pydicom.Dataset()
        for keyword, value in elements.items():
            setattr(own, keyword, value)
        setattr(group, name, pydicom.Sequence([own]))
    return group


# Of the frames of one object.
PLANES = list(SIDES.values())[:len(SCALES)]


def write_enhanced(folder: Path, items: int = len(PLANES)) -> None:
    """An object with a plane and a transformation for each frame: the same values in HU, by other scales. `items`: of so many frames it says so."""
    stored = [((smooth(ROWS, COLUMNS, 1500, 5) - 500 - intercept) / slope).round().astype(np.int16) for slope, intercept in SCALES]
    frames = [groups(PlaneOrientationSequence={"ImageOrientationPatient": orientation}, PlanePositionSequence={"ImagePositionPatient": [0, 0, number]},
                     PixelValueTransformationSequence={"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "HU"},
                     MRDiffusionSequence={"DiffusionBValue": 500.0 * number})
              for number, ((orientation, _), (slope, intercept)) in enumerate(zip(PLANES, SCALES, strict=True))]
    shared = groups(PixelMeasuresSequence={"PixelSpacing": [0.5, 0.25]}, FrameVOILUTSequence={"WindowCenter": 40, "WindowWidth": 400})
    image(folder, "enhanced.dcm", "ENHANCED", np.vstack(stored), 1, frames=len(stored), Modality="CT",
          SeriesNumber=301, FrameOfReferenceUID="1.2.3.4", FrameTime=40, CineRate=25, RecommendedDisplayFrameRate=12,
          SharedFunctionalGroupsSequence=pydicom.Sequence([shared]), PerFrameFunctionalGroupsSequence=pydicom.Sequence(frames[:items]))


def test_each_frame_of_one_object_has_its_own_sides_and_scale(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "enhanced"
    folder.mkdir()
    write_enhanced(folder)
    shown = show(folder)
    shown.here()
    pictures = []
    for place, (_, letters) in enumerate(PLANES):
        shown.go(place, len(PLANES))
        for side, letter in zip(("left", "right", "top", "bottom"), letters.split(), strict=True):
            expect(shown.page.locator(f".edge.{side}")).to_have_text(letter)
        shown.here()
        compare(shown, "fit")
        pictures.append(shown.screen())
    for other in pictures[1:]:
        assert np.abs(pictures[0] - other).max() <= GREYS_APART_MAX


def test_a_frame_of_which_nothing_is_told_is_not_shown(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "short"
    folder.mkdir()
    write_enhanced(folder, items=len(PLANES) - 1)
    shown = show(folder)
    shown.here()
    shown.go(len(PLANES) - 1, len(PLANES))
    expect(shown.page.locator(".state")).to_contain_text("cannot be read: it is not shown")
    expect(shown.page.locator(".edge").filter(has_text=re.compile(r"\S"))).to_have_count(0)
    assert shown.page.evaluate("viewer.pane.canvas.dataset.shown") == "nothing"
    shown.go(0, len(PLANES))
    shown.here()
    compare(shown, "fit")


def test_frames_of_one_object_stand_in_the_order_of_the_patient(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "volume"
    folder.mkdir()
    frames = [groups(PlanePositionSequence={"ImagePositionPatient": [0, 0, height]}) for height in HEIGHTS]
    shared = groups(PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, FrameVOILUTSequence={"WindowCenter": 450, "WindowWidth": 900})
    image(folder, "volume.dcm", "VOLUME", np.vstack([smooth(ROWS, COLUMNS, 900, seed) for seed in range(len(HEIGHTS))]).astype(np.uint16), 1, frames=len(HEIGHTS),
          SharedFunctionalGroupsSequence=pydicom.Sequence([shared]), PerFrameFunctionalGroupsSequence=pydicom.Sequence(frames))
    stand_in_the_order_of_the_patient(show(folder))


# Positions (none, one for all) or orientations that give no one order, by series.
NO_PLACE = {
    "NOWHERE": lambda number: {},
    "ONE PLACE": lambda number: {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 10]},
    "ANY PLANE": lambda number: {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0] if number % 2 else [1, 0, 0, 0, 0, -1],
                                 "ImagePositionPatient": [0, 0, -number]},
}


def test_slices_whose_positions_say_nothing_stand_by_their_numbers(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "nowhere"
    folder.mkdir()
    # Neither the order of the files nor of their arrival.
    for name, number in zip("abcd", (3, 1, 4, 2), strict=True):
        for description, place in NO_PLACE.items():
            image(folder, f"{name}-{description}.dcm", description, smooth(ROWS, COLUMNS, 900, number).astype(np.uint16), number, WindowCenter=450,
                  WindowWidth=900, **place(number))
    shown = show(folder)
    for description in NO_PLACE:
        series(shown, description)
        seen = []
        for place in range(4):
            shown.page.evaluate(f"viewer.show({place})")
            expect(shown.page.locator(".corner")).to_contain_text(f"{place + 1} / 4")
            seen.append(shown.geometry()["number"])
            compare(shown, "fit")
        assert seen == [1, 2, 3, 4], description


def test_two_patients_in_one_series_show_no_name(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number, name in enumerate(("Kasumi^Kanaria", "Kasumi^Kanaria", "Botan^Bernhard"), start=1):
        image(folder, f"{number}.dcm", "MIXED", smooth(ROWS, COLUMNS, 900, number).astype(np.uint16), number, PatientName=name)
        image(folder, f"one-{number}.dcm", "ONE", smooth(ROWS, COLUMNS, 900, number).astype(np.uint16), number, PatientName="Kasumi^Kanaria")
    shown = show(folder)
    series(shown, "MIXED")
    expect(shown.page.locator(".mixed")).to_be_visible()
    assert not re.search("Kanaria|Bernhard", shown.page.locator(".who").inner_text())
    series(shown, "ONE")
    expect(shown.page.locator(".who h1")).to_have_text("Kasumi Kanaria")
    expect(shown.page.locator(".mixed")).to_have_count(0)


def test_the_banner_says_when_the_study_was_made(show, tmp_path: Path):  # noqa: F811
    folder = tmp_path / "dated"
    folder.mkdir()
    image(folder, "1.dcm", "DATED", smooth(ROWS, COLUMNS, 900).astype(np.uint16), 1, StudyDate="20240412", StudyTime="021455", PatientBirthDate="19410413")
    shown = show(folder)
    shown.here()
    expect(shown.page.locator(".who")).to_contain_text("2024-04-12 02:14")
    # A day before the birthday.
    expect(shown.page.locator(".who")).to_contain_text("1941-04-13 (82")
