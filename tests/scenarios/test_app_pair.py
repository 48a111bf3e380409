"""The app's viewer with two series side by side: scrolled as one by their place in the patient, or said to be not linked, and each shows where the other cuts it."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

import harness
from test_app_viewer import PHONE, RATIO, WAIT_MS, Shown, image, pixels, series, show, until, wasm  # noqa: F401

LANDSCAPE = {"width": 844, "height": 390}
ROWS, COLUMNS = 60, 80
# Each slice has a grey of its own, further apart than a bound of the codec.
DARKEST, STEP = 40, 5
HERE, ELSEWHERE = "1.2.3.10", "1.2.3.11"
# Rows, columns, and place of slice n: two axial stacks with other gaps, one that leans by 6° about its middle, one that is sagittal, one of another frame of reference, one of
# another patient.
LEAN = np.deg2rad(6)
STACKS = {
    "AXIAL": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 3 * n], HERE, {}),
    "SPARSE": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 7 * n - 4], HERE, {}),
    "LEANING": ([1, 0, 0], [0, np.cos(LEAN), np.sin(LEAN)], lambda n: [-40, -30, 4 * n - 3], HERE, {}),
    "ABOVE": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 3 * n + 12], HERE, {}),
    "SAGITTAL": ([0, 1, 0], [0, 0, -1], lambda n: [5 * n - 20, -35, 50], HERE, {}),
    "FOREIGN": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 3 * n], ELSEWHERE, {}),
    "NOWHERE": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 3 * n], None, {}),
    "UNTOLD": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 3 * n], None, {}),
    "STRANGER": ([1, 0, 0], [0, 1, 0], lambda n: [-40, -30, 3 * n], HERE, {"PatientID": "T-2"}),
}
SLICES = 9
SPACING = (1.0, 1.25)


@pytest.fixture
def several(tmp_path: Path) -> Path:
    folder = tmp_path / "several"
    folder.mkdir()
    for name, (row, column, place, reference, elements) in STACKS.items():
        for number in range(SLICES):
            more = elements | ({} if reference is None else {"FrameOfReferenceUID": reference})
            image(folder, f"{name}-{number}.dcm", name, np.full((ROWS, COLUMNS), DARKEST + STEP * number, np.uint8), number + 1, Modality="MR",
                  ImageOrientationPatient=[f"{value:.8f}" for value in (*row, *column)], ImagePositionPatient=[float(value) for value in place(number)], PixelSpacing=list(SPACING),
                  WindowCenter=128, WindowWidth=256, **more)
    return folder


@pytest.fixture
def two(show, several: Path) -> Shown:  # noqa: F811
    shown = show(several)
    shown.page.set_viewport_size(LANDSCAPE)
    series(shown, "AXIAL")
    shown.whole()
    shown.page.get_by_role("button", name="View", exact=True).click()
    shown.page.get_by_role("button", name="Two series side by side").click()
    expect(shown.page.locator(".stage")).to_have_count(2)
    return shown


def beside(shown: Shown, name: str, own: str = "AXIAL") -> None:
    """That series in the other pane; `own` is acted on."""
    shown.page.evaluate("""([name, own]) => {
      const named = (name) => viewer.pictures.stacks.find(({ series }) => series.banner.series_description === name);
      viewer.pair.close();
      viewer.open(named(own));
      viewer.pair.toggle();
      viewer.stages.lastChild.dispatchEvent(new Event('pointerdown'));
      viewer.open(named(name));
      viewer.stages.firstChild.dispatchEvent(new Event('pointerdown'));
    }""", [name, own])
    expect(shown.page.locator(".stage").nth(1).locator(".title")).to_contain_text(name)


def settled(shown: Shown) -> list[dict]:
    """Both panes, once what they are to show is drawn and whole."""
    state = "[viewer.pane, viewer.pair.other].map((pane) => ({ place: pane.place, said: pane.corner.textContent, shown: pane.canvas.dataset.shown }))"
    until(lambda: all(one["shown"] == "full" and one["said"].startswith(f"{one['place'] + 1} /") for one in shown.page.evaluate(state)))
    return shown.page.evaluate("""[viewer.pane, viewer.pair.other].map((pane) => {
      const { canvas, cut, view } = pane, copy = new OffscreenCanvas(1, 1).getContext('2d'), box = canvas.getBoundingClientRect(), svg = cut.parentElement.getBoundingClientRect();
      copy.drawImage(canvas, canvas.width / 2 + 20, canvas.height / 2 + 20, 1, 1, 0, 0, 1, 1);
      const ends = [1, 2].map((end) => [Number(cut.getAttribute(`x${end}`)) + svg.left, Number(cut.getAttribute(`y${end}`)) + svg.top]);
      return { place: pane.place, grey: copy.getImageData(0, 0, 1, 1).data[0], ends: cut.hasAttribute('hidden') ? null : ends, left: box.left, top: box.top, view };
    })""")


def corner(name: str, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a slice: place of its first pixel, and the steps from one to the next in its row and its column."""
    row, column, place, *_ = STACKS[name]
    return np.array(place(number), float), np.array(row, float) * SPACING[1], np.array(column, float) * SPACING[0]


