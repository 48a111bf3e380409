"""The mail server goes wrong at each step of the conversation in each way: the study arrives once and whole, by itself or when somebody says so, and
whoever must act reads why it did not."""

from collections import Counter
from pathlib import Path

import pytest

from lab import page
from lab.api import Api
from lab.keys import Keys
from lab.mail_store import MailStore, StoreBehind
from lab.ports import free_port
from lab.study import mr
from peers import senders
from peers.smtp_proxy import KINDS, STEPS, Fault, SmtpProxy

import harness
from harness import Bench

IMAGES = 2
PIECE_BYTES = 30_000
SETTINGS = dict(settle_ms=100, silence_ms=500, poll_ms=150, cover_seen_ms=2_000, piece_bytes_max=PIECE_BYTES)
SECONDS_MAX = 90
# After its last dot a message may be at the server and the answer lost: so many times at each run, and with --long.
CUTS, CUTS_LONG = 12, 1_000
GRID = [Fault(step, kind) for step in STEPS for kind in KINDS]
# What stands for all at each run: every step and every kind.
SAMPLE = {"CONNECT-4xx", "EHLO-garbage", "AUTH-5xx", "MAIL-5xx", "RCPT-4xx", "DATA-cut", "DOT-slow", "DOT-5xx", "DOT-cut"}


@pytest.fixture
def bench(tmp_path: Path, store: MailStore, keys: Keys):
    """A gateway that hands its mail to the proxy, with the interface for programs."""
    tls = store.dir / "tls"
    proxy = SmtpProxy(free_port(), store.smtps_port, tls / "server.cert.pem", tls / "server.key.pem")
    bench = Bench(tmp_path, StoreBehind(store.dir, proxy.port), keys)
    bench.proxy = proxy
    page.make_certificate(keys)
    lines = page.lines(keys, tmp_path / "page.port", 'second_factor = "administrators"')
    bench.start(page_lines=lines, hold=page.HOLD, **SETTINGS)
    bench.api = Api(bench.gateway.config, tmp_path / "page.port", keys.ca)
    yield bench
    bench.gateway.stop()
    proxy.stop()
    bench.gateway.replay()


def generated(folder: Path, seed: int, images: int = IMAGES) -> list[Path]:
    folder.mkdir()
    mr.generate(folder, images, seed=seed)
    return sorted(folder.iterdir())


def test_every_fault_at_every_step(bench: Bench, tmp_path: Path, is_long: bool):
    faults = [fault for fault in GRID if is_long or str(fault) in SAMPLE]
    sent: list[Path] = []
    outcomes = Counter()
    for number, fault in enumerate(faults, start=1):
        study = generated(tmp_path / f"study-{number}", seed=100 + number)
        known = {one["id"] for one in bench.gateway.deliveries()}
        bench.proxy.begin(fault)
        assert senders.pynetdicom(bench.port, "DR_DEMO", study) == study
        delivery = arrived(bench, known, fault, outcomes)
        assert bench.proxy.met == 1, f"{fault} was not met"
        sent += study
        bench.pull()
        harness.assert_equal_bytes(sent, bench.reader.files())
        bench.gateway.wait_for(f"{fault}: the receipt", lambda all: next(one for one in all if one["id"] == delivery)["state"] == "pulled")
    print(f"\nSMTP grid: {len(faults)} of {len(GRID)} faults, {dict(outcomes)}")


def arrived(bench: Bench, known: set[str], fault: Fault, outcomes: Counter) -> str:
    """Waits until the delivery is notified. Where the server refused for good, a person reads why and says: again."""
    def newest(deliveries: list[dict]) -> dict | None:
        return next((one for one in deliveries if one["id"] not in known and one["state"] in ("notified", "failed")), None)

    one = newest(bench.gateway.wait_for(f"{fault}: the notice, or a dead letter", newest, SECONDS_MAX))
    if one["state"] == "notified":
        outcomes["by itself"] += 1
        return one["id"]
    words = f"{one['trouble']} {[doctor['refused'] for doctor in one['doctors']]}"
    assert fault.kind == "5xx" and "5" in words, f"{fault} ended the delivery: {words}"
    assert bench.api.post(f"/deliveries/{one['id']}/retry").status == 204, words
    bench.gateway.wait_for(f"{fault}: the notice after a second try", lambda all: next(other for other in all if other["id"] == one["id"])["state"] == "notified", SECONDS_MAX)
    outcomes["again by hand"] += 1
    return one["id"]


def test_the_answer_after_the_dot_is_lost_again_and_again(bench: Bench, tmp_path: Path, is_long: bool):
    """The server has the message, and the gateway cannot know: it sends it again, the mailbox has it twice, the doctor sees the study once."""
    wanted = CUTS_LONG if is_long else CUTS
    bench.proxy.begin(Fault("DOT", "cut", wanted, each_once=True))
    sent: list[Path] = []
    number = 0
    while bench.proxy.met < wanted:
        number += 1
        study = generated(tmp_path / f"study-{number}", seed=500 + number, images=8)
        assert senders.pynetdicom(bench.port, "DR_DEMO", study) == study
        bench.gateway.wait_for_state("notified", "pulled", count=number, seconds=2 * SECONDS_MAX)
        sent += study
        bench.pull()
        harness.assert_equal_bytes(sent, bench.reader.files())
    messages = Counter(harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor"))
    repeated = sum(count - 1 for name, count in messages.items() if ".fetched." not in name)
    print(f"\n{bench.proxy.met} answers lost after the dot, {repeated} messages twice in the mailbox, {len(sent)} images of {number} studies at the doctor, each once")
    # What was on its way beside a piece that was cut is sent again too.
    assert repeated >= bench.proxy.met >= wanted, "the server was to have every one of them twice"
