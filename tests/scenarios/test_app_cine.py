"""The app's viewer plays a series: at the rate that the object says, and what cannot be shown in time is said."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

import harness
from test_app_viewer import PHONE, Shown, image, series, show, until, wasm  # noqa: F401

ROWS, COLUMNS, FRAMES = 48, 64, 40
# What each object says of its rate, and how many pictures a second that is.
SAID = {"TIMED": ({"FrameTime": 40, "CineRate": 10, "RecommendedDisplayFrameRate": 5}, 25), "CINE": ({"CineRate": 30, "RecommendedDisplayFrameRate": 5}, 30),
        "RECOMMENDED": ({"RecommendedDisplayFrameRate": 12}, 12)}
# Where it says nothing, or nothing that can be.
ASSUMED = {"SILENT": {}, "NAUGHT": {"FrameTime": 0}}
ASSUMED_RATE = 15
SECOND_MS = 1_000
# Each picture has a grey of its own, further apart than a bound of the codec.
DARKEST, STEP = 20, 5


@pytest.fixture
def loops(tmp_path: Path) -> Path:
    folder = tmp_path / "loops"
    folder.mkdir()
    pictures = np.repeat(np.arange(FRAMES) * STEP + DARKEST, ROWS * COLUMNS).reshape(FRAMES * ROWS, COLUMNS).astype(np.uint8)
    for name, elements in ({name: elements for name, (elements, _) in SAID.items()} | ASSUMED).items():
        image(folder, f"{name}.dcm", name, pictures, 1, frames=FRAMES, Modality="US", WindowCenter=128, WindowWidth=256, **elements)
    image(folder, "one.dcm", "ALONE", pictures[:ROWS], 1, Modality="US", WindowCenter=128, WindowWidth=256, FrameTime=40)
    return folder


@pytest.fixture
def still(show, loops: Path) -> Shown:  # noqa: F811
    """All pictures of a series are decoded."""
    shown = show(loops)
    series(shown, "TIMED")
    decoded(shown)
    return shown


def decoded(shown: Shown) -> None:
    """The decoder works in real time, which a browser whose time is ours does not wait for."""
    until(lambda: shown.page.evaluate("viewer.pane.stack.frames.every((_, place) => viewer.pictures.picture(viewer.pane.stack, place)?.full)"))


def stop_time(shown: Shown) -> None:
    shown.page.evaluate("void (window.ofBrowser = requestAnimationFrame.bind(window))")
    shown.page.clock.install(time=0)
    shown.page.clock.pause_at(SECOND_MS)
    # A picture that was asked for in real time is drawn in it, and those asked for later would wait for it.
    shown.page.evaluate("new Promise((drawn) => ofBrowser(drawn))")


def tap_play(shown: Shown) -> None:
    shown.page.evaluate("viewer.play.click()")
    shown.page.clock.run_for(100)


def place(shown: Shown) -> int:
    return shown.page.evaluate("viewer.pane.place")


def grey(shown: Shown) -> int:
    """In the middle of the canvas."""
    return shown.page.evaluate("""() => {
      const { canvas } = viewer.pane, copy = new OffscreenCanvas(1, 1).getContext('2d');
      copy.drawImage(canvas, canvas.width / 2, canvas.height / 2, 1, 1, 0, 0, 1, 1);
      return copy.getImageData(0, 0, 1, 1).data[0];
    }""")


def pace(shown: Shown) -> str:
    return shown.page.locator(".pace").inner_text()


def test_it_plays_at_the_rate_that_the_object_says_and_never_by_itself(still: Shown, tmp_path: Path) -> None:
    stop_time(still)
    for name, rate, recorded in [(name, rate, True) for name, (_, rate) in SAID.items()] + [(name, ASSUMED_RATE, False) for name in ASSUMED]:
        still.page.evaluate("(name) => viewer.open(viewer.pictures.stacks.find(({ series }) => series.banner.series_description === name))", name)
        decoded(still)
        at = place(still)
        still.page.clock.run_for(3 * SECOND_MS)
        assert place(still) == at, "it started by itself"
        # Several seconds, so that each rate ends elsewhere in the round.
        tap_play(still)
        at = place(still)
        still.page.clock.run_for(SECOND_MS)
        assert (place(still) - at) % FRAMES in (rate - 1, rate), name
        assert pace(still) == f"{rate} a second" + ("" if recorded else " (none recorded)"), name
        still.page.evaluate("viewer.play.click()")
        at = place(still)
        still.page.clock.run_for(SECOND_MS)
        assert place(still) == at, "it was stopped"
    assert not still.page.refused, still.page.refused


def test_pictures_that_are_left_out_are_said(still: Shown) -> None:
    stop_time(still)
    tap_play(still)
    still.page.clock.run_for(2 * SECOND_MS)
    assert pace(still) == "25 a second"
    # A phone that gets to draw twice a second.
    for _ in range(8):
        still.page.clock.fast_forward(SECOND_MS // 2)
    assert re.fullmatch(r"shows [1-3] of 25 a second", pace(still)), pace(still)
    # The tempo is kept, and what is on the screen is what its place says.
    still.page.clock.run_for(2 * SECOND_MS)
    assert pace(still) == "25 a second"
    still.page.evaluate("viewer.play.click()")
    still.page.clock.run_for(100)
    assert abs(grey(still) - (DARKEST + STEP * place(still))) < STEP / 2


def test_each_clip_of_a_series_plays_at_its_own_rate(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "clips"
    folder.mkdir()
    rates = (40, 10)
    for number, rate in enumerate(rates, start=1):
        pictures = np.full((FRAMES * ROWS, COLUMNS), 50 * number, np.uint8)
        image(folder, f"{number}.dcm", "CLIPS", pictures, number, frames=FRAMES, Modality="US", WindowCenter=128, WindowWidth=256, FrameTime=1_000 / rate)
    image(folder, "hostile.dcm", "NO RATE", np.full((FRAMES * ROWS, COLUMNS), 90, np.uint8), 1, frames=FRAMES, Modality="US", FrameTime="1e-300")
    shown = show(folder)
    series(shown, "CLIPS")
    decoded(shown)
    shown.page.evaluate("viewer.show(0)")
    stop_time(shown)
    tap_play(shown)
    # The first clip takes a second, the second one four; a frame of each may be under way.
    shown.page.clock.run_for(2 * SECOND_MS)
    assert FRAMES + 8 <= place(shown) <= FRAMES + 12 and pace(shown) == "10 a second"
    shown.page.evaluate("viewer.open(viewer.pictures.stacks.find(({ series }) => series.banner.series_description === 'NO RATE'))")
    decoded(shown)
    tap_play(shown)
    shown.page.clock.run_for(SECOND_MS)
    assert pace(shown) == f"{ASSUMED_RATE} a second (none recorded)" and 0 <= place(shown) < FRAMES


def test_a_hand_on_the_picture_stops_it(still: Shown) -> None:
    stop_time(still)
    for act in ("viewer.show(3)", "dispatchEvent(new KeyboardEvent('keydown', { key: 'Home' }))", "viewer.open(viewer.pane.stack)", "document.dispatchEvent(new Event('visibilitychange'))"):
        tap_play(still)
        assert still.page.evaluate("viewer.cine.playing")
        still.page.evaluate(act)
        assert not still.page.evaluate("viewer.cine.playing"), act
        at = place(still)
        still.page.clock.run_for(SECOND_MS)
        assert place(still) == at, act


@pytest.mark.parametrize(("language", "play", "pause"), [("en-GB", "Play", "Pause"), ("ja-JP", "再生", "停止")])
def test_a_finger_starts_and_stops_it(show, loops: Path, language: str, play: str, pause: str, tmp_path: Path) -> None:  # noqa: F811
    shown = show(loops, language=language)
    series(shown, "ALONE")
    expect(shown.page.locator(".play")).to_be_hidden()
    expect(shown.page.locator(".pace")).to_be_hidden()
    series(shown, "SILENT")
    expect(shown.page.locator(".pace")).to_be_hidden()
    assert not (found := harness.barriers(shown.page)), found
    at = place(shown)
    shown.page.get_by_role("button", name=play, exact=True).tap()
    until(lambda: place(shown) != at)
    expect(shown.page.locator(".pace")).to_be_visible()
    shown.page.screenshot(path=tmp_path / f"plays-{language}.png")
    box = shown.page.locator(".play").bounding_box()
    assert min(box["width"], box["height"]) >= 43.5
    box = shown.page.locator(".pace").bounding_box()
    assert box["x"] + box["width"] <= PHONE["viewport"]["width"]
    shown.page.get_by_role("button", name=pause, exact=True).tap()
    assert not shown.page.evaluate("viewer.cine.playing")