def order(name: str) -> list[int]:
    """Slices along their own normal."""
    _, row, column = corner(name, 0)
    return sorted(range(SLICES), key=lambda number: np.dot(np.cross(row, column), corner(name, number)[0]))


@pytest.mark.parametrize("name", ["SPARSE", "LEANING"])
def test_the_other_series_goes_to_the_slice_that_lies_nearest(two: Shown, name: str, tmp_path: Path) -> None:
    beside(two, name)
    for title in two.page.locator(".title").all():
        expect(title).to_contain_text("linked")
        expect(title).not_to_contain_text("not")
    own, others = order("AXIAL"), order(name)
    seen = set()
    for place, number in enumerate(own):
        two.page.evaluate(f"viewer.show({place})")
        first, second = settled(two)
        away = [from_middle(corner("AXIAL", number), corner(name, other)) for other in others]
        assert away[second["place"]] == pytest.approx(min(away)), (place, second["place"], away)
        # What is on the canvas is that slice, in both.
        assert abs(first["grey"] - (DARKEST + STEP * number)) < STEP / 2
        assert abs(second["grey"] - (DARKEST + STEP * others[second["place"]])) < STEP / 2
        assert first["ends"] is None and second["ends"] is None, "planes that lie alike cut nowhere"
        seen.add(second["place"])
    assert len(seen) > 3
    two.page.screenshot(path=tmp_path / f"linked-{name}.png")
    assert not two.page.refused, two.page.refused


def from_middle(looked: tuple[np.ndarray, ...], slice_: tuple[np.ndarray, ...]) -> float:
    """Of the middle of an image from the plane of a slice, mm."""
    (at, row, column), (other, other_row, other_column) = looked, slice_
    middle = at + row * (COLUMNS - 1) / 2 + column * (ROWS - 1) / 2
    normal = np.cross(other_row, other_column)
    return abs(np.dot(middle - other, normal)) / np.linalg.norm(normal)


def test_where_the_other_series_has_no_slice_it_says_so(two: Shown) -> None:
    beside(two, "ABOVE")
    titles = two.page.locator(".title")
    for number in range(SLICES):
        two.page.evaluate(f"viewer.show({order('AXIAL').index(number)})")
        settled(two)
        # It begins 12 mm above, a slice each 3 mm.
        missing = 12 - 3 * number
        for title in titles.all():
            expect(title).to_contain_text(f"no slice here (the nearest is {missing} mm away)" if missing > 1.5 else "linked")


