"""Measuring in the app's viewer: off unless the site wants it, lengths and values as pydicom and numpy have them of the same object, kept with the case and gone with it."""

import json
import re
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab.portal import Portal
from lab.programs import TOP
from lab.webkit import WebKit
from playwright.sync_api import expect
from pydicom.pixels import pixel_array
from pydicom.uid import CTImageStorage, MRImageStorage, SecondaryCaptureImageStorage

import harness
from harness import Bench
from test_app import EN, Phone, deliver, enrol, link, phones, shots  # noqa: F401
from test_app_hazards import groups
from test_app_pair import LANDSCAPE
from test_app_viewer import AS_SENT, RATIO, WAIT_MS, Look, Shown, image, series, show, smooth, until, wasm  # noqa: F401
from test_app_webkit import served, webkit  # noqa: F401
from test_app_webkit import until as in_webkit
from test_enrolment import open_bench  # noqa: F401

ROWS, COLUMNS = 200, 160
# Where a finger lies is known to half a CSS pixel; what is said is rounded to a tenth.
ROUNDED, MEAN_APART_MAX = 0.051, 1
CT = {"Modality": "CT", "SOPClassUID": CTImageStorage, "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 0, "WindowWidth": 1500, "SeriesNumber": 3}
PADDING = -2000
# As another maker's program writes it.
PADDING_UNSIGNED = PADDING + (1 << 16)


def hu(seed: int) -> np.ndarray:
    return (smooth(ROWS, COLUMNS, 900, seed) + 700).astype(np.int16)


def padded(seed: int) -> np.ndarray:
    values = hu(seed)
    values[:, :COLUMNS // 2] = PADDING
    return values


def written(folder: Path) -> Path:
    folder.mkdir()
    values = hu(1)
    image(folder, "square.dcm", "SQUARE", values, 41, PixelSpacing=[0.7, 0.7], **CT)
    image(folder, "second.dcm", "SQUARE", hu(2), 42, PixelSpacing=[0.7, 0.7], **CT)
    image(folder, "oblong.dcm", "OBLONG", values, 1, PixelSpacing=[2.0, 0.8], **CT | {"Modality": "MR", "SOPClassUID": MRImageStorage, "SeriesNumber": 4})
    image(folder, "detector.dcm", "DETECTOR", values.astype(np.uint16), 1, Modality="DX", ImagerPixelSpacing=[0.14, 0.14], WindowCenter=1100, WindowWidth=1000)
    image(folder, "bare.dcm", "BARE", values.astype(np.uint16), 1, Modality="OT", WindowCenter=1100, WindowWidth=1000)
    image(folder, "sound.dcm", "SOUND", values.astype(np.uint16), 1, Modality="US", PixelSpacing=[0.3, 0.3], WindowCenter=1100, WindowWidth=1000)
    image(folder, "padded.dcm", "PADDED", padded(1), 1, PixelSpacing=[0.7, 0.7], PixelPaddingValue=PADDING, **CT)
    resigned(folder / "padded.dcm", "PADDED US", "US", PADDING_UNSIGNED)
    image(folder, "unsigned.dcm", "UNSIGNED", padded(1).astype(np.uint16), 1, PixelSpacing=[0.7, 0.7], PixelPaddingValue=PADDING_UNSIGNED, **CT)
    resigned(folder / "unsigned.dcm", "PADDED SS", "SS", PADDING)
    (folder / "unsigned.dcm").unlink()
    image(folder, "capture.dcm", "CAPTURE", values, 1, PixelSpacing=[0.7, 0.7], **CT | {"SOPClassUID": SecondaryCaptureImageStorage})
    image(folder, "lost.dcm", "LOST", values, 1, PixelSpacing=[0.7, 0.7], **{name: value for name, value in CT.items() if "Rescale" not in name})
    image(folder, "other.dcm", "UNITS", values, 1, PixelSpacing=[0.7, 0.7], **CT | {"RescaleType": "MGML", "RescaleSlope": 0.5})
    image(folder, "colour.dcm", "COLOUR", np.stack([smooth(ROWS, COLUMNS, 250, seed) for seed in (1, 2, 3)], 2).clip(0, 255).astype(np.uint8), 1, PixelSpacing=[0.5, 0.5])
    shared = groups(FrameVOILUTSequence={"WindowCenter": 0, "WindowWidth": 1500}, PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]})
    frames = [groups(PixelMeasuresSequence={"PixelSpacing": [0.5 * number, 0.25 * number]}, PlanePositionSequence={"ImagePositionPatient": [0, 0, number]},
                     PixelValueTransformationSequence={"RescaleSlope": number, "RescaleIntercept": -100 * number, "RescaleType": "HU"}) for number in (1, 2, 3)]
    image(folder, "frames.dcm", "FRAMES", np.vstack([hu(seed) for seed in (1, 2, 3)]), 7, frames=3, Modality="CT", SeriesNumber=9,
          SharedFunctionalGroupsSequence=pydicom.Sequence([shared]), PerFrameFunctionalGroupsSequence=pydicom.Sequence(frames))
    return folder


def resigned(path: Path, description: str, vr: str, padding: int) -> None:
    """The same image with a padding whose VR is of another sign than its pixels."""
    one = pydicom.dcmread(path)
    one.SeriesDescription, one.SeriesInstanceUID, one.SOPInstanceUID = description, f"{one.SeriesInstanceUID}.1", f"{one.SOPInstanceUID}.1"
    one.add_new(0x00280120, vr, padding)
    one.save_as(path.with_name(f"{vr}.dcm"))


@pytest.fixture
def measured(show, tmp_path: Path) -> Shown:  # noqa: F811
    shown = on(show(written(tmp_path / "objects")))
    series(shown, "Series SQUARE,")
    return shown


def on(shown: Shown, what: str = "measuring") -> Shown:
    """As a site that wants it shows the case."""
    shown.page.goto(f"{shown.page.url.split('?')[0]}?{what}")
    shown.whole()
    return shown


def choose(shown: Shown, kind: str) -> None:
    tool = shown.page.get_by_role("button", name="Measure", exact=True)
    if tool.get_attribute("aria-pressed") != "true":
        tool.click()
    shown.page.locator(".measuring").get_by_role("button", name=kind, exact=True).click()


def at(shown: Shown, column: float, row: float, look: Look = AS_SENT, pane: str = "viewer.pane") -> tuple[float, float]:
    """Where a place of the image lies on the page: worked out here, not by the app."""
    view, box, layout = shown.page.evaluate(f"[{pane}.view, (box => [box.left, box.top])({pane}.canvas.getBoundingClientRect()), {pane}.frame.layout]")
    wide, high = layout["columns"] * view["scale"], layout["rows"] * view["scale"] * view["aspect"]
    x, y = column * view["scale"], row * view["scale"] * view["aspect"]
    if look.mirrored:
        x = wide - x
    for _ in range(look.turn):
        x, y, wide, high = high - y, x, high, wide
    return box[0] + (view["left"] + x) / RATIO, box[1] + (view["top"] + y) / RATIO


