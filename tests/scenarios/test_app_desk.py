"""The same app on a desk: series in a column, the picture as large as there is room, keys for what is offered, and what a mouse does."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

import harness
from test_app_hanging import BESIDE, SLICES, corner, ct, go_to, hung, mr, now, pairs, strip, tap, titles, volume  # noqa: F401
from test_app_viewer import WAIT_MS, Shown, show, until, wasm  # noqa: F401

DESK = {"viewport": {"width": 1440, "height": 900}, "device_scale_factor": 2}
# Of the screen, that the picture has at least.
SHARE_MIN = 0.65


@pytest.fixture
def desk(show, tmp_path: Path, request: pytest.FixtureRequest) -> Shown:  # noqa: F811
    folder = tmp_path / "desk"
    folder.mkdir()
    for number, name in enumerate(("Alpha", "Beta", "Gamma"), 1):
        ct(folder, name, number)
    shown = show(folder, device=DESK, language=getattr(request, "param", "en-GB"), note="Fall from a ladder, GCS 14")
    shown.whole()
    return shown


def press(shown: Shown, *keys: str) -> None:
    for key in keys:
        shown.page.keyboard.press(key)


def place(shown: Shown) -> int:
    return shown.page.evaluate("viewer.pane.place") + 1


def boxes(shown: Shown, *names: str) -> list[dict]:
    return [shown.page.locator(name).first.bounding_box() for name in names]


@pytest.mark.parametrize("desk", ["en-GB", "ja-JP"], indirect=True)
def test_the_picture_has_the_room_and_nothing_lies_outside_of_the_screen(desk: Shown, tmp_path: Path) -> None:
    stage, rail, series, header, tools = boxes(desk, ".stage", ".rail", ".strip", ".viewer > header", ".tools")
    assert stage["width"] * stage["height"] >= SHARE_MIN * 1440 * 900, stage
    assert series["x"] == 0 and series["width"] < 120 and series["height"] > 800, series
    thumbnails = [box.bounding_box() for box in desk.page.locator(".thumbnail").all()]
    assert len({box["x"] for box in thumbnails}) == 1 and [box["y"] for box in thumbnails] == sorted({box["y"] for box in thumbnails}), "below each other"
    assert header["x"] >= stage["x"] + stage["width"] and tools["x"] >= stage["x"] + stage["width"] and rail["y"] >= stage["y"] + stage["height"] - 1
    assert desk.page.evaluate("[document.documentElement.scrollWidth <= innerWidth, document.documentElement.scrollHeight <= innerHeight, viewer.element.scrollHeight <= viewer.element.clientHeight]") == [True] * 3
    outside = "[...document.querySelectorAll('.viewer button, .viewer input')].filter((one) => one.getClientRects().length).filter((one) => { const box = one.getBoundingClientRect(); return box.left < 0 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1; }).map((one) => one.outerHTML)"
    assert desk.page.evaluate(outside) == []
    assert not (found := harness.barriers(desk.page)), found
    desk.page.screenshot(path=tmp_path / "desk.png")
    desk.page.keyboard.press("?")
    expect(desk.page.locator("dialog.keys")).to_be_visible()
    assert not (found := harness.barriers(desk.page)), found
    desk.page.screenshot(path=tmp_path / "keys.png")
    assert not desk.page.refused, desk.page.refused


def test_keys_do_what_is_offered(desk: Shown) -> None:
    button = lambda name: desk.page.get_by_role("button", name=name, exact=True)  # noqa: E731
    press(desk, "Home")
    assert place(desk) == 1
    for keys, at in ((("ArrowDown", "ArrowRight"), 3), (("ArrowUp",), 2), (("End",), SLICES), (("PageUp",), 1), (("PageDown",), SLICES)):
        press(desk, *keys)
        assert place(desk) == at, keys
    names = ["W 300  L 100", "Brain  W 80  L 40", "Stroke  W 40  L 35", "Bone  W 2000  L 500"]
    for number, words in ((3, names[3]), (1, names[1]), (2, names[2]), (0, names[0])):
        press(desk, str(number))
        expect(desk.page.locator(".corner")).to_contain_text(words)
    press(desk, "w")
    expect(button("Window")).to_have_attribute("aria-pressed", "true")
    press(desk, "S")
    expect(button("Scroll")).to_have_attribute("aria-pressed", "true")
    for key, mark in (("r", "turned 90°"), ("x", "MIRRORED · turned 270°"), ("i", "inverted")):
        press(desk, key)
        expect(desk.page.locator(".mark")).to_contain_text(mark)
    assert desk.page.locator(".menu").is_hidden(), "keys need no menu"
    press(desk, "v")
    expect(desk.page.locator(".menu")).to_be_visible()
    desk.page.locator(".mark").click()
    zoom = lambda: desk.page.evaluate("viewer.pane.camera.zoom")  # noqa: E731
    press(desk, "+", "+")
    assert zoom() == pytest.approx(1.25 ** 2)
    press(desk, "-")
    assert zoom() == pytest.approx(1.25)
    press(desk, "z")
    assert zoom() == 1
    press(desk, "z")
    assert (scale := desk.page.evaluate("viewer.pane.view.scale")) == pytest.approx(round(scale)) and zoom() > 1
    first = now(desk)
    press(desk, "n")
    assert now(desk) == "Beta" != first
    press(desk, "b", "b", "b")
    assert now(desk) == first == "Alpha"
    press(desk, "d")
    expect(desk.page.locator(".stage")).to_have_count(2)
    press(desk, "d")
    expect(desk.page.locator(".stage")).to_have_count(1)
    desk.page.locator(".stage > canvas").focus()
    press(desk, "Space")
    expect(desk.page.locator(".play")).to_have_attribute("aria-label", "Pause")
    press(desk, "Space")
    expect(desk.page.locator(".play")).to_have_attribute("aria-label", "Play")
    # No tool is there that the site does not want, nor planes of five slices.
    before = desk.page.evaluate("[viewer.toolbar.tool, !!viewer.mpr]")
    press(desk, "m", "p", "q", "Control+s")
    assert desk.page.evaluate("[viewer.toolbar.tool, !!viewer.mpr]") == before
    assert not desk.page.refused, desk.page.refused


def test_a_key_opens_planes(show, volume: Path) -> None:  # noqa: F811
    shown = show(volume, device=DESK)
    shown.whole()
    press(shown, "p")
    expect(shown.page.locator(".section")).to_have_count(3)
    (planes, tools) = boxes(shown, ".planes", ".tools")
    assert planes["width"] > 900 and planes["height"] > 800 and tools["x"] >= planes["x"] + planes["width"]
    press(shown, "p")
    expect(shown.page.locator(".section")).to_have_count(0)
    assert not shown.page.refused, shown.page.refused


def test_what_is_typed_is_no_key_and_letters_can_be_switched_off(desk: Shown) -> None:
    desk.page.evaluate("viewer.element.append(document.createElement('textarea'))")
    desk.page.locator("textarea").focus()
    press(desk, "w", "3", "Home")
    assert desk.page.evaluate("[viewer.toolbar.tool, document.querySelector('textarea').value]") == ["scroll", "w3"]
    expect(desk.page.locator(".corner")).to_contain_text("W 300  L 100")
    desk.page.evaluate("document.querySelector('textarea').remove()")
    # A button that has the focus is pressed by Enter and by the blank.
    desk.page.get_by_role("button", name="Window", exact=True).focus()
    press(desk, "Enter")
    assert desk.page.evaluate("viewer.toolbar.tool") == "window"
    press(desk, "s", "?")
    expect(desk.page.get_by_role("dialog", name="Keys and mouse")).to_be_visible()
    # While the list is open nothing behind it moves.
    at = place(desk)
    press(desk, "ArrowDown", "w")
    assert place(desk) == at and desk.page.evaluate("viewer.toolbar.tool") == "scroll"
    desk.page.get_by_label("Do without keys of letters and figures").check()
    press(desk, "Escape")
    expect(desk.page.locator("dialog")).to_have_count(0)
    press(desk, "w", "3", "?")
    assert desk.page.evaluate("viewer.toolbar.tool") == "scroll" and desk.page.locator("dialog").count() == 0
    press(desk, "Home")
    assert place(desk) == 1, "keys that type nothing stay"
    desk.page.reload()
    desk.whole()
    press(desk, "w")
    assert desk.page.evaluate("viewer.toolbar.tool") == "scroll", "it is remembered"
    tap(desk, "Keys and mouse")
    desk.page.get_by_label("Do without keys of letters and figures").uncheck()
    tap(desk, "Close")
    press(desk, "w")
    assert desk.page.evaluate("viewer.toolbar.tool") == "window"


def test_a_mouse_scrolls_windows_shifts_and_zooms(desk: Shown) -> None:
    x, y = desk.center()
    mouse = desk.page.mouse
    press(desk, "Home")
    mouse.move(x, y)
    mouse.wheel(0, 100)
    until(lambda: place(desk) == 2)
    mouse.down(button="right")
    mouse.move(x + 60, y + 20, steps=4)
    mouse.up(button="right")
    window = desk.page.evaluate("[viewer.pane.window.center, viewer.pane.window.width]")
    assert window[0] > 100 and window[1] > 300 and place(desk) == 2
    desk.page.keyboard.down("Control")
    mouse.wheel(0, -200)
    desk.page.keyboard.up("Control")
    until(lambda: desk.page.evaluate("viewer.pane.camera.zoom") > 1.5)
    left, top = desk.page.evaluate("[viewer.pane.view.left, viewer.pane.view.top]")
    mouse.move(x, y)
    mouse.down(button="middle")
    mouse.move(x - 30, y + 40, steps=4)
    mouse.up(button="middle")
    moved = desk.page.evaluate("[viewer.pane.view.left, viewer.pane.view.top]")
    assert [moved[0] - left, moved[1] - top] == pytest.approx([-60, 80], abs=2), "by as many pixels of the screen as the mouse"
    assert desk.page.evaluate("[viewer.pane.window.center, viewer.pane.window.width]") == window and place(desk) == 2
    # Two clicks of the right or the middle button are no two taps.
    zoom = desk.page.evaluate("viewer.pane.camera.zoom")
    for button in ("right", "middle"):
        mouse.dblclick(x, y, button=button)
    assert desk.page.evaluate("viewer.pane.camera.zoom") == zoom
    mouse.dblclick(x, y)
    assert desk.page.evaluate("viewer.pane.camera.zoom") == 1
    # The main button does what the tool says.
    mouse.move(x, y)
    mouse.down()
    mouse.move(x, y + 400, steps=10)
    mouse.up()
    assert place(desk) > 2
    assert not desk.page.refused, desk.page.refused


def test_two_stand_beside_each_other_on_a_desk(show, pairs: Path, tmp_path: Path) -> None:  # noqa: F811
    shown = show(pairs, change=hung(BESIDE), device=DESK)
    expect(shown.page.locator(".stage")).to_have_count(2)
    until(lambda: titles(shown) == ["DWI", "ADC"])
    one, other = (box.bounding_box() for box in shown.page.locator(".stage").all())
    assert one["width"] == pytest.approx(other["width"], abs=2) and one["width"] > 450 and one["y"] == other["y"]
    expect(shown.page.locator("canvas[data-shown=full]")).to_have_count(2, timeout=WAIT_MS)
    shown.page.screenshot(path=tmp_path / "two.png")


def test_a_phone_has_no_panel_of_keys(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "phone"
    folder.mkdir()
    mr(folder, "T2", 1)
    shown = show(folder)
    shown.here()
    expect(shown.page.get_by_role("button", name="Keys and mouse")).to_have_count(0)