def test_of_several_images_in_one_place_the_b_value_stays(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "diffusion"
    folder.mkdir()
    for number in range(SLICES):
        of = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 5 * number], "PixelSpacing": list(SPACING), "FrameOfReferenceUID": HERE,
              "WindowCenter": 128, "WindowWidth": 256, "Modality": "MR"}
        image(folder, f"m{number}.dcm", "MAP", np.full((ROWS, COLUMNS), 99, np.uint8), number + 1, SeriesNumber=1, **of)
        for at, b in enumerate((0, 500, 1000)):
            image(folder, f"d{number}-{b}.dcm", "DIFFUSION", np.full((ROWS, COLUMNS), 50 + 9 * at, np.uint8), 3 * number + at + 1, SeriesNumber=2, DiffusionBValue=float(b), **of)
    shown = show(folder)
    shown.page.set_viewport_size(LANDSCAPE)
    shown.whole()
    beside(shown, "DIFFUSION", "MAP")
    # The second b-value, by hand; then scrolled from the other picture.
    shown.page.evaluate("viewer.stages.lastChild.dispatchEvent(new Event('pointerdown'))")
    shown.page.evaluate(f"viewer.show({SLICES + 2})")
    shown.page.evaluate("viewer.stages.firstChild.dispatchEvent(new Event('pointerdown'))")
    for place in range(SLICES):
        shown.page.evaluate(f"viewer.show({place})")
        assert shown.page.evaluate("[viewer.pane.geometry.position[2], viewer.pair.other.geometry.position[2], viewer.pair.other.geometry.bValue]") == [5 * place, 5 * place, 500]


@pytest.mark.parametrize(("own", "name"), [("AXIAL", "FOREIGN"), ("AXIAL", "NOWHERE"), ("UNTOLD", "NOWHERE"), ("AXIAL", "SAGITTAL")])
def test_what_does_not_lie_alike_is_said_to_be_not_linked_and_stays(two: Shown, own: str, name: str) -> None:
    beside(two, name, own)
    for title in two.page.locator(".title").all():
        expect(title).to_contain_text("not linked")
    before = settled(two)[1]
    two.page.evaluate("viewer.show(viewer.pane.place + 3)")
    first, second = settled(two)
    assert second["place"] == before["place"]
    assert (first["ends"] is None) == (name != "SAGITTAL")


def test_each_shows_where_the_slice_of_the_other_cuts_it(two: Shown, tmp_path: Path) -> None:
    beside(two, "SAGITTAL")
    for place in (1, 4, 7):
        two.page.evaluate(f"viewer.show({place})")
        panes = settled(two)
        planes = [corner("AXIAL", order("AXIAL")[panes[0]["place"]]), corner("SAGITTAL", order("SAGITTAL")[panes[1]["place"]])]
        screen = pixels(two.page.screenshot())
        for pane, (at, row, column), (other, other_row, other_column) in ((panes[0], planes[0], planes[1]), (panes[1], planes[1], planes[0])):
            normal = np.cross(other_row, other_column) / np.linalg.norm(np.cross(other_row, other_column))
            view, places = pane["view"], []
            for x, y in pane["ends"]:
                # Pixels of the image: its first one's middle lies half a pixel from its corner.
                across = ((x - pane["left"]) * RATIO - view["left"]) / view["scale"] - 0.5
                down = ((y - pane["top"]) * RATIO - view["top"]) / (view["scale"] * SPACING[0] / SPACING[1]) - 0.5
                places.append(at + across * row + down * column)
                assert abs(np.dot(normal, places[-1] - other)) < 0.05, "it lies on the other slice, to the twentieth of a millimetre"
                assert inside(places[-1], at, row, column) and inside(places[-1], other, other_row, other_column)
            way = (places[1] - places[0]) / np.linalg.norm(places[1] - places[0])
            for end, outward in ((places[0], -way), (places[1], way)):
                beyond = end + outward
                assert not (inside(beyond, at, row, column) and inside(beyond, other, other_row, other_column)), "it goes as far as both reach"
            (x1, y1), (x2, y2) = pane["ends"]
            near = screen[int((y1 + y2) / 2 * RATIO) - 2:int((y1 + y2) / 2 * RATIO) + 3, int((x1 + x2) / 2 * RATIO) - 2:int((x1 + x2) / 2 * RATIO) + 3]
            assert (near[..., 1] - near[..., 0]).max() > 60, "and is seen"
    two.page.screenshot(path=tmp_path / "cut.png")


def inside(place: np.ndarray, at: np.ndarray, row: np.ndarray, column: np.ndarray) -> bool:
    """Whether a place lies over an image, to the tenth of a pixel."""
    across, down = (np.dot(place - at, step) / np.dot(step, step) for step in (row, column))
    return -0.6 < across < COLUMNS - 0.4 and -0.6 < down < ROWS - 0.4


