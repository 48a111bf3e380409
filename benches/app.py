"""Tap → first image, whole stack coarse, whole study, on emulated 4G and 3G links (deploy/lab/link.py), in headless Chromium at a phone's viewport.

The tap is the authenticator's answer. Warm: the program's files are kept; the case's bytes never are. Cold: nothing is kept, and the button is pressed as
soon as it is there. Each run has a connection of its own. Only some runs wait for the whole study. Prints, for each link, median and p95 of the runs beside what is asked; and script + upload a
slice, decode a slice, memory. Without runs: memory alone, while the whole stack is fetched and scrolled through.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "deploy"), str(TOP / "tests"), str(TOP / "tests" / "scenarios")]

from lab.keys import Keys  # noqa: E402
from lab.link import LINES, Link  # noqa: E402
from lab.mail_store import MailStore  # noqa: E402
from lab.portal import Portal  # noqa: E402
from lab.ports import free_port  # noqa: E402
from lab.study import ct, mr  # noqa: E402
from peers.memory import Renderers  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

import harness  # noqa: E402
from test_app import EN, PHONE, Phone, deliver, enrol  # noqa: E402

WAIT_S = 240
MEMORY_ASKED_MIB = 256
# Seconds asked of (link, cold?): first image, whole stack coarse. None: not asked.
ASKED = {("4G", False): (1.0, 3), ("4G", True): (2.0, None), ("3G", False): (2.0, 10), ("3G", True): (3.5, None)}
WHOLE_ASKED = 1.15
# Milliseconds of the page's clock at which things were first so.
WATCH = """(() => {
  const marks = window.marks = {};
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = async (how) => { const answer = await get(how); marks.tap = performance.now(); return answer; };
  let app = null;
  const mark = (name, holds) => { if (!(name in marks) && holds) marks[name] = performance.now(); };
  const look = async () => {
    if ('tap' in marks) {
      app ??= await import('/js/app.js');
      const viewer = app.state.viewer, shown = viewer?.canvas.dataset.shown;
      if (viewer) {
        window.viewer = viewer;
        mark('first', shown === 'coarse' || shown === 'full');
        mark('full', shown === 'full');
        mark('stack', viewer.pictures.here(viewer.pictures.stacks[0]) === viewer.pictures.stacks[0].frames.length);
        const { here, all } = viewer.pictures.progress;
        mark('whole', here === all);
      }
    }
    setTimeout(look, 5);
  };
  look();
})()"""
# The program is on the device, as after an earlier visit.
KEPT = """(async () => {
  const { active } = await navigator.serviceWorker.ready;
  active.postMessage('look');
  const { files } = await (await fetch('/shell.json')).json(), kept = await caches.open('shell');
  const missing = async () => (await Promise.all(Object.keys(files).map((path) => kept.match(path)))).includes(undefined);
  while (await missing()) await new Promise((done) => setTimeout(done, 100));
})()"""


def run(phone: Phone, link: Link, line, delivery: str, cold: bool, last: str) -> dict:
    """Until the mark `last`: the whole stack, or the whole study."""
    page = phone.page
    page.goto("about:blank")
    client = phone.context.new_cdp_session(page)
    origin = phone.portal.origin
    if cold:
        client.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "service_workers,cache_storage,indexeddb"})
        client.send("Network.clearBrowserCache")
    else:
        page.goto(origin)
        page.evaluate(KEPT)
        page.goto("about:blank")
    # What the run before left on its way would come first.
    link.cut()
    link.line = line
    begun = time.monotonic()
    page.goto(f"{origin}/c/{delivery}")
    button = page.get_by_role("button", name=EN.open)
    button.wait_for()
    if not cold:
        # The program is kept, the case is not.
        page.evaluate("""(async () => { for (const name of await caches.keys()) if (name.startsWith('scanpost-data')) await caches.delete(name); })()""")
    loaded = time.monotonic() - begun
    before = link.bytes
    button.click()
    deadline = time.monotonic() + WAIT_S
    while last not in (marks := page.evaluate("window.marks")):
        if time.monotonic() > deadline:
            raise TimeoutError(marks)
        time.sleep(0.1)
    fetched = link.bytes - before
    link.line = None
    seconds = {name: (marks[name] - marks["tap"]) / 1000 for name in ("first", "full", "stack", "whole") if name in marks}
    # A cold page's own bytes come before the tap, but belong to what the doctor waits for.
    whole = {"ratio": seconds["whole"] / (fetched * 8 / line.bits_per_second)} if last == "whole" else {}
    return seconds | {"page": loaded} | whole


def p95(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def in_memory(browser, phone: Phone, delivery: str) -> dict:
    """The whole study without a link, then a walk through it, there and back."""
    page = phone.page
    page.goto(f"{phone.portal.origin}/c/{delivery}")
    page.get_by_role("button", name=EN.open).click()
    memory, deadline = Renderers(browser), time.monotonic() + WAIT_S
    while "whole" not in (marks := page.evaluate("window.marks")):
        memory.look()
        if time.monotonic() > deadline:
            raise TimeoutError(marks)
        time.sleep(0.2)
    frames = page.evaluate("viewer.pictures.stacks[0].frames.length")
    for place in (*range(frames), *reversed(range(frames))):
        page.evaluate(f"viewer.show({place})")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        if place % 10 == 0:
            memory.look()
    held = page.evaluate("viewer.pictures.held")
    return {"frames": frames, "peak_mib": round(memory.peak_mib, 1), "asked_mib": MEMORY_ASKED_MIB, "held_mb": {name: round(value / 1e6, 1) for name, value in held.items()}}


def scrolled(phone: Phone) -> dict:
    """Script and upload of each drawing, decoding, memory, after a walk through the stack."""
    page = phone.page
    page.evaluate("viewer.pane.renderer.spent.length = 0")
    frames = page.evaluate("viewer.pictures.stacks[0].frames.length")
    for place in range(frames):
        page.evaluate(f"viewer.show({place})")
        page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    spent = page.evaluate("viewer.pane.renderer.spent")
    decoder = page.evaluate("viewer.pictures.decoder.spent")
    held = page.evaluate("viewer.pictures.held")
    client = phone.context.new_cdp_session(page)
    client.send("Performance.enable")
    heap = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}["JSHeapUsedSize"]
    return {"script_p95_ms": p95(spent), "script_median_ms": statistics.median(spent), "decode_ms": decoder["slab"]["ms"] / max(1, decoder["slab"]["jobs"]),
            "coarse_ms": decoder["coarse"]["ms"] / max(1, decoder["coarse"]["jobs"]), "held_mb": {name: round(value / 1e6, 1) for name, value in held.items()}, "heap_mb": heap / 1e6}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--whole", type=int, default=5, help="so many of them wait for the whole study")
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--kind", choices=("mr", "ct"), default="mr")
    parser.add_argument("--near", default="auto", help="0: without loss, the largest coded pictures")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scanpost-bench-app-"))
    folder.chmod(0o711)
    study = folder / "study"
    study.mkdir()
    {"mr": mr, "ct": ct}[arguments.kind].generate(study, arguments.images, 1)
    store, keys = MailStore(folder / "mail"), Keys(folder / "keys").make()
    store.start()
    bench = harness.Bench(folder, store, keys)
    bench.start(without_certificate=("doctor",), near=arguments.near if arguments.near.isdigit() else f'"{arguments.near}"')
    front, back = free_port(), free_port()
    portal = Portal(folder / "portal", folder / "log" / "portal.log", store, keys, back, origin=f"https://localhost:{front}").start()
    link = Link(front, back)
    results = {"runs": arguments.runs, "images": arguments.images, "kind": arguments.kind, "links": {}}
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[
                "--no-sandbox", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"])
            context = browser.new_context(locale="en-GB", **PHONE)
            phone = Phone(context, portal, folder)
            enrol(phone, bench, EN)
            delivery = deliver(bench, sorted(study.iterdir()))
            phone.page.add_init_script(WATCH)
            if not arguments.runs:
                results["memory"] = in_memory(browser, phone, delivery)
                print(json.dumps(results["memory"]), flush=True)
            for line in LINES if arguments.runs else ():
                for cold in (False, True):
                    runs = [run(phone, link, line, delivery, cold, "whole" if number < max(1, arguments.whole) else "stack") for number in range(arguments.runs)]
                    told = {name: {"median": round(statistics.median(values), 3), "p95": round(p95(values), 3)} for name in runs[0] if (values := [one[name] for one in runs if name in one])}
                    results["links"][f"{line.name} {'cold' if cold else 'warm'}"] = told
                    first, stack = ASKED[line.name, cold]
                    print(f"{line.name} {'cold' if cold else 'warm'}: first image p95 {told['first']['p95']:.2f} s (asked {first}), full {told['full']['p95']:.2f} s, "
                          f"stack {told['stack']['p95']:.2f} s (asked {stack or '-'}), whole {told['ratio']['median']:.2f} x of bytes / link (asked {WHOLE_ASKED}), "
                          f"page before the tap {told['page']['p95']:.2f} s", flush=True)
            results["scroll"] = scrolled(phone)
            print(json.dumps(results["scroll"]))
            browser.close()
    finally:
        link.close()
        portal.stop()
        bench.gateway.stop()
        store.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