def draw(shown: Shown, *places: tuple[float, float], look: Look = AS_SENT, pane: str = "viewer.pane") -> None:
    """From the first to the last, by one finger."""
    kept(shown)
    (x1, y1), (x2, y2) = (at(shown, *place, look, pane) for place in (places[0], places[-1]))
    shown.touch([(x1 + (x2 - x1) * n / 10, y1 + (y2 - y1) * n / 10) for n in range(11)])


def kept(shown: Shown) -> list[dict]:
    shown.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return json.loads(shown.page.evaluate("sessionStorage.getItem('measures')") or "[]")


def words(shown: Shown) -> list[str]:
    """As whoever hears the page reads them."""
    shown.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    return shown.page.evaluate("[...document.querySelectorAll('.measuring .go span')].map(one => one.textContent)")


def numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", text)]


def source(shown: Shown) -> pydicom.Dataset:
    """The object that is seen, as it was decoded outside of the browser."""
    geometry, description = shown.geometry(), shown.told["series"][shown.frame()["series"]]["banner"]["series_description"]
    files = (pydicom.dcmread(path) for path in shown.decoded.rglob("*") if path.is_file())
    return next(one for one in files if one.get("SeriesDescription") == description and one.InstanceNumber == geometry["number"])


def spacing(file: pydicom.Dataset, frame: int) -> np.ndarray:
    """Of columns, of rows."""
    group = file.PerFrameFunctionalGroupsSequence[frame].PixelMeasuresSequence[0] if "PerFrameFunctionalGroupsSequence" in file else file
    rows, columns = group.get("PixelSpacing") or group.get("ImagerPixelSpacing") or (1, 1)
    return np.array([float(columns), float(rows)])


def values(file: pydicom.Dataset, frame: int) -> np.ndarray:
    group = file.PerFrameFunctionalGroupsSequence[frame].PixelValueTransformationSequence[0] if "PerFrameFunctionalGroupsSequence" in file else file
    stored = pixel_array(file, index=frame)
    meant = stored.astype(float) * float(group.get("RescaleSlope", 1)) + float(group.get("RescaleIntercept", 0))
    padding = file.get("PixelPaddingValue")
    return meant if padding is None else np.where(stored == np.array(padding).astype(stored.dtype), np.nan, meant)


