"""Three planes through a series in the app's viewer: equal to numpy's cut of the same slices, left is left, in the right scale, and refused where the slices are no volume."""

import gzip
import statistics
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lab.webkit import WebKit
from peers.memory import Renderers
from playwright.sync_api import Browser, expect
from pydicom.pixels import pixel_array
from pydicom.uid import CTImageStorage, MRImageStorage

import harness
from test_app_presentation import WAYS
from test_app_viewer import MEMORY_MIB_MAX, RATIO, WAIT_MS, WEB, Shown, image, show, smooth, until, wasm  # noqa: F401
from test_app_webkit import served, webkit  # noqa: F401
from test_app_webkit import until as in_webkit

CT = {"Modality": "CT", "SOPClassUID": CTImageStorage, "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 0, "WindowWidth": 1500}
MR = {"Modality": "MR", "SOPClassUID": MRImageStorage, "WindowCenter": 128, "WindowWidth": 256}
AXIAL, CORONAL, SAGITTAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]
PADDING = -2000
BUTTON = {"en-GB": "Axial, coronal and sagittal planes", "ja-JP": "横断・冠状断・矢状断の3断面"}
VIEW = {"en-GB": "View", "ja-JP": "表示"}


def stack(folder: Path, description: str, volume: np.ndarray, orientation: list[float], spacing: tuple[float, float], gap: float, shift=(0.0, 0.0, 0.0), keep=lambda number: True, **elements: object) -> None:
    """Slices of a volume (slices, rows, columns), each `gap` from the last along the normal and `shift` beside it; they come in another order than they lie."""
    across = np.cross(orientation[:3], orientation[3:])
    for number, pixels in enumerate(volume):
        if keep(number):
            position = np.array([-20.0, 30.0, 100.0]) + number * (gap * across + np.array(shift))
            image(folder, f"{description}{number}.dcm", description, pixels, (number * 7) % len(volume) + 1, **{
                "ImageOrientationPatient": list(orientation), "ImagePositionPatient": [round(float(one), 4) for one in position], "PixelSpacing": list(spacing), "FrameOfReferenceUID": "1.2.3.9", **elements})


def body(slices: int, rows: int, columns: int, scale: float, seed: int = 1) -> np.ndarray:
    """Another value in each place, near to its neighbours'."""
    z = np.arange(slices)[:, None, None]
    return smooth(rows, columns, scale, seed)[None] * (0.6 + 0.4 * np.sin(z / 5)) + np.random.default_rng(seed).normal(0, scale / 100, (slices, rows, columns))


def planes(shown: Shown, description: str | None = None, language: str = "en-GB") -> None:
    """The planes of a series, once all of it is here."""
    page = shown.page
    if description:
        page.get_by_role("button", name=f"Series {description},").click()
    shown.here()
    if not page.locator(".menu").is_visible():
        page.get_by_role("button", name=VIEW[language], exact=True).click()
    page.get_by_role("button", name=BUTTON[language], exact=True).click()
    expect(page.locator(".section")).to_have_count(3)
    until(lambda: page.evaluate("viewer.mpr.volume.count === viewer.mpr.volume.size[2]"))
    drawn(shown)


