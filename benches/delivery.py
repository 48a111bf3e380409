"""Seconds from the press to the notice, with series compressed while others still arrive and without, in one run.

Orthanc sends a generated head MR by C-STORE and is asked whether that is all; Postfix, Dovecot and the gateway are on the same machine. Each round
sends a study of its own to both gateways, which take turns. What is asked: the notice within 1.5 times what receiving and compressing take alone,
one after the other. Lines of so many Mbit/s can lie between PACS and gateway, and between gateway and mail server.

usage: benches/delivery [--images 150] [--rounds 5] [--pacs-mbit N] [--mail-mbit N] [--json FILE]
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP / "deploy")]

from lab.gateway import Gateway, Settings  # noqa: E402
from lab.keys import Keys  # noqa: E402
from lab.link import Line, Link  # noqa: E402
from lab.mail_store import MailStore, StoreBehind  # noqa: E402
from lab.orthanc import Orthanc  # noqa: E402
from lab import progress  # noqa: E402
from lab.ports import free_port  # noqa: E402
from lab.study import mr  # noqa: E402

MODES = {"ahead": True, "one after the other": False}
# All but the last: the doctor is not waited for.
STAGES = progress.STAGES[:-1]
ASKED = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pacs-mbit", type=float, help="as fast as it goes without")
    parser.add_argument("--mail-mbit", type=float, help="as fast as it goes without")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scanpost-delivery-") as name:
        folder = Path(name)
        # The mail store's users reach their sockets below it.
        folder.chmod(0o711)
        rounds = measure(folder, arguments)
    report(arguments.images, rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(rounds, indent=1))


def measure(folder: Path, arguments: argparse.Namespace) -> list[dict]:
    """Of each round, for each mode, the seconds of the stages and from the press to the notice."""
    store, keys = MailStore(folder / "mail"), Keys(folder / "keys").make()
    pacs = Orthanc(folder / "pacs", folder / "orthanc.log")
    gateways = {}
    try:
        store.start()
        pacs.start()
        store = StoreBehind(folder / "mail", behind_line(store.smtps_port, arguments.mail_mbit))
        for mode, ahead in MODES.items():
            settings = Settings(pacs_port=pacs.dicom_port, near='"auto"', ahead=ahead)
            (folder / mode).mkdir()
            gateway = Gateway(folder / mode, folder / f"{mode}.log", store, keys, settings)
            gateway.start()
            gateways[mode] = gateway
            pacs.know_gateway(mode.split()[0], "DR_DEMO", behind_line(gateway.port, arguments.pacs_mbit))
        # The first warms up.
        return [one_round(folder, pacs, gateways, arguments.images, seed) for seed in range(arguments.rounds + 1)][1:]
    finally:
        for gateway in gateways.values():
            gateway.stop()
        pacs.stop()
        store.stop()


def behind_line(port: int, mbit: float | None) -> int:
    """The port itself, or that of a line to it."""
    if mbit is None:
        return port
    link = Link(free_port(), port)
    link.line = Line("line", mbit * 1e6, 0.002)
    return link.port


def one_round(folder: Path, pacs: Orthanc, gateways: dict[str, Gateway], images: int, seed: int) -> dict:
    study = folder / f"study-{seed}"
    study.mkdir()
    mr.generate(study, images, seed + 1)
    (pressed,) = {pacs.add_file(path) for path in sorted(study.iterdir())}
    order = list(gateways) if seed % 2 else list(gateways)[::-1]
    found = {}
    for mode in order:
        gateway = gateways[mode]
        before = {one["id"] for one in gateway.deliveries()}
        # The one that asks back is the one that was sent to.
        pacs.know_gateway("gateway", "SCANPOST", gateway.port)
        pacs.send(mode.split()[0], [pressed])
        deliveries = gateway.wait_for_state("notified", count=seed + 1, seconds=120)
        (newest,) = [one for one in deliveries if one["id"] not in before]
        found[mode] = {**newest["seconds"], "notice": newest["click_to_notified"]}
    pacs.delete_study(pressed)
    return found


def report(images: int, rounds: list[dict]) -> None:
    print(f"{images} images, {len(rounds)} rounds, medians in seconds")
    median = {mode: {key: statistics.median(one[mode][key] for one in rounds) for key in (*STAGES, "notice")} for mode in MODES}
    print(f"{'':20}" + "".join(f"{stage:>10}" for stage in (*STAGES, "notice")))
    for mode, seconds in median.items():
        print(f"{mode:20}" + "".join(f"{seconds[stage]:10.2f}" for stage in (*STAGES, "notice")))
    for mode in MODES:
        ratios = [one[mode]["notice"] / alone(one) for one in rounds]
        print(f"{mode}: press to notice {statistics.median(ratios):.2f} times receiving and compressing alone ({min(ratios):.2f} to {max(ratios):.2f}; asked {ASKED})")


def alone(one: dict) -> float:
    seconds = one["one after the other"]
    return seconds["receive"] + seconds["compress"]


if __name__ == "__main__":
    main()
