"""The manuals of technician and operator: each picture is taken from the page as it is, and what the text beside it quotes stands there.

SCANPOST_RECORD=1 puts the pictures into `docs/manual/pictures`."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lab import page
from lab.orthanc import Orthanc
from lab.programs import program
from peers.lying_pacs import LyingPacs
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import harness
from harness import Bench
from test_page import Desk, ask_for_all_but_one, desk_of, row, write_study

MANUALS = Path(__file__).resolve().parents[2] / "docs" / "manual"
PICTURES = MANUALS / "pictures"
PICTURE = re.compile(r"!\[[^\]]+\]\(pictures/([\w-]+)\.png\)")
QUOTED = re.compile(r"\*\*([^*]+)\*\*")
LANGUAGES = ("en", "ja")
# Long enough for the pictures before it rings.
ALARM_SECONDS = 25
COLOURS = 128
SCREEN = {"width": 1500, "height": 700}


def parts(manual: Path) -> Iterator[tuple[str, list[str]]]:
    """Each picture, with what is quoted from there to the next picture or heading."""
    text = manual.read_text()
    for found in PICTURE.finditer(text):
        below = re.split(r"^#|!\[", text[found.end():], maxsplit=1, flags=re.MULTILINE)[0]
        yield found[1], QUOTED.findall(below)


def one_line(text: str) -> str:
    return " ".join(text.split())


@dataclass
class Camera:
    """Takes the pictures of one language, and keeps the words that were on the screen."""

    desk: Desk
    language: str
    words: dict[str, str] = field(default_factory=dict)

    def take(self, screen: Page, name: str) -> None:
        name = f"{name}-{self.language}"
        self.desk.shot(screen, name)
        self.words[name] = one_line(screen.locator("body").inner_text())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pictures_show_what_the_manuals_quote(bench: Bench, pacs: Orthanc, chromium: Browser, mr_study: list[Path], ct_study: list[Path],
                                                  tmp_path: Path, language: str) -> None:
    bench.gateway.extra_configuration = f"[case]\nalarm_after_s = {ALARM_SECONDS}\n"
    desk = desk_of(bench, chromium, tmp_path, pacs_port=pacs.dicom_port)
    files = write_study(tmp_path / "study", mr_study)
    pacs.know_gateway("gateway", page.HOLD, bench.port)
    (study,) = {pacs.add_file(path) for path in files}
    camera = Camera(desk, language)
    of_the_technician(camera, lambda: pacs.send("gateway", sorted(pacs.instances_of(study))), len(files))
    of_a_question(camera, ct_study)
    of_the_operator(camera, tmp_path)
    manuals = [(manual, *part) for manual in sorted(MANUALS.glob(f"*.{language}.md")) for part in parts(manual)]
    assert {name for _, name, _ in manuals} == camera.words.keys(), "each picture stands in a manual"
    missing = [f"{manual.name}, {name}: {quoted}" for manual, name, all_quoted in manuals for quoted in all_quoted
               if one_line(quoted) not in camera.words[name]]
    assert not missing, "\n".join([*missing, *(f"{name}: {words}" for name, words in camera.words.items())])
    if os.environ.get("SCANPOST_RECORD") == "1":
        PICTURES.mkdir(exist_ok=True)
        for name in camera.words:
            # A quarter of the bytes, and nobody sees the difference.
            Image.open(desk.shots / f"{name}.png").quantize(COLOURS).save(PICTURES / f"{name}.png", optimize=True)
    assert {path.stem for path in PICTURES.glob(f"*-{language}.png")} == camera.words.keys(), "SCANPOST_RECORD=1 takes the pictures anew"


def of_the_technician(camera: Camera, send: Callable[[], object], images: int) -> None:
    """`send` does what is done at the PACS. From the first sign-in to the proof that a case is gone."""
    desk, bench = camera.desk, camera.desk.bench
    stranger = desk.browser.new_context(ignore_https_errors=True, locale=camera.language, viewport=SCREEN).new_page()
    stranger.goto(desk.url)
    camera.take(stranger, "sign-in")
    screen = desk.open(camera.language)
    screen.set_viewport_size(SCREEN)
    send()
    study = row(screen, "山田 太郎").first
    expect(study).to_contain_text(re.compile(rf"{images}(枚| images)"))
    camera.take(screen, "waits")
    study.locator("input[name=study]").check()
    expect(screen.locator("#transfer")).to_contain_text("山田 太郎")
    camera.take(screen, "chosen")
    screen.click("#transfer")
    expect(screen.locator("[data-wish=undo]").first).to_be_visible()
    camera.take(screen, "undo")
    (delivery,) = bench.gateway.wait_for_state("notified")
    expect(study.locator("[data-wish=heard]")).to_have_count(0)
    study.locator("summary").click()
    expect(study.locator("[data-wish=notify]")).to_be_visible()
    camera.take(screen, "notified")
    study.locator("summary").click()
    expect(study.locator("[data-wish=heard]")).to_be_visible(timeout=2_000 * ALARM_SECONDS)
    camera.take(screen, "alarm")
    study.locator("[data-wish=heard]").click()
    bench.pull()
    subprocess.run([program("scanpost-reader"), "answer", "--config", bench.reader.config, "--case", delivery["case"], "call-back"], check=True, timeout=60)
    expect(study).to_contain_text({"en": "asks to be called back", "ja": "折り返し"}[camera.language])
    study.locator("summary").click()
    camera.take(screen, "answered")
    study.locator("[data-wish=close]").click()
    # It has no name any more.
    study = screen.locator(f"#s-{delivery['case']}")
    expect(study).to_contain_text({"en": "Deleted; proved", "ja": "削除済み"}[camera.language], timeout=60_000)
    camera.take(screen, "closed")


def of_a_question(camera: Camera, files: list[Path]) -> None:
    """The PACS lists an image more than it gives."""
    desk = camera.desk
    desk.bench.gateway.stop()
    lying = LyingPacs(files, withheld=1)
    try:
        desk.bench.start(pacs_port=lying.port)
        screen = ask_for_all_but_one(desk, files, camera.language)
        screen.set_viewport_size(SCREEN)
        camera.take(screen, "incomplete")
    finally:
        lying.stop()


def of_the_operator(camera: Camera, tmp_path: Path) -> None:
    boss = page.add_account(camera.desk.bench.gateway.config, "boss", "administrator")
    desk = Desk(camera.desk.bench, boss, camera.desk.browser, camera.desk.shots)
    screen = desk.open(camera.language)
    screen.set_viewport_size(SCREEN)
    for name, path in (("roster", "/roster"), ("figures", "/operator"), ("accounts", "/accounts")):
        screen.goto(desk.url + path)
        camera.take(screen, name)