def test_two_stand_only_on_the_side_and_of_one_patient(two: Shown, tmp_path: Path) -> None:
    names = two.page.evaluate("viewer.pictures.stacks.map(({ series }) => series.banner.series_description)")
    found = two.page.evaluate("(count) => { const seen = []; for (let n = 0; n < count; n++) { viewer.open(viewer.pictures.stacks[n]); seen.push(viewer.pair.other?.stack.series.banner.series_description ?? null); if (!viewer.pair.other) viewer.pair.toggle(); } return seen; }",
                              len(names))
    assert found[names.index("STRANGER")] is None, "the pictures of another patient stand alone"
    two.page.evaluate("viewer.open(viewer.pictures.stacks[0])")
    assert two.page.locator(".stage").count() <= 2
    assert not (barriers := harness.barriers(two.page)), barriers
    # A tap on the other picture makes it the one that is acted on.
    if two.page.locator(".stage").count() == 1:
        two.page.get_by_role("button", name="Two series side by side").click()
    other = two.page.locator(".stage:not(.active)")
    title = other.locator(".title").inner_text().split("\n")[0]
    other.locator("canvas").click()
    expect(two.page.locator(".stage.active .title")).to_contain_text(title)
    # All that is said of a series is said of this one, also to who has no finger on it.
    until(lambda: two.page.evaluate("viewer.slider.value === String(viewer.pane.place + 1)"))
    expect(two.page.locator(".stage.active canvas")).to_have_attribute("aria-label", re.compile(f": {re.escape(title)}$"))
    expect(two.page.locator(".who")).to_contain_text(title)
    two.page.screenshot(path=tmp_path / "two.png")
    two.page.locator(".stage:not(.active) canvas").focus()
    expect(two.page.locator(".stage.active .title")).not_to_contain_text(title)
    # So does a wheel over it, which scrolls that series and not the first.
    other = two.page.locator(".stage:not(.active)")
    title, place = other.locator(".title").inner_text().split("\n")[0], two.page.evaluate("viewer.pair.other.place")
    box = other.locator("canvas").bounding_box()
    two.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    two.page.mouse.wheel(0, 100)
    expect(two.page.locator(".stage.active .title")).to_contain_text(title)
    until(lambda: two.page.evaluate("viewer.pane.place") == place + 1)
    two.page.set_viewport_size(PHONE["viewport"])
    expect(two.page.locator(".stage")).to_have_count(1)
    expect(two.page.locator(".title")).to_have_text("")
    expect(two.page.get_by_role("button", name="Two series side by side")).to_have_count(0)
    expect(two.page.locator("canvas[data-shown=full]")).to_be_visible(timeout=WAIT_MS)
    assert not two.page.refused, two.page.refused


def test_a_description_says_nothing_in_the_place_of_the_app(show, tmp_path: Path) -> None:  # noqa: F811
    """Nor do two series that name nobody stand for one patient."""
    folder = tmp_path / "told"
    folder.mkdir()
    for number, name in enumerate(("ONE\u2028linked", "OTHER")):
        image(folder, f"{number}.dcm", name, np.full((ROWS, COLUMNS), 99, np.uint8), 1, Modality="MR", SeriesNumber=number, WindowCenter=128, WindowWidth=256)
        image(folder, f"nobody-{number}.dcm", f"NOBODY {number}", np.full((ROWS, COLUMNS), 99, np.uint8), 1, Modality="MR", SeriesNumber=5 + number, PatientID="", PatientName="")
    shown = show(folder)
    shown.page.set_viewport_size(LANDSCAPE)
    shown.whole()
    shown.page.get_by_role("button", name="View", exact=True).click()
    shown.page.get_by_role("button", name="Two series side by side").click()
    lines = shown.page.locator(".stage .title").first.inner_text().split("\n")
    assert len(lines) == 2 and lines[1] == "not linked", lines
    assert not shown.page.evaluate("(() => { viewer.open(viewer.pictures.stacks.find(({ series }) => series.banner.series_description === 'NOBODY 0')); return viewer.pair.isPossible; })()")