def inside(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    middle, half = points.mean(axis=0), np.abs(points[1] - points[0]) / 2
    rows, columns = np.mgrid[:shape[0], :shape[1]] + 0.5
    return ((columns - middle[0]) / half[0]) ** 2 + ((rows - middle[1]) / half[1]) ** 2 <= 1


# Each with what is said of its lengths, and the unit of its values.
OBJECTS = {"SQUARE": (" mm", " HU"), "OBLONG": (" mm", ""), "DETECTOR": (" mm at the detector", ""), "BARE": (" px (no scale)", ""), "SOUND": (" px (no scale)", ""),
           "PADDED": (" mm", " HU"), "PADDED US": (" mm", " HU"), "PADDED SS": (" mm", " HU"), "CAPTURE": (" mm", ""), "LOST": (" mm", ""), "UNITS": (" mm", " MGML")}
# So far apart that no end is taken for another.
LINE = ((30.0, 30.0), (110.0, 150.0))
OVAL = ((40.0, 80.0), (120.0, 180.0))


def compare(shown: Shown, look: Look, scale: str, unit: str) -> tuple[float, float]:
    """A length and an ellipse, drawn by a finger and read from the list. Gives by how many pixels and units they are off."""
    frame, file = shown.frame()["frame"], source(shown)
    side = np.array([1.0, 1.0]) if "px" in scale else spacing(file, frame)
    before = len(kept(shown))
    choose(shown, "Length")
    draw(shown, *LINE, look=look)
    choose(shown, "Ellipse")
    draw(shown, *OVAL, look=look)
    line, oval = (np.array(one["points"]) for one in kept(shown)[before:])
    assert np.abs(line - LINE).max() <= 1 and np.abs(oval - OVAL).max() <= 1, "the finger was elsewhere"
    said_line, said_oval = words(shown)[before:]
    assert said_line.startswith("Length ") and said_line.endswith(scale), said_line
    length = np.linalg.norm((line[1] - line[0]) * side)
    assert numbers(said_line)[0] == pytest.approx(length, abs=ROUNDED)
    off_pixels = abs(numbers(said_line)[0] - np.linalg.norm((np.array(LINE[1]) - LINE[0]) * side)) / side.max()
    meant, mask = values(file, frame), inside(oval, (ROWS, COLUMNS))
    mean, deviation, counted, *more = numbers(said_oval)
    assert said_oval.startswith(f"Mean {mean}{unit}, σ {deviation}{unit}, n {int(counted)}"), said_oval
    assert counted == np.count_nonzero(mask & ~np.isnan(meant))
    assert ("without padding" in said_oval) == bool(np.isnan(meant[mask]).any())
    if "without padding" in said_oval:
        assert more[0] == np.count_nonzero(mask)
    assert mean == pytest.approx(np.nanmean(meant[mask]), abs=ROUNDED) and deviation == pytest.approx(np.nanstd(meant[mask]), abs=ROUNDED)
    return off_pixels, abs(mean - np.nanmean(meant[inside(np.array(OVAL), (ROWS, COLUMNS))]))


def test_lengths_and_means_are_those_of_pydicom(measured: Shown, tmp_path: Path) -> None:
    found = {}
    for name, (scale, unit) in OBJECTS.items():
        series(measured, f"Series {name},")
        found[name] = compare(measured, AS_SENT, scale, unit)
        measured.page.screenshot(path=tmp_path / f"{name}.png")
    series(measured, "Series FRAMES,")
    for place in range(3):
        measured.go(place, 3)
        measured.here()
        found[f"FRAMES {place + 1}"] = compare(measured, AS_SENT, " mm", " HU")
    print("off by pixels, by units:", *found.items(), sep="\n")
    assert max(pixel for pixel, _ in found.values()) <= 1
    assert max(mean for _, mean in found.values()) <= MEAN_APART_MAX
    assert not measured.page.refused, measured.page.refused


def told(shown: Shown) -> str:
    kept(shown)
    return shown.page.locator(".measuring .told").text_content()


def test_what_is_told_goes_with_its_image(measured: Shown) -> None:
    page = measured.page
    for kind, ends in (("Length", LINE), ("Ellipse", OVAL), ("Value", LINE)):
        measured.go(0, 2)
        choose(measured, kind)
        for leave in (lambda: measured.go(1, 2), lambda: series(measured, "Series OBLONG,"), lambda: page.get_by_role("button", name="Window", exact=True).click()):
            series(measured, "Series SQUARE,")
            measured.go(0, 2)
            draw(measured, *ends)
            assert numbers(told(measured)), kind
            leave()
            assert told(measured) == "", kind
            choose(measured, kind)
            assert told(measured) == "", kind
            if kept(measured):
                delete_all(measured)


# A finger that came down at one place of an image, and is at another.
HOLD = "(([pane, from, to]) => { for (const [phase, x, y] of [['down', ...from], ['move', ...to]]) viewer.measuring.finger(pane, phase, x, y); window.pane = pane; window.to = to; })"
LIFT = "viewer.measuring.finger(window.pane, 'up', ...window.to)"


def test_whatever_comes_between_leaves_a_held_mark_as_it_was(measured: Shown) -> None:
    page = measured.page
    page.set_viewport_size(LANDSCAPE)
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("button", name="Two series side by side").click()
    choose(measured, "Length")
    until(lambda: page.evaluate("viewer.panes.every(pane => pane.canvas.dataset.shown === 'full')"))
    kept(measured)
    draw(measured, *LINE)
    before, box = kept(measured), page.evaluate("(box => [box.left, box.top])(viewer.pane.canvas.getBoundingClientRect())")
    ends = [[place[n] - box[n] for n in (0, 1)] for place in (at(measured, *LINE[1]), at(measured, 130, 60))]
    for between in ("viewer.show(1)", "[...viewer.measuring.kinds.children].find(one => one.textContent.includes('Value')).click()", "viewer.toolbar.tool = 'scroll'; viewer.toolbar.show()",
                    "viewer.measuring.finger(viewer.pair.other, 'down', 50, 50)", "viewer.measuring.finger(viewer.pair.other, 'move', 50, 50)"):
        page.evaluate(f"{HOLD}([viewer.pane, ...{json.dumps(ends)}])")
        page.evaluate(between)
        kept(measured)
        page.evaluate(LIFT)
        page.evaluate("viewer.show(0)")
        page.evaluate("viewer.toolbar.tool = 'measure'; viewer.toolbar.show()")
        choose(measured, "Length")
        assert kept(measured) == before, between
        # What is held would be kept with the next change, too.
        draw(measured, (20, 20), (60, 20))
        first, _ = kept(measured)
        assert [first] == before, between
        page.evaluate("viewer.measuring.list.lastElementChild.querySelector('button:last-child').click()")
        assert kept(measured) == before


def test_an_angle_has_three_places_whatever_a_finger_does(measured: Shown) -> None:
    page = measured.page
    choose(measured, "Angle")
    draw(measured, (30, 100), (80, 100))
    box = page.evaluate("(box => [box.left, box.top])(viewer.pane.canvas.getBoundingClientRect())")
    vertex, end = ([place[n] - box[n] for n in (0, 1)] for place in (at(measured, 80, 100), at(measured, 20, 20)))
    # No end of this way is told.
    page.evaluate(f"{HOLD}([viewer.pane, {vertex}, {end}])")
    draw(measured, (80, 100), (110, 70))
    (angle,) = kept(measured)
    assert np.abs(np.array(angle["points"]) - [(30, 100), (80, 100), (110, 70)]).max() <= 1


def test_taps_change_nothing_and_a_measure_stays_as_long_as_one_can_be_drawn(measured: Shown) -> None:
    for kind, ends in (("Length", LINE), ("Ellipse", OVAL)):
        choose(measured, kind)
        draw(measured, *ends)
        before = kept(measured)
        x, y = at(measured, *ends[1])
        measured.touch([(x + 6, y + 5), (x + 2, y + 9)])
        assert kept(measured) == before
        # Over its other end.
        draw(measured, ends[1], ends[0])
        assert kept(measured) == before
        delete_all(measured)


def delete_all(shown: Shown, left: int = 0) -> None:
    shown.page.evaluate("viewer.measuring.all.open = true")
    shown.page.once("dialog", lambda dialog: dialog.accept())
    shown.page.get_by_role("button", name="Delete all").click()
    shown.page.evaluate("viewer.measuring.all.open = false")
    until(lambda: len(kept(shown)) == left)


def test_a_turned_and_mirrored_picture_measures_the_same(measured: Shown, tmp_path: Path) -> None:
    series(measured, "Series OBLONG,")
    # The words that say how it is turned are a button: no place to begin a line.
    measured.page.evaluate("viewer.pane.mark.style.visibility = 'hidden'")
    for turn, mirrored in product(range(4), (False, True)):
        look = Look(turn, mirrored)
        measured.page.evaluate(f"viewer.pane.present({{ turn: {turn}, mirrored: {json.dumps(mirrored)}, inverted: false }})")
        off, apart = compare(measured, look, " mm", "")
        assert off <= 1 and apart <= MEAN_APART_MAX, look
        measured.page.screenshot(path=tmp_path / f"turned-{turn}-{mirrored}.png")
        # What was drawn lies with the image: turned on, its ends are where they are in the image.
        for other in (AS_SENT, look, Look((turn + 1) % 4, not mirrored)):
            measured.page.evaluate(f"viewer.pane.present({{ turn: {other.turn}, mirrored: {json.dumps(other.mirrored)}, inverted: false }})")
            kept(measured)
            ends = measured.page.evaluate("[...document.querySelectorAll('.marks circle')].slice(0, 2).map(one => (box => [box.left + box.width / 2, box.top + box.height / 2])(one.getBoundingClientRect()))")
            for end, place in zip(ends, LINE, strict=True):
                assert end == pytest.approx(at(measured, *place, other), abs=3)
        delete_all(measured)


def test_an_angle_has_two_arms_and_the_shape_of_the_pixels(measured: Shown, tmp_path: Path) -> None:
    series(measured, "Series OBLONG,")
    choose(measured, "Angle")
    draw(measured, (30, 100), (80, 100))
    expect(measured.page.locator(".measuring .told")).to_have_text("Draw the other arm")
    assert kept(measured) == [], "half an angle is none"
    draw(measured, (80, 100), (110, 70))
    (angle,) = kept(measured)
    side = spacing(source(measured), 0)
    one, other = ((np.array(angle["points"][n]) - angle["points"][1]) * side for n in (0, 2))
    expected = np.degrees(np.arccos(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)))
    assert words(measured) == [f"Angle {expected:.1f}°"]
    assert expected == pytest.approx(180 - np.degrees(np.arctan2(30 * 2.0, 30 * 0.8)), abs=2)
    measured.page.screenshot(path=tmp_path / "angle.png")


