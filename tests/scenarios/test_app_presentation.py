"""The app's viewer: a picture turned, mirrored and inverted, and the bar beside it: sides, marks and lengths stay those of the patient."""

import itertools
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect

import harness
from test_app_hazards import groups
from test_app_viewer import Look, Shown, compare, image, pixels, series, show, unusual, wasm  # noqa: F401

LOOKS = [Look(turn, mirrored) for mirrored in (False, True) for turn in range(4)]
# Every way in which rows and columns can run along the axes of the patient (PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head).
AXES = [np.array(sign) * np.eye(3, dtype=int)[axis] for axis in range(3) for sign in (1, -1)]
WAYS = [(row, column) for row, column in itertools.product(AXES, AXES) if np.dot(row, column) == 0]
LETTERS = {(0, 1): "L", (0, -1): "R", (1, 1): "P", (1, -1): "A", (2, 1): "H", (2, -1): "F"}
ROWS, COLUMNS = 48, 64
# Of the four quarters of the picture, so that no turn or mirror looks like another; the window shows them as they are.
QUARTERS = np.array([[250, 170], [90, 30]])
# Greys that a bound of the codec may change, and the window's rounding.
GREY_ERROR_MAX = 8
SPACING = (0.5, 0.8)
# Lines of the picture whose distance is measured, in rows and in columns.
LINES = (60, 260)


def side(direction: np.ndarray) -> str:
    axis = int(np.argmax(np.abs(direction)))
    return LETTERS[axis, int(np.sign(direction[axis]))]