def drawn(shown: Shown) -> None:
    """What was asked for is drawn, and what came meanwhile."""
    shown.page.evaluate("viewer.mpr.ask(); new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def source(shown: Shown) -> np.ndarray:
    """The slices of the series that is seen, as pydicom decodes them outside of the browser, in the order in which they lie."""
    description = shown.told["series"][shown.frame()["series"]]["banner"]["series_description"]
    files = [one for path in shown.decoded.rglob("*") if path.is_file() and (one := pydicom.dcmread(path)).get("SeriesDescription") == description]
    across = np.cross(files[0].ImageOrientationPatient[:3], files[0].ImageOrientationPatient[3:])
    return np.stack([pixel_array(one) for one in sorted(files, key=lambda one: np.dot(across, one.ImagePositionPatient))])


# Each plane as it is given to the renderer, whole.
READ = """viewer.mpr.sections.map(({ axis, content }) => ({ axis, parts: content.parts.map(({ row, rows, columns, data }) => ({ row, rows, columns, data: [...data] })),
  columns: content.columns, rows: content.rows, at: [viewer.mpr.point.column, viewer.mpr.point.row, viewer.pane.place][axis], spacing: viewer.mpr.volume.grid.spacing[axis] }))"""


def compare(shown: Shown, volume: np.ndarray, mm: float = 0, projection=None, padding: int | None = None, apart: int = 0) -> None:
    """Each of the three with the same cut of numpy's."""
    drawn(shown)
    found = shown.page.evaluate(READ)
    assert [one["axis"] for one in found] == [2, 1, 0]
    for one in found:
        (part,) = one["parts"]
        cut = np.moveaxis(volume, 2 - one["axis"], 0)
        half = int(mm / 2 / one["spacing"] + 1e-6)
        slab = cut[max(0, one["at"] - half):one["at"] + half + 1].astype(float)
        expected = slab[0] if projection is None or len(slab) == 1 else projection(np.where(slab == padding, np.nan, slab), axis=0)
        expected = np.where(np.isnan(expected), padding or 0, expected)
        values = np.array(part["data"]).astype(np.int16).view(volume.dtype if volume.itemsize == 2 else np.int16).reshape(part["rows"], part["columns"]).astype(int)
        if volume.itemsize == 1:
            values &= 0xff
        assert values.shape == expected.shape == (one["rows"], one["columns"])
        assert np.abs(values - expected).max() <= apart, (one["axis"], one["at"], mm, projection)
        assert len(np.unique(expected)) > 20, "a plane without contrast proves nothing"


def go(shown: Shown, column: int, row: int, place: int) -> None:
    shown.page.evaluate(f"Object.assign(viewer.mpr.point, {{ column: {column}, row: {row} }}); viewer.show({place})")


def choose(shown: Shown, name: str) -> None:
    shown.page.locator(".slab").get_by_role("button", name=name, exact=True).click()


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = tmp_path / "volumes"
    folder.mkdir()
    stack(folder, "AXIAL", (body(30, 40, 48, 900) + 700).astype(np.int16), AXIAL, (0.7, 0.7), 1.5, **CT)
    stack(folder, "CORONAL", body(26, 36, 44, 2000, 2).clip(0).astype(np.uint16), CORONAL, (0.8, 1.1), 2.0, **MR | {"WindowWidth": 2000})
    stack(folder, "SAGITTAL", body(20, 32, 40, 60_000, 3).clip(0, 65535).astype(np.uint16), SAGITTAL, (1.0, 1.0), 3.0, **MR | {"WindowWidth": 60_000})
    # Rows to the right, columns to the front: each axis the other way round.
    stack(folder, "FLIPPED", body(24, 40, 32, 240, 4).clip(0, 255).astype(np.uint8), [-1, 0, 0, 0, -1, 0], (0.9, 0.9), 2.0, **MR)
    padded = (body(30, 40, 48, 900, 5) + 700).astype(np.int16)
    padded[:, :, :20] = padded[:12, 8:, :] = PADDING
    stack(folder, "PADDED", padded, AXIAL, (0.7, 0.7), 1.5, PixelPaddingValue=PADDING, **CT)
    return folder


def test_planes_and_slabs_are_those_of_numpy(show, volumes: Path, tmp_path: Path) -> None:  # noqa: F811
    shown = show(volumes)
    for name, points in {"AXIAL": [(24, 20, 15), (0, 39, 0), (47, 3, 29)], "CORONAL": [(10, 30, 5)], "SAGITTAL": [(30, 9, 11)], "FLIPPED": [(5, 31, 20)], "PADDED": [(24, 20, 15), (30, 5, 20)]}.items():
        planes(shown, name)
        volume, padding = source(shown), PADDING if name == "PADDED" else None
        assert volume.shape[0] == shown.page.evaluate("viewer.pane.stack.frames.length")
        for point in points:
            go(shown, *point)
            compare(shown, volume)
            for mm in (5, 10, 20):
                choose(shown, f"{mm} mm")
                compare(shown, volume, mm, np.nanmax, padding)
            if shown.page.evaluate("viewer.pane.stack.series.modality") == "CT":
                choose(shown, "Mean")
                compare(shown, volume, 20, np.nanmean, padding, 1)
            else:
                expect(shown.page.locator(".slab").get_by_role("button", name="Mean")).to_have_count(0)
            choose(shown, "MinIP")
            compare(shown, volume, 20, np.nanmin, padding)
            choose(shown, "MIP")
            choose(shown, "1 plane")
        shown.page.screenshot(path=tmp_path / f"{name}.png")
    assert not shown.page.refused, shown.page.refused


SIDE = 24
# Of the eight corners of a cube, by which side of its middle they lie on: to the left, to the back, to the head.
GREYS = {(x, y, z): 25 + 30 * ((x > 0) + 2 * (y > 0) + 4 * (z > 0)) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)}
# The letters of left, top, right and bottom, and the corner that a quarter of the picture (left or right, top or bottom) shows: those of a radiologist.
STANDING = {"Axial": ("RALP", lambda x, y, at: (x, y, at[2])), "Coronal": ("RHLF", lambda x, y, at: (x, at[1], -y)), "Sagittal": ("AHPF", lambda x, y, at: (at[0], x, -y))}
# Of each: its name, its letters, and the greys in the middle of its quarters as the canvas holds them.
QUARTERS = """viewer.mpr.sections.map(({ canvas, element }) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true }), side = Math.min(canvas.width, canvas.height);
  copy.drawImage(canvas, 0, 0);
  return { name: element.querySelector('.title').textContent.split('\\n')[0], letters: ['left', 'top', 'right', 'bottom'].map((one) => element.querySelector(`.edge.${one}`).textContent).join(''),
    greys: [-1, 1].map((y) => [-1, 1].map((x) => copy.getImageData(canvas.width / 2 + x * side / 4, canvas.height / 2 + y * side / 4, 1, 1).data[0])) };
})"""


