"""The app's viewer: series in the order in which the site numbers them, and diffusion-weighted images by b-value, each one said."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from test_app_hazards import groups
from test_app_viewer import WAIT_MS, Shown, image, series, show, until, wasm  # noqa: F401

ROWS, COLUMNS = 48, 64
HEIGHTS = (12.0, 0.0, 8.0, 4.0)
B_VALUES = (1000, 0, 500)
# Series Number by name; one has none, and two have the same one, which then stay as they came.
NUMBERS = {"LAST": 900, "FIRST": 1, "DIFFUSION": 5, "UNNUMBERED": None, "MAP": 501}


def picture(seed: int) -> np.ndarray:
    return np.full((ROWS, COLUMNS), 40 + 5 * seed, np.uint8)


def numbered(folder: Path) -> None:
    for name, number in NUMBERS.items():
        elements = {} if number is None else {"SeriesNumber": number}
        if name != "DIFFUSION":
            image(folder, f"{name}.dcm", name, picture(1), 1, Modality="MR", WindowCenter=128, WindowWidth=256, **elements)


def diffusion(folder: Path, write) -> None:
    """Every place with every b-value, numbered across both; `write` puts the b-value where a maker does."""
    instances = [(b, height) for height in HEIGHTS for b in B_VALUES]
    for number, (b, height) in enumerate(instances, start=1):
        elements = {"SeriesNumber": NUMBERS["DIFFUSION"], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, height]}
        image(folder, f"d{number}.dcm", "DIFFUSION", picture(number), number, Modality="MR", WindowCenter=128, WindowWidth=256, **elements, **write(b))


def strip(shown: Shown) -> list[str]:
    return [words.split("\n")[0] for words in shown.page.locator(".thumbnail bdi").all_inner_texts()]


def test_series_stand_as_the_site_numbers_them_until_a_finger_chose_one(show, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "numbered"
    folder.mkdir()
    numbered(folder)
    diffusion(folder, lambda b: {"DiffusionBValue": float(b)})
    shown = show(folder)
    shown.here()
    expected = sorted(NUMBERS, key=lambda name: (NUMBERS[name] is None, NUMBERS[name] or 0))
    until(lambda: strip(shown) == expected)
    shown.page.screenshot(path=tmp_path / "numbered.png")
    # Chosen before all numbers are known: what a finger goes to does not move.
    shown.page.add_init_script("window.delay = 3_000")
    shown.page.reload()
    shown.page.wait_for_selector(".thumbnail")
    came = strip(shown)
    assert came != expected, "an order that cannot change proves nothing"
    shown.page.locator(".thumbnail").last.click()
    shown.page.evaluate("window.delay = 0")
    shown.whole()
    assert strip(shown) == came


@pytest.mark.parametrize("enhanced", [False, True])
def test_each_b_value_is_a_stack_of_its_own_and_said(show, enhanced: bool, tmp_path: Path) -> None:  # noqa: F811
    folder = tmp_path / "diffusion"
    folder.mkdir()
    numbered(folder)
    if enhanced:
        instances = [(b, height) for height in HEIGHTS for b in B_VALUES]
        frames = [groups(PlanePositionSequence={"ImagePositionPatient": [0, 0, height]}, MRDiffusionSequence={"DiffusionBValue": float(b)}) for b, height in instances]
        shared = groups(PlaneOrientationSequence={"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, FrameVOILUTSequence={"WindowCenter": 128, "WindowWidth": 256})
        image(folder, "enhanced.dcm", "DIFFUSION", np.vstack([picture(number) for number in range(len(instances))]), 1, frames=len(instances), Modality="MR",
              SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=frames)
    else:
        diffusion(folder, lambda b: {"DiffusionBValue": float(b)})
    shown = show(folder)
    series(shown, "DIFFUSION")
    button = shown.page.locator(".thumbnail").filter(has_text="DIFFUSION")
    expect(button.locator(".b")).to_have_text("b 0 · 500 · 1000")
    assert "b 0 · 500 · 1000" in button.get_attribute("aria-label")
    expect(shown.page.locator(".thumbnail").filter(has_text="FIRST").locator(".b")).to_have_count(0)
    seen = []
    count = len(HEIGHTS) * len(B_VALUES)
    for place in range(count):
        shown.page.evaluate(f"viewer.show({place})")
        expect(shown.page.locator(".corner")).to_contain_text(f"{place + 1} / {count}", timeout=WAIT_MS)
        told = shown.geometry()
        seen.append((told["bValue"], told["position"][2]))
        expect(shown.page.locator(".corner")).to_contain_text(f"b {told['bValue']:.0f}\n")
    assert seen == [(b, height) for b in sorted(B_VALUES) for height in sorted(HEIGHTS)]
    shown.page.screenshot(path=tmp_path / f"diffusion-{enhanced}.png")


def test_directions_of_one_b_value_stand_together_whatever_their_numbers(show, tmp_path: Path) -> None:  # noqa: F811
    """Three directions at b 1000 in each place, numbered across, and positions that differ in the last digit."""
    folder = tmp_path / "directions"
    folder.mkdir()
    numbered(folder)
    instances = [(b, height + 0.0001 * at) for height in HEIGHTS for at, b in enumerate((1000, 0, 1000, 1000))]
    for number, (b, height) in enumerate(instances, start=1):
        image(folder, f"d{number}.dcm", "DIFFUSION", picture(number), number, Modality="MR", WindowCenter=128, WindowWidth=256, SeriesNumber=NUMBERS["DIFFUSION"],
              ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, height], DiffusionBValue=float(b))
    shown = show(folder)
    series(shown, "DIFFUSION")
    seen = []
    for place in range(len(instances)):
        shown.page.evaluate(f"viewer.show({place})")
        expect(shown.page.locator(".corner")).to_contain_text(f"{place + 1} / {len(instances)}", timeout=WAIT_MS)
        told = shown.geometry()
        seen.append((told["bValue"], round(told["position"][2], 2)))
    assert seen == [(0, height) for height in sorted(HEIGHTS)] + [(1000, height) for height in sorted(HEIGHTS) for _ in range(3)]


def test_a_b_value_of_nothing_is_not_said(show, tmp_path: Path) -> None:  # noqa: F811
    """Some makers write 0 to every image."""
    folder = tmp_path / "nothing"
    folder.mkdir()
    numbered(folder)
    for number, height in enumerate(HEIGHTS, start=1):
        image(folder, f"n{number}.dcm", "PLAIN", picture(number), number, Modality="MR", WindowCenter=128, WindowWidth=256, DiffusionBValue=0.0,
              ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, height])
    shown = show(folder)
    series(shown, "PLAIN")
    expect(shown.page.locator(".corner")).not_to_contain_text("b ")
    expect(shown.page.locator(".thumbnail .b")).to_have_count(0)