def test_the_value_under_the_finger(measured: Shown, tmp_path: Path) -> None:
    choose(measured, "Value")
    file = source(measured)
    for column, row in ((20.5, 30.5), (100.5, 150.5), (77.5, 5.5)):
        x, y = at(measured, column, row)
        measured.touch([(x, y)])
        expect(measured.page.locator(".measuring .told")).to_contain_text(f"{values(file, 0)[int(row), int(column)]:.0f} HU")
        expect(measured.page.locator(".reference")).to_be_visible()
        # Two taps within 300 ms would zoom.
        measured.page.wait_for_timeout(400)
    measured.page.screenshot(path=tmp_path / "value.png")
    # The number stays for reference where its mark goes off screen.
    measured.page.mouse.move(*at(measured, 150.5, 150.5))
    measured.page.keyboard.down("Control")
    measured.page.mouse.wheel(0, -400)
    measured.page.keyboard.up("Control")
    expect(measured.page.locator(".marks path")).to_have_count(0)
    expect(measured.page.locator(".measuring .told")).to_contain_text("HU")
    expect(measured.page.locator(".reference")).to_be_visible()
    assert kept(measured) == []
    series(measured, "Series PADDED,")
    measured.touch([at(measured, 10, 10)])
    expect(measured.page.locator(".measuring .told")).to_have_text("padding")
    series(measured, "Series COLOUR,")
    choose(measured, "Ellipse")
    draw(measured, *OVAL)
    assert words(measured) == ["colours have no values"]


def test_marks_belong_to_their_image_and_are_mended_and_deleted(measured: Shown, tmp_path: Path) -> None:
    page, reference = measured.page, measured.page.locator(".reference")
    choose(measured, "Length")
    draw(measured, *LINE)
    expect(reference).to_be_visible()
    expect(page.locator(".marks path.over")).to_have_count(1)
    measured.go(1, 2)
    expect(reference).to_be_hidden()
    expect(page.locator(".marks path")).to_have_count(0)
    draw(measured, (20, 20), (60, 20))
    measured.go(0, 2)
    expect(reference).to_be_visible()
    # Taken 20 px beside its handle, it goes as far as the finger does.
    (x, y), (to_x, to_y) = at(measured, *LINE[1]), at(measured, 130, 60)
    measured.touch([(x + 14 + (to_x - x) * n / 10, y + 14 + (to_y - y) * n / 10) for n in range(11)])
    first, second = kept(measured)
    assert np.abs(np.array(first["points"]) - [LINE[0], (130, 60)]).max() <= 1 and second["instance"] != first["instance"]
    # Two fingers zoom, and leave nothing.
    x, y = measured.center()
    measured.touch([(x - 20 - 8 * n, y) for n in range(10)], [(x + 20 + 8 * n, y) for n in range(10)])
    assert measured.page.evaluate("viewer.pane.camera.zoom") > 2 and kept(measured) == [first, second]
    page.get_by_text("Measured: 2").click()
    assert not (barriers := harness.barriers(page)), barriers
    assert not (small := harness.too_small(page)), small
    page.screenshot(path=tmp_path / "list.png")
    # The list leads to the image.
    page.locator(".measuring .go").nth(1).click()
    expect(page.locator(".corner")).to_contain_text("2 / 2")
    page.get_by_role("button", name=re.compile("^Delete: .*series 3 image 42$")).click()
    assert kept(measured) == [first]
    delete_all(measured)
    measured.go(0, 2)
    expect(reference).to_be_hidden()
    assert not page.refused, page.refused


def test_a_line_goes_into_the_answer_and_nothing_is_sent_unasked(measured: Shown) -> None:
    page = measured.page
    choose(measured, "Length")
    draw(measured, *LINE)
    (line,) = words(measured)
    page.get_by_text("Measured: 1").click()
    into = page.get_by_role("button", name=re.compile("^Put into the answer"))
    into.click()
    field = page.get_by_role("textbox")
    expect(field).to_have_value(f"{line} (for reference), series 3 image 41")
    assert page.evaluate("window.answered") is None
    into.click()
    into.click()
    expect(page.locator(".measuring .told")).to_contain_text("does not fit")
    assert len(field.input_value()) <= 100
    page.get_by_role("button", name="Send").click()
    until(lambda: page.evaluate("window.answered") is not None)
    kind, text = page.evaluate("window.answered")
    assert kind == "words" and text.count(line) == len(text) // len(f"{line} (for reference), series 3 image 41")


# Of the longest numbers that a CT has: 16 bits in steps of an eighth, its bound the largest, an image of many.
LONGEST = """(async () => {
  const { brief, lines, placeWords } = await import('/js/viewer/measured.js');
  const values = { mean: -24576.06, deviation: 16384.06, counted: 262143, inside: 262144, unit: 'HU', decimals: 1, bound: 12.5 }, of = { kind: 'ellipse', frame: 9998, points: [], values };
  const spacing = (...spacing) => ({ spacing, atDetector: false, calibrated: false }), angle = { kind: 'angle', points: [[0, 10], [0, 0], [10, 10]] }, line = { kind: 'length', points: [[0, 0], [3, 4]] };
  const place = (seriesNumber, number) => placeWords(of, { frames: [{ frame: 1 }] }, { seriesNumber, number });
  return { ellipse: brief(of, {}, 'CT'), place: place(99999, 99999), unknown: [place(null, 1), place(1, null)],
    angles: [[0, 0], [0.5, 0.5], [0.5, 1]].map((one) => lines(angle, spacing(...one), 'CT')[0]), sound: lines(angle, spacing(0.5, 1), 'US')[0],
    lengths: [[0, 0], [0.5, 0.5], [1e-101, 1e-101]].map((one) => lines(line, spacing(...one), 'CT')[0]) };
})()"""


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
def test_the_longest_line_fits_and_an_unknown_spacing_or_place_is_none(show, language: str, tmp_path: Path) -> None:  # noqa: F811
    shown = on(show(written(tmp_path / "objects"), language=language))
    said = shown.page.evaluate(LONGEST)
    words = {"ja-JP": "平均 -24576.1, σ 16384.1, 各値 ±12.5 HU", "en-GB": "Mean -24576.1, σ 16384.1, each ±12.5 HU"}[language]
    place = {"ja-JP": "シリーズ99999 画像99999 フレーム9999", "en-GB": "series 99999 image 99999 frame 9999"}[language]
    assert (said["ellipse"], said["place"]) == (words, place)
    line = shown.page.evaluate(f"import('/js/texts.js').then(({{ t }}) => t('measured line', {json.dumps(words)}, {json.dumps(place)}))")
    assert len(line) <= 100, line
    assert said["unknown"] == ["", ""]
    bare = {"ja-JP": "(縮尺なし)", "en-GB": "(no scale)"}[language]
    assert [numbers(one)[0] for one in said["angles"]] == [45, 45, pytest.approx(np.degrees(np.arctan2(10, 5)), abs=ROUNDED)]
    assert [one.endswith(bare) for one in (*said["angles"], said["sound"])] == [True, False, False, True]
    assert numbers(said["sound"]) == numbers(said["angles"][2]), "pixels have their shape where they have no size"
    assert [numbers(one)[0] for one in said["lengths"]] == [5, 2.5, 0] and said["lengths"][0].endswith(bare)
    # An ultrasound image has no bar either.
    series(shown, {"ja-JP": "シリーズ SOUND", "en-GB": "Series SOUND,"}[language])
    expect(shown.page.locator(".ruler")).to_have_text("")
    series(shown, {"ja-JP": "シリーズ SQUARE", "en-GB": "Series SQUARE,"}[language])
    expect(shown.page.locator(".ruler")).to_contain_text("cm")