def test_left_is_left_in_all_three_planes_for_every_axis_order(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "ways"
    folder.mkdir()
    for number, (row, column) in enumerate(WAYS):
        k, r, c = np.mgrid[:SIDE, :SIDE, :SIDE] - (SIDE - 1) / 2
        at = np.sign(c[..., None] * row + r[..., None] * column + k[..., None] * np.cross(row, column)).astype(int)
        cube = 25 + 30 * ((at > 0) @ np.array([1, 2, 4]))
        stack(folder, f"WAY{number:02}", cube.astype(np.uint8), [*row.tolist(), *column.tolist()], (1.0, 1.0), 1.0, **MR)
    shown = show(folder)
    for number, (row, column) in enumerate(WAYS):
        planes(shown, f"WAY{number:02}")
        go(shown, SIDE // 2, SIDE // 2, SIDE // 2)
        drawn(shown)
        # Half a voxel behind the middle along each axis of the stack.
        at = np.sign(row + column + np.cross(row, column)).astype(int)
        found = {one["name"]: one for one in shown.page.evaluate(QUARTERS)}
        assert set(found) == set(STANDING), (row, column, set(found))
        for name, (letters, corner) in STANDING.items():
            assert found[name]["letters"] == letters, (row, column, name)
            expected = [[GREYS[corner(x, y, at)] for x in (-1, 1)] for y in (-1, 1)]
            assert np.abs(np.array(found[name]["greys"]) - expected).max() <= 8, (row, column, name, found[name]["greys"], expected)
    assert not shown.page.refused, shown.page.refused


def test_a_stack_that_leans_is_cut_along_its_own_axes_and_says_so(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "lean"
    folder.mkdir()
    sine, cosine = np.sin(np.radians(25)), np.cos(np.radians(25))
    stack(folder, "LEAN", body(20, 32, 32, 240).clip(0, 255).astype(np.uint8), [1, 0, 0, 0, float(cosine), float(sine)], (1.0, 1.0), 2.0, **MR)
    shown = show(folder)
    planes(shown)
    compare(shown, source(shown))
    assert [one["name"] for one in shown.page.evaluate(QUARTERS)] == ["Axial, oblique", "Coronal, oblique", "Sagittal"]
    assert shown.page.evaluate(QUARTERS)[1]["letters"] == "RHALFP"


# Where the crossed lines leave a gap, in CSS pixels of the page, and where the volume's point is said to be.
CROSS = """viewer.mpr.sections.map(({ canvas, element, content, view }) => {
  const numbers = [...element.querySelectorAll('.cross path')].flatMap((path) => [...path.getAttribute('d').matchAll(/M([\\d.]+) ([\\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]));
  const box = element.getBoundingClientRect(), mean = (n) => numbers.reduce((sum, one) => sum + one[n], 0) / numbers.length;
  return [box.left + mean(0), box.top + mean(1)];
})"""


def at_voxel(shown: Shown, section: int) -> tuple[float, float]:
    """Where the point lies on a section's canvas, worked out here from the letters of its sides: to the right and down, as shares of the picture."""
    column, row, place = shown.page.evaluate("[viewer.mpr.point.column, viewer.mpr.point.row, viewer.pane.place]")
    slices, rows, columns = source(shown).shape
    across, down, up = (column + 0.5) / columns, (row + 0.5) / rows, 1 - (place + 0.5) / slices
    return [(across, down), (across, up), (down, up)][section]


def picture_box(shown: Shown, section: int, wide_mm: float, high_mm: float) -> tuple[float, float, float, float]:
    box = shown.page.locator(".section > canvas").nth(section).bounding_box()
    scale = min(box["width"] / wide_mm, box["height"] / high_mm)
    return box["x"] + (box["width"] - wide_mm * scale) / 2, box["y"] + (box["height"] - high_mm * scale) / 2, wide_mm * scale, high_mm * scale


def test_a_tap_moves_the_point_and_a_finger_scrolls_each_plane(show, volumes: Path, tmp_path: Path) -> None:  # noqa: F811
    shown = show(volumes)
    planes(shown, "AXIAL")
    page = shown.page
    sizes = [(48 * 0.7, 40 * 0.7), (48 * 0.7, 30 * 1.5), (40 * 0.7, 30 * 1.5)]

    def point() -> list[int]:
        return page.evaluate("[viewer.mpr.point.column, viewer.mpr.point.row, viewer.pane.place]")

    def crossed() -> None:
        drawn(shown)
        for section, (x, y) in enumerate(page.evaluate(CROSS)):
            left, top, wide, high = picture_box(shown, section, *sizes[section])
            across, down = at_voxel(shown, section)
            assert [x, y] == pytest.approx([left + across * wide, top + down * high], abs=1.5), section

    crossed()
    for section, (across, down), expected in ((0, (0.25, 0.7), (12, 28, None)), (1, (0.6, 0.2), (28, None, 24)), (2, (0.9, 0.5), (None, 36, 15))):
        before = point()
        left, top, wide, high = picture_box(shown, section, *sizes[section])
        page.touchscreen.tap(left + across * wide, top + down * high)
        moved = [old if new is None else new for old, new in zip(before, expected, strict=True)]
        assert point() == pytest.approx(moved, abs=1) and point() != before
        assert [now for now, new in zip(point(), expected, strict=True) if new is None] == [old for old, new in zip(before, expected, strict=True) if new is None]
        crossed()
        # Or else two taps in one place would zoom.
        page.wait_for_timeout(400)
    for section, axis in ((0, 2), (1, 1), (2, 0)):
        go(shown, 10, 10, 10)
        box = page.locator(".section > canvas").nth(section).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
        shown.touch([(x, y + 5 * n) for n in range(11)])
        now = point()
        assert now[axis] > 10 and [one for at, one in enumerate(now) if at != axis] == [10, 10]
        page.locator(".section > canvas").nth(section).press("ArrowUp")
        assert point()[axis] == now[axis] - 1 and [one for at, one in enumerate(point()) if at != axis] == [10, 10]
        crossed()
        compare(shown, source(shown))
    page.locator("input[type=range]").fill("4")
    assert point()[2] == 3
    # Window and inversion are those of the series, wherever the finger is.
    page.get_by_role("button", name="Window", exact=True).click()
    box = page.locator(".section > canvas").nth(1).bounding_box()
    shown.touch([(box["x"] + 20 + 6 * n, box["y"] + 60) for n in range(11)])
    drawn(shown)
    assert page.evaluate("viewer.pane.window.width") > 1500
    assert page.evaluate("viewer.mpr.sections.every(({ content }) => content.grey.width === viewer.pane.window.width && !content.grey.invert)")
    page.get_by_role("button", name="Invert black and white").click()
    drawn(shown)
    assert page.evaluate("viewer.mpr.sections.every(({ content }) => content.grey.invert)")
    expect(page.locator(".section .title").nth(1)).to_contain_text("inverted")
    page.screenshot(path=tmp_path / "inverted.png")
    # Back to the series, at the same slice.
    page.get_by_role("button", name=BUTTON["en-GB"], exact=True).click()
    expect(page.locator(".section")).to_have_count(0)
    shown.here()
    assert shown.words().startswith("4 / 30")
    planes(shown)
    page.get_by_role("button", name="Series CORONAL,").click()
    expect(page.locator(".section")).to_have_count(0)
    assert not page.refused, page.refused


def test_the_bar_is_as_long_as_it_says_in_every_plane(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "lines"
    folder.mkdir()
    volume = np.zeros((24, 60, 80), np.uint8)
    volume[4:6] = volume[16:18] = volume[:, 10:12] = volume[:, 50:52] = volume[:, :, 10:12] = volume[:, :, 60:62] = 250
    stack(folder, "LINES", volume, AXIAL, (0.5, 0.8), 2.5, **MR)
    shown = show(folder)
    planes(shown)
    go(shown, 30, 30, 10)
    drawn(shown)
    # How far lines lie apart across and down the picture, in mm.
    for section, (across_mm, down_mm) in enumerate(((50 * 0.8, 40 * 0.5), (50 * 0.8, 12 * 2.5), (40 * 0.5, 12 * 2.5))):
        greys, bar, words = shown.page.evaluate(f"""(({{ canvas, element }}) => {{ const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d'); copy.drawImage(canvas, 0, 0);
          const {{ data }} = copy.getImageData(0, 0, canvas.width, canvas.height), rows = [];
          for (let y = 0; y < canvas.height; y++) rows.push([...data.subarray(y * canvas.width * 4, (y + 1) * canvas.width * 4)].filter((_, n) => n % 4 === 0));
          return [rows, element.querySelector('.ruler .line').getBoundingClientRect().width, element.querySelector('.ruler span').textContent]; }})(viewer.mpr.sections[{section}])""")
        number, unit = words.split(" ")
        per_mm = bar * RATIO / (float(number) * {"mm": 1, "cm": 10}[unit])
        for way, mm in ((0, across_mm), (1, down_mm)):
            # Where most of a row or column is bright lies a line.
            bright = np.flatnonzero((np.array(greys) > 100).mean(axis=way) > 0.6 * (np.array(greys) > 100).mean(axis=way).max())
            first, second = np.split(bright, np.flatnonzero(np.diff(bright) > 5) + 1)
            assert second.mean() - first.mean() == pytest.approx(mm * per_mm, rel=0.02, abs=2), (section, way)


def test_what_is_no_volume_is_refused_in_plain_words(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "refused"
    folder.mkdir()
    slices = body(14, 32, 32, 240).clip(0, 255).astype(np.uint8)
    stack(folder, "GOOD", slices, AXIAL, (1.0, 1.0), 2.0, **MR)
    stack(folder, "TILT", slices, AXIAL, (1.0, 1.0), 2.0, shift=(0, 0.4, 0), **MR)
    stack(folder, "GAP", slices, AXIAL, (1.0, 1.0), 2.0, keep=lambda number: number != 12, **MR)
    stack(folder, "TWICE", np.concatenate([slices[:7], slices[:7]]), AXIAL, (1.0, 1.0), 2.0, **MR)
    for number in range(7):
        path = folder / f"TWICE{number + 7}.dcm"
        one = pydicom.dcmread(path)
        one.ImagePositionPatient = pydicom.dcmread(folder / f"TWICE{number}.dcm").ImagePositionPatient
        one.save_as(path)
    for path in (stack(folder, "DIRECTIONS", slices, AXIAL, (1.0, 1.0), 2.0, **MR) or folder.glob("DIRECTIONS[01].dcm")):
        one = pydicom.dcmread(path)
        one.ImageOrientationPatient = CORONAL
        one.save_as(path)
    for path in (stack(folder, "SCALES", slices, AXIAL, (1.0, 1.0), 2.0, RescaleSlope=1, RescaleIntercept=0, **MR) or folder.glob("SCALES3.dcm")):
        one = pydicom.dcmread(path)
        one.RescaleSlope = 2
        one.save_as(path)
    stack(folder, "COLOUR", np.repeat(slices[..., None], 3, 3), AXIAL, (1.0, 1.0), 2.0, **MR)
    stack(folder, "ULTRASOUND", slices, AXIAL, (1.0, 1.0), 2.0, **{**MR, "Modality": "US"})
    stack(folder, "PROJECTED", slices, AXIAL, (1.0, 1.0), 2.0, **{**MR, "Modality": "DX"})
    stack(folder, "FEW", slices[:11], AXIAL, (1.0, 1.0), 2.0, **MR)
    shown = show(folder)
    shown.whole()
    page = shown.page
    page.get_by_role("button", name="View", exact=True).click()
    button, words = page.get_by_role("button", name=BUTTON["en-GB"], exact=True), page.locator(".refused")
    assert not page.evaluate("performance.getEntriesByType('resource').filter(one => /mpr|volume/.test(one.name)).length"), "nothing of it is fetched before it is asked for"
    for name, said in {"TILT": "gantry was tilted", "GAP": "equal gaps", "TWICE": "equal gaps", "DIRECTIONS": "several directions", "SCALES": "scales of values", "COLOUR": "through colours",
                       "ULTRASOUND": "How long a pixel is in the patient is not known", "PROJECTED": "How long a pixel is in the patient is not known"}.items():
        page.get_by_role("button", name=f"Series {name},").click()
        shown.here()
        expect(words).to_be_hidden()
        button.click()
        expect(words).to_contain_text(said)
        expect(page.locator(".section")).to_have_count(0)
        page.screenshot(path=tmp_path / f"{name}.png")
    page.get_by_role("button", name="Series FEW,").click()
    shown.here()
    expect(button).to_have_count(0)
    planes(shown, "GOOD")
    expect(words).to_be_hidden()
    assert not page.refused, page.refused


def test_images_of_several_patients_are_no_volume(show, volumes: Path) -> None:  # noqa: F811
    def mixed(told: dict) -> None:
        told["series"][0]["mixedPatients"] = True
    shown = show(volumes, change=mixed)
    shown.whole()
    index = shown.page.evaluate("viewer.pictures.stacks.findIndex(({ index }) => index === 0)")
    shown.page.locator(".thumbnail").nth(index).click()
    shown.here()
    shown.page.get_by_role("button", name="View", exact=True).click()
    shown.page.get_by_role("button", name=BUTTON["en-GB"], exact=True).click()
    expect(shown.page.locator(".refused")).to_contain_text("several patients")


@pytest.mark.parametrize(("language", "reformatted", "none"), [("en-GB", "Reformatted, for reference", "for reference"), ("ja-JP", "再構成像・参考", "参考")])
def test_every_plane_that_is_no_stored_image_says_so(show, volumes: Path, language: str, reformatted: str, none: str, tmp_path: Path) -> None:  # noqa: F811
    for path in volumes.glob("[!A]*.dcm"):
        path.unlink()
    shown = show(volumes, language=language)
    planes(shown, language=language)
    page = shown.page
    titles = page.locator(".section .title")
    expect(titles.nth(0)).not_to_contain_text(none)
    for at in (1, 2):
        expect(titles.nth(at)).to_contain_text(reformatted)
    choose(shown, "10 mm")
    drawn(shown)
    for at, of in ((0, 7), (1, 15), (2, 15)):
        expect(titles.nth(at)).to_contain_text(reformatted)
        expect(titles.nth(at)).to_contain_text("MIP 10 mm")
        expect(titles.nth(at)).to_contain_text(f"{of}面" if language == "ja-JP" else f"{of} planes")
    found = harness.barriers(page)
    assert not found, found
    assert not (small := harness.too_small(page)), small
    page.screenshot(path=tmp_path / f"planes-{language}.png")
    page.set_viewport_size({"width": 844, "height": 390})
    drawn(shown)
    boxes = [page.locator(".section").nth(at).bounding_box() for at in range(3)]
    assert all(box["width"] > 150 and box["height"] > 150 for box in boxes)
    page.screenshot(path=tmp_path / f"planes-{language}-landscape.png")
    assert not page.refused, page.refused


def test_slices_that_are_not_here_yet_are_left_out_and_damaged_ones_stay_black(show, volumes: Path, tmp_path: Path) -> None:  # noqa: F811
    for path in volumes.glob("[!A]*.dcm"):
        path.unlink()
    shown = show(volumes, damage=20)
    shown.page.add_init_script("window.delay = 400")
    shown.page.reload()
    shown.here()
    page = shown.page
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("button", name=BUTTON["en-GB"], exact=True).click()
    until(lambda: page.evaluate("!!viewer.mpr && viewer.mpr.sections[1].content !== null"))
    count, parts, state = page.evaluate("[viewer.mpr.volume.count, viewer.mpr.sections[1].content.parts.map(({ row, rows }) => [row, rows]), viewer.mpr.sections[1].state.textContent]")
    page.screenshot(path=tmp_path / "coming.png")
    assert 0 < count < 28 and 0 < sum(rows for _, rows in parts) <= count
    assert "of 30 slices" in state
    volume = source(shown)
    page.evaluate("window.delay = 0")
    until(lambda: page.evaluate("viewer.pictures.progress.here === viewer.pictures.progress.all"))
    expect(page.locator(".section .state").nth(1)).to_contain_text("damaged, black")
    expect(page.locator(".section .state").nth(1)).not_to_contain_text("of 30 slices")
    drawn(shown)
    lacking = [place for place in range(30) if not page.evaluate(f"viewer.mpr.volume.has({place})")]
    assert 1 <= len(lacking) <= 3, "the damaged one, and those that refer to it"
    for one in page.evaluate(READ)[1:]:
        rows = np.concatenate([np.array(part["data"]).reshape(part["rows"], part["columns"]) for part in one["parts"]])
        cut = volume[:, one["at"]] if one["axis"] == 1 else volume[:, :, one["at"]]
        assert [row for part in one["parts"] for row in range(part["row"], part["row"] + part["rows"])] == [place for place in range(30) if place not in lacking]
        assert np.array_equal(rows, np.delete(cut, lacking, axis=0))
    page.screenshot(path=tmp_path / "damaged.png")
    # Of a slab across the slices it counts those of the slab alone.
    slab, first = page.locator(".section .state").first, lacking[0]
    go(shown, 10, 10, first)
    choose(shown, "20 mm")
    expect(slab).to_contain_text("damaged, left out")
    go(shown, 10, 10, 29 if first < 15 else 0)
    expect(slab).to_be_empty()
    # What keeps the pictures from coming is said on the planes.
    go(shown, 10, 10, first)
    page.evaluate("viewer.delivery.dispatchEvent(new CustomEvent('failed', { detail: { code: 'link_lost', who: 'operator', number: null } })); viewer.mpr.draw()")
    expect(slab).to_contain_text("damaged, left out")
    assert len(slab.inner_text().splitlines()) > 1
    assert page.evaluate("viewer.pictures.held.decoded") <= 24 << 20


LONG = 600
# Plane after plane, each waited for until it is drawn: ms of script, and ms of all.
SCROLLED = """async ({ axis, name, planes }) => {
  const spent = [], own = viewer.mpr.sections.find((one) => one.axis === axis), pixel = new Uint8Array(4);
  for (let n = 0; n < planes; n++) {
    const start = performance.now();
    if (axis === 2) viewer.show(viewer.pane.place + 1); else viewer.mpr.point[name] = 40 + n;
    viewer.mpr.draw();
    const script = performance.now() - start;
    await new Promise(requestAnimationFrame);
    // What was given to the graphics is done once a pixel of it is read back.
    const gl = own.canvas.getContext('webgl2');
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    spent.push([script, performance.now() - start]);
  }
  return spent;
}"""


def test_600_slices_stay_within_the_memory_and_are_averaged(show, chromium: Browser, tmp_path: Path) -> None:  # noqa: F811
    files = tmp_path / "files"
    files.mkdir()
    # Nearly nothing when coded: the test's own copy of the bundle lies in the same process.
    base = np.add.outer(np.arange(512) * 2, np.arange(512))
    for number in range(LONG):
        stack(files, f"S{number:03}", base[None].astype(np.int16) + number, AXIAL, (0.7, 0.7), 0.8, **CT)
        one = pydicom.dcmread(path := files / f"S{number:03}0.dcm")
        one.SeriesDescription, one.SeriesInstanceUID, one.InstanceNumber = "LONG", "1.2.3.4", number + 1
        one.ImagePositionPatient = [0, 0, round(number * 0.8, 3)]
        one.save_as(path)
    shown, memory = show(files), Renderers(chromium)
    shown.page.set_default_timeout(10 * WAIT_MS)
    shown.here()
    page = shown.page
    page.get_by_role("button", name="View", exact=True).click()

    def watched(holds: str) -> None:
        until(lambda: memory.look() or page.evaluate(holds), 10 * WAIT_MS)

    watched("viewer.pane.stack.ordered")
    page.get_by_role("button", name=BUTTON["en-GB"], exact=True).click()
    expect(page.locator(".section")).to_have_count(3)
    watched(f"viewer.mpr.volume.count === {LONG}")
    assert page.evaluate("[viewer.mpr.volume.grid.step, viewer.mpr.volume.voxels.byteLength]") == [2, LONG * 256 * 256 * 2]
    drawn(shown)
    for at in (1, 2):
        expect(page.locator(".section .title").nth(at)).to_contain_text("2×2 averaged")
    volume = source(shown).astype(float)
    averaged = np.floor((volume[:, ::2, ::2] + volume[:, 1::2, ::2] + volume[:, ::2, 1::2] + volume[:, 1::2, 1::2]) / 4 + 0.5)
    for one in page.evaluate(READ)[1:]:
        found = np.array(one["parts"][0]["data"]).reshape(LONG, 256)
        assert np.abs(found - (averaged[:, one["at"]] if one["axis"] == 1 else averaged[:, :, one["at"]])).max() <= 1
    # The stored plane has all its pixels.
    assert page.evaluate("[viewer.mpr.sections[0].content.columns, viewer.mpr.sections[0].content.parts[0].columns]") == [512, 512]
    rates = {}
    for mm in ("1 plane", "20 mm"):
        choose(shown, mm)
        for axis, name in ((2, "slice"), (1, "row"), (0, "column")):
            script, spent = zip(*page.evaluate(SCROLLED, {"axis": axis, "name": name, "planes": 40}), strict=True)
            rates[f"{mm}, by {name}"] = f"{1000 / statistics.median(spent):.1f} (best {1000 / min(spent):.1f}), script {statistics.median(script):.1f} ms"
            memory.look()
    print(f"memory of the page's process {memory.peak_mib:.0f} MiB (at most {MEMORY_MIB_MAX}); planes a second, median of 40:", *(f"  {name}: {rate}" for name, rate in rates.items()), sep="\n")
    page.screenshot(path=tmp_path / "long.png")
    assert memory.peak_mib <= MEMORY_MIB_MAX
    assert not page.refused, page.refused


def test_what_is_loaded_for_planes_is_small() -> None:
    """And not in what a phone fetches at the start."""
    files = [WEB / "js" / "viewer" / f"{name}.js" for name in ("mpr", "section", "volume", "grid")] + [WEB / "mpr.css"]
    page = (WEB / "index.html").read_text()
    print("gzip bytes:", sum(len(gzip.compress(path.read_bytes())) for path in files))
    assert not any(f"/{path.name}\"" in page for path in files)


def test_webkit_cuts_the_same_planes(webkit: WebKit, volumes: Path, wasm: Path, tmp_path: Path) -> None:  # noqa: F811
    for path in volumes.glob("[!A]*.dcm"):
        path.unlink()
    with served(webkit, volumes, wasm, tmp_path) as (told, decoded):
        in_webkit(webkit, "!!window.viewer && viewer.pane.canvas.dataset.shown === 'full'")
        webkit.evaluate("[...viewer.toolbar.element.children].find((one) => one.textContent === 'View').click()")
        webkit.evaluate("[...viewer.toolbar.menu.children].find((one) => one.textContent.includes('Planes')).click()")
        in_webkit(webkit, "!!viewer.mpr && viewer.mpr.volume.count === 30")
        webkit.evaluate("Object.assign(viewer.mpr.point, { column: 31, row: 12 }); viewer.mpr.ask()")
        webkit.awaited("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
        webkit.screenshot(tmp_path / "webkit.png")
        files = sorted((pydicom.dcmread(path) for path in decoded.rglob("*") if path.is_file()), key=lambda one: one.ImagePositionPatient[2])
        volume = np.stack([one.pixel_array for one in files])
        for one in webkit.evaluate(READ):
            (part,) = one["parts"]
            cut = np.moveaxis(volume, 2 - one["axis"], 0)[one["at"]]
            assert np.array_equal(np.array(part["data"]).reshape(cut.shape), cut), one["axis"]
        assert [one["letters"] for one in webkit.evaluate(QUARTERS)] == ["RALP", "RHLF", "AHPF"]