def sides(row: np.ndarray, column: np.ndarray, look: Look) -> dict[str, str]:
    """Where the pixels at the edges lie in the patient, once the picture was turned as an array."""
    at = look.of(np.arange(COLUMNS)[None, :, None] * row + np.arange(ROWS)[:, None, None] * column)
    middle = at[at.shape[0] // 2, at.shape[1] // 2]
    return {"left": side(at[at.shape[0] // 2, 0] - middle), "right": side(at[at.shape[0] // 2, -1] - middle),
            "top": side(at[0, at.shape[1] // 2] - middle), "bottom": side(at[-1, at.shape[1] // 2] - middle)}


def set_to(shown: Shown, look: Look) -> None:
    """By the buttons, from whatever it is."""
    if not shown.page.locator(".menu").is_visible():
        shown.page.get_by_role("button", name="View", exact=True).click()
    mark = shown.page.locator(".mark")
    if mark.is_visible():
        mark.click()
    if look.mirrored:
        shown.page.get_by_role("button", name="Mirror left and right").click()
    for _ in range(look.turn):
        shown.page.get_by_role("button", name="Turn right by 90°").click()
    if look.inverted:
        shown.page.get_by_role("button", name="Invert black and white").click()


# Each frame in turn: the letters, and the greys in the middle of the quarters as the canvas holds them.
READ = """async ({ count, points }) => {
  const found = [], copy = new OffscreenCanvas(viewer.pane.canvas.width, viewer.pane.canvas.height).getContext('2d', { willReadFrequently: true });
  for (let place = 0; place < count; place++) {
    viewer.show(place);
    while (viewer.pane.place !== place || !document.querySelector('.corner').textContent.startsWith(`${place + 1} /`) || viewer.pane.canvas.dataset.shown !== 'full')
      await new Promise((resolve) => setTimeout(resolve, 4));
    copy.drawImage(viewer.pane.canvas, 0, 0);
    found.push({ letters: Object.fromEntries(['left', 'right', 'top', 'bottom'].map((side) => [side, document.querySelector(`.edge.${side}`).textContent])),
      greys: points.map((row) => row.map(([x, y]) => copy.getImageData(x, y, 1, 1).data[0])) });
  }
  return found;
}"""


def test_left_is_left_for_every_axis_order_turned_and_mirrored(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "ways"
    folder.mkdir()
    picture = np.kron(QUARTERS, np.ones((ROWS // 2, COLUMNS // 2))).astype(np.uint8)
    frames = [groups(PlaneOrientationSequence={"ImageOrientationPatient": [*row.tolist(), *column.tolist()]}, PlanePositionSequence={"ImagePositionPatient": [0, 0, number]})
              for number, (row, column) in enumerate(WAYS)]
    shared = groups(FrameVOILUTSequence={"WindowCenter": 128, "WindowWidth": 256})
    image(folder, "ways.dcm", "WAYS", np.vstack([picture] * len(WAYS)), 1, frames=len(WAYS), SharedFunctionalGroupsSequence=pydicom.Sequence([shared]),
          PerFrameFunctionalGroupsSequence=pydicom.Sequence(frames))
    assert len(WAYS) == 24
    shown = show(folder)
    shown.here()
    orientations = [told["orientation"] for told in shown.told["geometries"][0][0]["frames"]]
    for look in LOOKS:
        set_to(shown, look)
        width, height = shown.page.evaluate("[viewer.pane.canvas.width, viewer.pane.canvas.height]")
        quarters = look.of(QUARTERS)
        high, wide = look.of(picture).shape
        scale = min(width / wide, height / high)
        points = [[[int(width / 2 + x * wide * scale / 4), int(height / 2 + y * high * scale / 4)] for x in (-1, 1)] for y in (-1, 1)]
        found = shown.page.evaluate(READ, {"count": len(WAYS), "points": points})
        for orientation, one in zip(orientations, found, strict=True):
            assert one["letters"] == sides(np.array(orientation[:3]), np.array(orientation[3:]), look), (look, orientation)
            assert np.abs(np.array(one["greys"]) - quarters).max() <= GREY_ERROR_MAX, (look, one["greys"])
    assert not shown.page.refused, shown.page.refused


@pytest.mark.parametrize(("description", "look"), [("SIGNED12", Look(1, True)), ("COLOUR", Look(3)), ("MONO1", Look(2, False, True))])
def test_a_turned_picture_has_every_pixel_in_its_place(show, unusual: Path, description: str, look: Look, tmp_path: Path) -> None:  # noqa: F811
    shown = show(unusual)
    series(shown, description)
    set_to(shown, look)
    shown.double_tap()
    compare(shown, "pixels", look)
    shown.page.screenshot(path=tmp_path / f"turned-{description}.png")


@pytest.mark.parametrize(("language", "names"), [("en-GB", ("View", "Mirror left and right", "Turn right by 90°", "Invert black and white", "MIRRORED")),
                                                 ("ja-JP", ("表示", "左右を反転", "右へ90°回転", "白黒を反転", "左右反転中"))])
def test_what_is_not_as_it_was_sent_says_so_until_it_is_taken_back(show, ct_study: list[Path], unusual: Path, language: str, names: tuple[str, ...], tmp_path: Path) -> None:  # noqa: F811
    view, mirror, turn, invert, mirrored = names
    for path in ct_study[:8]:
        (unusual / path.name).symlink_to(path)
    shown = show(unusual, language=language)
    shown.here()
    button = lambda name: shown.page.get_by_role("button", name=name, exact=True)  # noqa: E731
    mark = shown.page.locator(".mark")
    expect(mark).to_be_hidden()
    small = "[...document.querySelectorAll('.strip canvas')].map((one) => one.toDataURL())"
    shown.whole()
    thumbnails = shown.page.evaluate(small)
    as_sent = shown.screen()
    button(view).click()
    for name in (mirror, turn, invert):
        button(name).click()
    expect(mark).to_contain_text(mirrored)
    expect(mark).to_contain_text("90°")
    # Named for VoiceOver by what is on, and what a tap does.
    assert mirrored in mark.get_attribute("aria-label")
    assert not (found := harness.barriers(shown.page)), found
    assert not harness.too_small(shown.page)
    shown.page.screenshot(path=tmp_path / f"mirrored-{language}.png")
    assert shown.page.evaluate(small) == thumbnails, "thumbnails are as they were sent"
    # Each series for itself, and as it was left.
    own, other = (shown.page.locator(".thumbnail").filter(has_text=name) for name in ("MONO1", "SIGNED12"))
    expect(own).to_have_attribute("aria-pressed", "true")
    other.click()
    expect(mark).to_be_hidden()
    own.click()
    expect(mark).to_contain_text(mirrored)
    # What is seen is mirrored once more, whatever was turned between: mirror, turn, mirror, turn is as it was sent.
    button(mirror).click()
    button(turn).click()
    button(invert).click()
    expect(mark).to_be_hidden()
    button(mirror).click()
    mark.click()
    expect(mark).to_be_hidden()
    button(view).click()
    shown.here()
    assert np.array_equal(shown.screen(), as_sent)
    assert not shown.page.refused, shown.page.refused


# What each image says of its spacing, and what the bar says beside its length.
SPACED = {
    "PATIENT": {"PixelSpacing": list(SPACING), "Modality": "CT"}, "DETECTOR": {"ImagerPixelSpacing": list(SPACING)},
    "SAME": {"PixelSpacing": list(SPACING), "ImagerPixelSpacing": list(SPACING)}, "UNTOLD": {"PixelSpacing": list(SPACING)},
    "CORRECTED": {"PixelSpacing": list(SPACING), "ImagerPixelSpacing": [2 * one for one in SPACING]},
    "FIDUCIAL": {"PixelSpacing": list(SPACING), "ImagerPixelSpacing": list(SPACING), "PixelSpacingCalibrationType": "FIDUCIAL"},
    "NOTHING": {}, "ZERO": {"PixelSpacing": [0, 0]},
}
SAID = {"PATIENT": "", "DETECTOR": " at the detector", "SAME": " at the detector", "UNTOLD": r" \(not calibrated\)", "CORRECTED": "", "FIDUCIAL": ""}


@pytest.fixture
def lined(tmp_path: Path) -> Path:
    """Pictures with two bright rows and two bright columns, so far apart as LINES says; their pixels are higher or wider than long."""
    folder = tmp_path / "lined"
    folder.mkdir()
    picture = np.zeros((320, 320), np.uint8)
    for line in LINES:
        picture[line], picture[:, line] = 250, 250
    for number, (name, elements) in enumerate(SPACED.items()):
        image(folder, f"{number}.dcm", name, picture, 1, WindowCenter=128, WindowWidth=256, **elements)
    return folder


def apart(profile: np.ndarray) -> float:
    """Device pixels between the middles of two bright lines."""
    half = len(profile) // 2
    bright = np.clip(profile - np.median(profile) - 40, 0, None)
    first, second = (np.average(np.arange(len(part)), weights=part) for part in (bright[:half], bright[half:]))
    return second + half - first


def drawn_bar(shown: Shown) -> int:
    """Device pixels that the bar is long, as they are on the screen."""
    box = shown.page.locator(".ruler .line").bounding_box()
    clip = {"x": box["x"] - 4, "y": box["y"], "width": box["width"] + 8, "height": box["height"]}
    shown.page.evaluate("viewer.pane.canvas.style.visibility = 'hidden'")
    seen = pixels(shown.page.screenshot(clip=clip)).min(axis=2)
    shown.page.evaluate("viewer.pane.canvas.style.visibility = ''")
    # The lowest line of it, from its first white pixel to its last.
    white = np.flatnonzero(seen.max(axis=0) > 128)
    return int(white[-1] - white[0] + 1)


@pytest.mark.parametrize(("look", "zoomed"), [(Look(), False), (Look(), True), (Look(1), False), (Look(3, True), True)])
def test_the_bar_is_as_long_as_it_says(show, lined: Path, look: Look, zoomed: bool, tmp_path: Path) -> None:  # noqa: F811
    shown = show(lined)
    series(shown, "PATIENT")
    set_to(shown, look)
    shown.page.get_by_role("button", name="View", exact=True).click()
    if zoomed:
        x, y = shown.center()
        shown.touch([(x - 60 - 2 * n, y) for n in range(10)], [(x + 60 + 2 * n, y) for n in range(10)])
    expect(shown.page.locator(".ruler .line")).to_be_visible()
    shown.here()
    value, unit = shown.page.locator(".ruler").inner_text().split()[:2]
    length = float(value) * {"mm": 1, "cm": 10}[unit]
    screen = shown.screen().mean(axis=2)
    across = apart(screen[screen.shape[0] // 2 - 40:screen.shape[0] // 2 + 40].mean(axis=0))
    # Along the screen lie the image's rows, or its columns where it is turned.
    millimetres = (LINES[1] - LINES[0]) * (SPACING[0] if look.turn % 2 else SPACING[1])
    exact = length * across / millimetres
    assert exact > 60, "a bar too short to prove anything"
    assert abs(drawn_bar(shown) - exact) <= 1, (drawn_bar(shown), exact)
    shown.page.screenshot(path=tmp_path / f"bar-{look.turn}-{zoomed}.png")


def test_a_bar_says_where_its_length_holds_and_is_not_there_without_one(show, lined: Path) -> None:  # noqa: F811
    shown = show(lined)
    words = shown.page.locator(".ruler")
    for name, said in SAID.items():
        series(shown, name)
        expect(words).to_have_text(re.compile(rf"^[\d.]+ [cm]m{said}$"))
        expect(shown.page.locator(".ruler .line")).to_be_visible()
    for name in ("NOTHING", "ZERO"):
        series(shown, name)
        expect(shown.page.locator(".ruler .line")).to_be_hidden()
        expect(words).to_have_text("")