# Where an arrow points, the middle of a pixel, and where it comes from.
ARROW = ((100.5, 60.5), (60.0, 120.0))


def arrow_words(point: list[float]) -> str:
    """Of a point that is kept: columns and rows from 1."""
    column, row = (int(place) + 1 for place in point)
    assert [column - 0.5, row - 0.5] == point, "the middle of a pixel"
    return f"Arrow at column {column}, row {row}"


def test_an_arrow_points_where_it_was_drawn_and_goes_into_the_answer_where_nothing_is_measured(show, tmp_path: Path) -> None:  # noqa: F811
    shown = on(show(written(tmp_path / "objects")), "arrows")
    page = shown.page
    series(shown, "Series SQUARE,")
    # Measured while the site wanted it, on the image that is seen: not shown, and not lost.
    place = page.evaluate("({ series: viewer.pane.stack.index, instance: viewer.pane.frame.instance, frame: viewer.pane.frame.frame })")
    length = {"kind": "length", **place, "points": [[1, 1], [9, 9]], "values": None}
    page.evaluate(f"sessionStorage.setItem('measures', JSON.stringify([{json.dumps(length)}]))")
    on(shown, "arrows")
    series(shown, "Series SQUARE,")
    expect(page.get_by_role("button", name="Measure")).to_have_count(0)
    page.get_by_role("button", name="Arrow", exact=True).click()
    expect(page.locator(".measuring .told")).to_contain_text("Put the finger on what is meant")
    assert page.locator(".measuring .row").count() == 0 and page.locator(".marks path").count() == 0
    for turn, mirrored in product(range(4), (False, True)):
        look = Look(turn, mirrored)
        page.evaluate(f"viewer.pane.present({{ turn: {turn}, mirrored: {json.dumps(mirrored)}, inverted: false }})")
        draw(shown, *ARROW, look=look)
        _, arrow = kept(shown)
        (line,) = words(shown)
        # A finger is known to half a CSS pixel, which is less than a pixel of the image here.
        assert (arrow["kind"], line) == ("arrow", arrow_words(arrow["points"][0])) and np.abs(np.subtract(arrow["points"][0], ARROW[0])).max() <= 1, (look, line)
        # Its tip is there on the screen, and no word hides what it shows.
        tip = page.evaluate("(([circle]) => (box => [box.left + box.width / 2, box.top + box.height / 2])(circle.getBoundingClientRect()))(document.querySelectorAll('.marks circle'))")
        assert tip == pytest.approx(at(shown, *arrow["points"][0], look), abs=1)
        expect(page.locator(".marks path.over")).to_have_count(1)
        expect(page.locator(".marks text")).to_have_count(0)
        expect(page.locator(".reference")).to_be_hidden()
        page.screenshot(path=tmp_path / f"arrow-{turn}-{mirrored}.png")
        if look != Look(3, True):
            delete_all(shown, left=1)
    page.get_by_text("Arrows: 1").click()
    assert not (barriers := harness.barriers(page)), barriers
    assert not (small := harness.too_small(page)), small
    page.screenshot(path=tmp_path / "list.png")
    page.get_by_role("button", name=re.compile("^Put into the answer")).click()
    expect(page.get_by_role("textbox")).to_have_value(f"{line}, series 3 image 41")
    assert page.evaluate("window.answered") is None
    # It comes back with its image, and stands on no other; what was measured comes back where it is wanted.
    on(shown, "arrows")
    series(shown, "Series SQUARE,")
    shown.go(1, 2)
    expect(page.locator(".marks path")).to_have_count(0)
    shown.go(0, 2)
    expect(page.locator(".marks path.over")).to_have_count(1)
    on(shown)
    series(shown, "Series SQUARE,")
    expect(page.locator(".marks path.over")).to_have_count(2)
    assert kept(shown) == [length, arrow]
    assert not page.refused, page.refused


def test_an_arrow_is_the_pixel_that_is_drawn_under_the_finger_whichever_way_it_is_turned(measured: Shown) -> None:
    """By places of the finger that lie on the border of two pixels."""
    # A pixel of the image is a whole number of the screen's.
    asked = """([turn, mirrored, across, down]) => {
      const { pane, measuring } = viewer;
      pane.present({ turn, mirrored, inverted: false });
      pane.camera.reset();
      pane.camera.zoom = Math.ceil(pane.view.scale) / pane.view.scale;
      const { left, top, scale } = pane.view;
      for (const [phase, way] of [['down', 0], ['move', 60], ['up', 60]])
        measuring.finger(pane, phase, (left + across * scale) / devicePixelRatio + way, (top + down * scale) / devicePixelRatio + way);
      return scale;
    }"""
    choose(measured, "Arrow")
    across = down = 50
    for turn, mirrored in product(range(4), (False, True)):
        scale = measured.page.evaluate(asked, [turn, mirrored, across, down])
        (arrow,) = kept(measured)
        # The 51st pixel across and down on the screen, taken back to the image.
        seen = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
        seen = np.rot90(seen[:, ::-1] if mirrored else seen, -turn)
        row, column = divmod(int(seen[down, across]), COLUMNS)
        assert scale == int(scale) and arrow["points"][0] == [column + 0.5, row + 0.5], (turn, mirrored)
        delete_all(measured)


def test_an_arrow_may_come_from_beside_the_image_and_points_at_nothing_there(measured: Shown) -> None:
    page = measured.page
    choose(measured, "Arrow")
    draw(measured, (COLUMNS - 2.5, 100.5), (COLUMNS + 30, 100.5))
    (arrow,) = kept(measured)
    assert arrow["points"][0][0] == COLUMNS - 2.5 and arrow["points"][1][0] > COLUMNS + 20
    # Its point is taken and moved on, and stays on the image.
    draw(measured, tuple(arrow["points"][0]), (COLUMNS + 40, 20.5))
    (moved,) = kept(measured)
    assert moved["points"] == [[COLUMNS - 0.5, pytest.approx(20.5, abs=1)], arrow["points"][1]]
    draw(measured, (80, -20), (80, 60))
    assert kept(measured) == [moved], "it would show what is beside the image"
    # Zoomed it says the same place.
    page.evaluate("viewer.pane.zoom(3)")
    middle = (COLUMNS / 2 + 0.5, ROWS / 2 + 0.5)
    draw(measured, middle, (middle[0] - 15, middle[1]))
    assert kept(measured)[1]["points"][0] == [*middle]


def test_an_arrow_among_measures_is_no_figure_and_of_a_frame_it_says_which(measured: Shown) -> None:
    page, reference = measured.page, measured.page.locator(".reference")
    into = page.get_by_role("button", name=re.compile("^Put into the answer"))
    choose(measured, "Arrow")
    draw(measured, *ARROW)
    assert told(measured) == arrow_words(kept(measured)[0]["points"][0])
    expect(reference).to_be_hidden()
    choose(measured, "Length")
    draw(measured, *LINE)
    expect(reference).to_be_visible()
    page.get_by_text("Measures and arrows: 2").click()
    arrow, length = words(measured)
    assert [one.get_attribute("aria-label") for one in into.all()] \
        == [f"Put into the answer: {arrow}, series 3 image 41", f"Put into the answer: {length} (for reference), series 3 image 41"]
    delete_all(measured)
    series(measured, "Series FRAMES,")
    measured.go(1, 3)
    choose(measured, "Arrow")
    draw(measured, *ARROW)
    page.get_by_text("Arrows: 1").click()
    assert into.get_attribute("aria-label").endswith("series 9 image 7 frame 2")
    delete_all(measured)
    # Nothing says which image it is of.
    series(measured, "Series DETECTOR,")
    draw(measured, *ARROW)
    page.get_by_text("Arrows: 1").click()
    assert len(words(measured)) == 1
    expect(into).to_have_count(0)


def test_an_image_whose_number_another_one_has_goes_into_no_answer(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "objects"
    folder.mkdir()
    for number in (41, 42):
        image(folder, f"{number}.dcm", "TWICE", hu(number), 41, PixelSpacing=[0.7, 0.7], **CT)
    shown = on(show(folder))
    choose(shown, "Arrow")
    draw(shown, *ARROW)
    shown.page.get_by_text("Arrows: 1").click()
    assert len(words(shown)) == 1
    expect(shown.page.get_by_role("button", name=re.compile("^Put into the answer"))).to_have_count(0)


def test_what_number_the_others_have_is_known_before_an_image_goes_into_an_answer(measured: Shown) -> None:
    page, into = measured.page, measured.page.get_by_role("button", name=re.compile("^Put into the answer"))
    page.evaluate("""(() => {
      const { pictures } = viewer, own = viewer.pane.frame.instance;
      pictures.geometry = function (stack, frame) { return frame.instance === own ? Object.getPrototypeOf(this).geometry.call(this, stack, frame) : null; };
      window.give = () => { delete pictures.geometry; pictures.dispatchEvent(new Event('ordered')); };
    })()""")
    choose(measured, "Arrow")
    draw(measured, *ARROW)
    page.get_by_text("Arrows: 1").click()
    assert len(words(measured)) == 1
    expect(into).to_have_count(0)
    page.evaluate("give()")
    expect(into).to_have_count(1)


def test_values_of_what_had_lost_something_before_it_came_say_so(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "objects"
    folder.mkdir()
    for number, lossy in ((41, "01"), (42, "00")):
        image(folder, f"{number}.dcm", "MIXED", hu(number), number, PixelSpacing=[0.7, 0.7], LossyImageCompression=lossy, **CT)
    shown = on(show(folder))
    page, came = shown.page, "Lossy before it came"
    expect(page.locator(".corner")).to_contain_text(came)
    choose(shown, "Ellipse")
    draw(shown, *OVAL)
    until(lambda: words(shown) and words(shown)[0].startswith("Mean"))
    assert words(shown)[0].endswith(", of a lossy image")
    choose(shown, "Value")
    draw(shown, *LINE)
    until(lambda: told(shown).endswith("HU, of a lossy image"))
    page.screenshot(path=tmp_path / "lossy.png")
    page.get_by_text("Measured: 1").click()
    page.get_by_role("button", name=re.compile("^Put into the answer")).click()
    assert re.fullmatch(r"Mean [\d.-]+, σ [\d.]+ HU, lossy \(for reference\), series 3 image 41", page.get_by_role("textbox").input_value())
    # The one behind it lost nothing.
    shown.go(1, 2)
    expect(page.locator(".corner")).not_to_contain_text(came)
    choose(shown, "Value")
    draw(shown, *LINE)
    until(lambda: told(shown).endswith("HU"))


def test_an_image_that_lacks_a_number_goes_into_no_answer(measured: Shown) -> None:
    series(measured, "Series DETECTOR,")
    choose(measured, "Length")
    draw(measured, *LINE)
    assert len(words(measured)) == 1
    measured.page.get_by_text("Measured: 1").click()
    expect(measured.page.get_by_role("button", name="Delete: ")).to_have_count(1)
    expect(measured.page.get_by_role("button", name="Put into the answer")).to_have_count(0)


def test_what_cannot_be_opened_is_not_written_over(measured: Shown) -> None:
    choose(measured, "Length")
    draw(measured, *LINE)
    before = kept(measured)
    measured.page.add_init_script("window.locked = true")
    measured.page.reload()
    measured.whole()
    measured.page.get_by_role("button", name="Measure", exact=True).click()
    assert "cannot be opened" in told(measured) and words(measured) == []
    draw(measured, *LINE)
    until(lambda: "nothing is kept" in told(measured))
    assert kept(measured) == before and len(words(measured)) == 1


def test_a_program_that_did_not_come_is_said_and_pictures_stay(show, tmp_path: Path) -> None:  # noqa: F811
    shown = show(written(tmp_path / "objects"))
    shown.page.route("**/measuring.js", lambda route: route.abort())
    on(shown)
    expect(shown.page.get_by_text("Arrows and measuring were not loaded")).to_be_visible()
    expect(shown.page.get_by_role("button", name="Measure", exact=True)).to_have_count(0)
    series(shown, "Series PADDED,")


def test_a_fault_of_measuring_stops_no_picture(measured: Shown) -> None:
    choose(measured, "Length")
    measured.page.evaluate("void (viewer.measuring.draw = () => { throw new Error('measuring'); })")
    measured.page.evaluate("viewer.show(1)")
    until(lambda: measured.page.evaluate("viewer.slider.value") == "2")


def test_side_by_side_each_picture_has_its_own(measured: Shown, tmp_path: Path) -> None:
    page = measured.page
    page.set_viewport_size(LANDSCAPE)
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("button", name="Two series side by side").click()
    expect(page.locator(".stage")).to_have_count(2)
    choose(measured, "Length")
    until(lambda: page.evaluate("viewer.panes.every(pane => pane.canvas.dataset.shown === 'full')"))
    kept(measured)
    draw(measured, *LINE, pane="viewer.pair.other")
    (one,) = kept(measured)
    stages = [(stage.locator(".marks path.over").count(), stage.locator(".reference").is_visible()) for stage in page.locator(".stage").all()]
    assert stages == [(0, False), (1, True)]
    assert one["series"] == page.evaluate("viewer.pane.stack.index")
    assert np.abs(np.array(one["points"]) - LINE).max() <= 1
    page.screenshot(path=tmp_path / "two.png")


def test_no_value_is_said_of_a_coarse_picture(show, ct_study: list[Path], tmp_path: Path) -> None:  # noqa: F811
    """And once it is whole, by how much the compression may have changed each."""
    shown = on(show(ct_study[0].parent))
    one, file = shown.told["series"][0], source(shown)
    choose(shown, "Ellipse")
    draw(shown, (200, 200), (312, 312))
    (said,) = words(shown)
    bound = one["maxError"] * float(file.get("RescaleSlope", 1))
    assert one["near"] > 0 and said.endswith(f"each value ±{bound:g} HU"), said
    (oval,) = kept(shown)
    assert numbers(said)[0] == pytest.approx(np.nanmean(values(file, 0)[inside(np.array(oval["points"]), (512, 512))]), abs=ROUNDED)
    # The same image, of which only the coarse picture comes.
    shown.page.add_init_script("window.delay = 1000")
    shown.page.reload()
    expect(shown.page.locator("canvas[data-shown=coarse]")).to_be_visible(timeout=WAIT_MS)
    expect(shown.page.locator(".marks text")).to_contain_text("values once the whole image is here")
    shown.page.screenshot(path=tmp_path / "coarse.png")
    shown.here()
    expect(shown.page.locator(".marks text")).to_contain_text("Mean")
    assert shown.page.evaluate("viewer.measuring.list.querySelector('.go span').textContent") == said


@pytest.mark.parametrize("language", ["ja-JP", "en-GB"])
def test_nothing_can_be_measured_unless_the_site_wants_it(show, language: str, tmp_path: Path) -> None:  # noqa: F811
    shown = show(written(tmp_path / "objects"), language=language)
    shown.whole()
    tool = {"ja-JP": "計測", "en-GB": "Measure"}[language]
    expect(shown.page.get_by_role("button", name=tool)).to_have_count(0)
    assert not shown.page.evaluate("performance.getEntriesByType('resource').filter(one => /measur/.test(one.name)).length"), "not even its program is fetched"
    on(shown)
    shown.page.get_by_role("button", name=tool).click()
    draw(shown, *LINE)
    expect(shown.page.locator(".reference")).to_have_text({"ja-JP": "参考値", "en-GB": "For reference"}[language])
    shown.page.screenshot(path=tmp_path / f"measured-{language}.png")
    shown.page.evaluate("window.full = true")
    draw(shown, (20, 20), (60, 20))
    expect(shown.page.locator(".measuring .told")).to_contain_text({"ja-JP": "保存できません", "en-GB": "cannot keep"}[language])


def test_webkit_measures_the_same(webkit: WebKit, ct_study: list[Path], wasm: Path, tmp_path: Path) -> None:  # noqa: F811
    with served(webkit, ct_study[0].parent, wasm, tmp_path, "?measuring") as (told, decoded):
        webkit.evaluate("sessionStorage.clear()")
        in_webkit(webkit, "!!window.viewer?.measuring && viewer.pane.canvas.dataset.shown === 'full'")
        webkit.evaluate("viewer.pane.canvas.dispatchEvent(new WheelEvent('wheel', { ctrlKey: true, deltaY: -200, cancelable: true }))")
        webkit.evaluate("[...viewer.toolbar.element.children].find(one => one.textContent === 'Measure').click()")
        for number, kind in enumerate(("Length", "Ellipse")):
            webkit.evaluate(f"[...viewer.measuring.kinds.children].find(one => one.textContent.includes('{kind}')).click()")
            webkit.awaited("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
            left, top, wide, high = webkit.evaluate("(box => [box.left, box.top, box.width, box.height])(viewer.pane.canvas.getBoundingClientRect())")
            places = [(left + wide * share, top + high * (share - 0.1 * number)) for share in (0.3, 0.4, 0.6, 0.8)]
            webkit.drag(*places)
            in_webkit(webkit, f"JSON.parse(sessionStorage.getItem('measures') ?? '[]').filter(one => one.kind !== 'ellipse' || one.values).length === {number + 1}")
        webkit.screenshot(tmp_path / "webkit.png")
        line, oval = json.loads(webkit.evaluate("sessionStorage.getItem('measures')"))
        said = webkit.evaluate("[...document.querySelectorAll('.measuring .go span')].map(one => one.textContent)")
        number = told["geometries"][0][oval["instance"]]["number"]
        file = next(one for one in (pydicom.dcmread(path) for path in decoded.rglob("*") if path.is_file()) if one.InstanceNumber == number)
        assert numbers(said[0])[0] == pytest.approx(np.linalg.norm((np.array(line["points"][1]) - line["points"][0]) * spacing(file, 0)), abs=ROUNDED)
        meant, mask = values(file, 0), inside(np.array(oval["points"]), (512, 512))
        assert mask.sum() > 1_000 and numbers(said[1])[0] == pytest.approx(np.nanmean(meant[mask]), abs=ROUNDED)


# Formulas of the module alone, by numbers drawn by chance.
IN_NODE = """
import { readFileSync } from 'node:fs';
const { angle, decimals, length, onImage, statistics } = await import('MODULES/viewer/measure.js');
const { onCanvas } = await import('MODULES/viewer/camera.js');
const { asked } = JSON.parse(readFileSync(0, 'utf8'));
const meaning = (word) => (word === 0 ? null : word * 0.5 - 10);
process.stdout.write(JSON.stringify(asked.map(({ points, spacing, data, view }) => [length(points[0], points[1], spacing), angle(points, spacing),
  statistics(points[0], points[1], { columns: 23, rows: 17, data }, meaning), (({ x, y }) => onImage(view, x, y))(onCanvas(view, ...points[0])), decimals(spacing?.[0] ?? 1),
  statistics(points[0], [points[0][0], points[1][1]], { columns: 23, rows: 17, data }, meaning) ?? statistics(points[0], [points[1][0], points[0][1]], { columns: 23, rows: 17, data }, meaning)])));
"""
WAYS = [[1, 0, 0, 1], [0, -1, 1, 0], [-1, 0, 0, -1], [0, 1, -1, 0], [-1, 0, 0, 1], [0, -1, -1, 0], [1, 0, 0, -1], [0, 1, 1, 0]]


def test_the_formulas_are_those_of_numpy() -> None:
    chance, asked = np.random.default_rng(1), []
    for number in range(200):
        asked.append({"points": (chance.random((3, 2)) * [23, 17]).tolist(), "spacing": None if number % 5 == 0 else (chance.random(2) + 0.05).tolist(),
                      "data": chance.integers(0, 5, 23 * 17).tolist(),
                      "view": {"scale": float(chance.random() + 0.5), "aspect": float(chance.random() + 0.5), "way": WAYS[number % 8], "origin": {"x": 7.0, "y": -3.0}}})
    script = IN_NODE.replace("MODULES", str(TOP / "reader" / "web" / "js"))
    ran = subprocess.run(["node", "--input-type=module", "-e", script], input=json.dumps({"asked": asked}), capture_output=True, text=True, check=True)
    nothing = 0
    for one, (length, angle, found, back, digits, flat) in zip(asked, json.loads(ran.stdout), strict=True):
        points, side = np.array(one["points"]), np.array((one["spacing"] or [1, 1])[::-1])
        assert length == pytest.approx(np.linalg.norm((points[1] - points[0]) * side))
        arms = (points[[0, 2]] - points[1]) * side
        assert angle == pytest.approx(np.degrees(np.arccos(np.clip(np.dot(*arms) / np.prod(np.linalg.norm(arms, axis=1)), -1, 1))), abs=1e-4)
        data = np.array(one["data"]).reshape(17, 23)
        mask = inside(points[:2], data.shape)
        meant = (data * 0.5 - 10)[mask & (data != 0)]
        assert flat is None, "no width, or no height"
        if meant.size == 0:
            nothing += 1
            assert found is None
        else:
            assert found == pytest.approx({"mean": meant.mean(), "deviation": meant.std(), "counted": meant.size, "inside": int(mask.sum())})
        assert back == pytest.approx(points[0])
        assert digits == max(1, 1 - np.floor(np.log10(one["spacing"][0] if one["spacing"] else 1)))
    assert 0 < nothing < 50


@pytest.fixture
def portal(open_bench: Bench, link, request: pytest.FixtureRequest):  # noqa: F811
    portal = Portal(open_bench.folder / "portal", open_bench.folder / "log" / "portal.log", open_bench.store, open_bench.keys, link.behind,
                    origin=f"https://localhost:{link.port}", lines=getattr(request, "param", ()))
    open_bench.extra_logs.append(portal.log)
    yield portal.start()
    portal.stop()


def opened(phone: Phone, delivery: str) -> Shown:
    page = phone.open(f"/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    phone.full()
    assert page.evaluate("import('/js/app.js').then(({ state }) => { window.viewer = state.viewer; return !!state.viewer; })")
    return Shown(page, {}, Path())


# What a browser keeps of the app, all of it in plain.
HELD = "caches.open('scanpost-data-1').then(async (cache) => Promise.all((await cache.keys()).map(async (one) => [new URL(one.url).pathname, await (await cache.match(one)).text()])))"
GONE = """Promise.all([import('/js/app.js'), import('/js/keys.js')]).then(async ([{ state }, { remember }]) => { state.entries = []; await remember([], state.keys, true); })"""
# What is asked before it is written, and once it is.
WRITTEN = """Promise.all([import('/js/app.js'), import('/js/keys.js'), import('/js/store.js')]).then(async ([{ state }, { keepSealed }, { kept }]) => {
  const answers = ASKED, isKept = await keepSealed('measures/other', [], state.keys, () => answers.shift());
  return [isKept, !!(await kept('measures/other'))];
})"""
PATHS = "caches.open('scanpost-data-1').then(async (cache) => (await cache.keys()).map((one) => new URL(one.url).pathname))"


@pytest.mark.parametrize("portal", [('measuring = ["hospital.example"]',)], indirect=True)
def test_what_was_measured_is_there_again_sealed_and_gone_with_the_case(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    delivery = deliver(open_bench, ct_study)
    shown = opened(phone, delivery)
    choose(shown, "Length")
    draw(shown, (100, 200), (300, 200))
    said = words(shown)
    assert len(said) == 1 and said[0].startswith("Length ")
    phone.sees_no_fault("measuring")
    held = dict(phone.page.evaluate(HELD))
    assert f"/measures/{delivery}" in held and not any("points" in text or "length" in text for text in held.values()), "as the passkey alone opens it"
    # The app is closed, and opened again.
    shown = opened(phone, delivery)
    shown.page.get_by_role("button", name="Measure", exact=True).click()
    assert words(shown) == said
    expect(shown.page.locator(".reference")).to_be_visible()
    # Of another passkey, or damaged: it stays.
    locked = f"caches.open('scanpost-data-1').then(async (cache) => {{ await cache.put('https://scanpost.invalid/measures/{delivery}', new Response('damaged, twelve bytes')); }})"
    before = phone.page.evaluate(f"caches.open('scanpost-data-1').then(async (cache) => [...new Uint8Array(await (await cache.match('https://scanpost.invalid/measures/{delivery}')).arrayBuffer())])")
    phone.page.evaluate(locked)
    shown = opened(phone, delivery)
    choose(shown, "Length")
    draw(shown, (100, 100), (300, 100))
    until(lambda: "nothing is kept" in told(shown))
    assert dict(phone.page.evaluate(HELD))[f"/measures/{delivery}"] == "damaged, twelve bytes"
    phone.page.evaluate(f"caches.open('scanpost-data-1').then((cache) => cache.put('https://scanpost.invalid/measures/{delivery}', new Response(new Uint8Array({before}))))")
    # The case is gone from the list while it is looked at: nothing of it is written any more, nor stays that was being written.
    shown = opened(phone, delivery)
    choose(shown, "Length")
    assert words(shown) == said
    phone.page.evaluate(GONE)
    draw(shown, (100, 100), (300, 100))
    until(lambda: "cannot keep" in told(shown))
    assert phone.page.evaluate(PATHS).count(f"/measures/{delivery}") == 0
    for asked in ("[false]", "[true, false]"):
        assert phone.page.evaluate(WRITTEN.replace("ASKED", asked)) == [False, False], asked
    assert phone.page.evaluate(WRITTEN.replace("ASKED", "[true, true]")) == [True, True]
    shown = opened(phone, delivery)
    # The case ends.
    open_bench.gateway.wait_for_state("pulled", seconds=WAIT_MS / 1000)
    shown.page.get_by_role("button", name="Close", exact=True).click()
    shown.page.get_by_role("button", name="Delete for all?").click()
    until(lambda: not [path for path in phone.page.evaluate(PATHS) if delivery in path])


@pytest.mark.parametrize("portal", [(), ('measuring = ["elsewhere.example"]',)], indirect=True, ids=["unsaid", "another site"])
def test_a_portal_says_it_for_each_site_and_for_none_by_itself(open_bench: Bench, portal: Portal, phones, ct_study: list[Path]) -> None:  # noqa: F811
    phone = phones()
    enrol(phone, open_bench, EN)
    shown = opened(phone, deliver(open_bench, ct_study))
    until(lambda: shown.page.evaluate("viewer.pictures.progress.here === viewer.pictures.progress.all"))
    # What comes behind the pictures came.
    open_bench.gateway.wait_for_state("pulled", seconds=WAIT_MS / 1000)
    expect(shown.page.get_by_role("button", name="Measure")).to_have_count(0)
    shown.page.get_by_role("button", name="Arrow", exact=True).click()
    expect(shown.page.locator(".measuring .told")).to_be_visible()
    assert shown.page.locator(".measuring .row").count() == 0 and shown.page.evaluate("viewer.measuring.kind") == "arrow"


def test_a_name_that_is_no_sites_is_refused_at_the_start(open_bench: Bench, portal: Portal) -> None:  # noqa: F811
    portal.stop()
    portal.config.write_text(portal.config.read_text().replace("[portal]", '[portal]\nmeasuring = ["Our Hospital"]'))
    with pytest.raises(RuntimeError, match="measuring: each is the name of a site"):
        portal.start()
