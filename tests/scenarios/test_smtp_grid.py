"""The mail server goes wrong at each step of the conversation in each way: the study arrives once and whole, by itself or when somebody says so, and
whoever must act reads why it did not."""

from collections import Counter
from pathlib import Path

import pytest

from lab.api import Api
from lab.mail_store import MailStore, StoreBehind, address
from lab.ports import free_port
from lab.study import mr
from peers import senders
from peers.smtp_proxy import DRIP, KINDS, OTHER_REPLIES, REPLIES, STALL, STEPS, Fault, SmtpProxy

import harness
from harness import Bench
from test_mail_faults import trouble

IMAGES = 2
PIECE_BYTES = 30_000
SETTINGS = dict(settle_ms=100, silence_ms=500, poll_ms=150, cover_seen_ms=2_000, piece_bytes_max=PIECE_BYTES)
SECONDS_MAX = 90
# After its last dot a message may be at the server and the answer lost: so many times at each run, and with --long. Each study waits a while for its
# next try, so many go at once.
CUTS, CUTS_LONG = 12, 1_000
AT_ONCE, AT_ONCE_LONG = 3, 40
GRID = [Fault(step, kind) for step in STEPS for kind in KINDS]
# What stands for all at each run: every step and every kind.
SAMPLE = {"CONNECT-4xx", "EHLO-garbage", "AUTH-5xx", "MAIL-5xx", "RCPT-4xx", "DATA-cut", "DOT-slow", "DOT-5xx", "DOT-cut"}


@pytest.fixture
def proxy(session_store: MailStore):
    tls = session_store.dir / "tls"
    proxy = SmtpProxy(free_port(), session_store.smtps_port, tls / "server.cert.pem", tls / "server.key.pem")
    yield proxy
    proxy.stop()


@pytest.fixture
def store(store: MailStore, proxy: SmtpProxy) -> MailStore:
    """Mail goes in through the proxy."""
    return StoreBehind(store.dir, smtps_port=proxy.port)


@pytest.fixture
def api(bench: Bench) -> Api:
    bench.start_with_page(**SETTINGS)
    return bench.api()


def test_every_fault_at_every_step(bench: Bench, api: Api, proxy: SmtpProxy, tmp_path: Path, is_long: bool):
    faults = [fault for fault in GRID if is_long or str(fault) in SAMPLE]
    sent: list[Path] = []
    outcomes = Counter()
    for number, fault in enumerate(faults, start=1):
        study = harness.generated(tmp_path / f"study-{number}", mr, IMAGES, 100 + number)
        known = {one["id"] for one in bench.gateway.deliveries()}
        proxy.begin(fault)
        assert senders.pynetdicom(bench.port, "DR_DEMO", study) == study
        delivery = arrived(bench, api, known, fault, outcomes)
        assert proxy.met == 1, f"{fault} was not met"
        sent += study
        bench.pull()
        harness.assert_equal_bytes(sent, bench.reader.files())
        bench.gateway.wait_for(f"{fault}: the receipt", lambda all: next(one for one in all if one["id"] == delivery)["state"] == "pulled")
    print(f"\nSMTP grid: {len(faults)} of {len(GRID)} faults, {dict(outcomes)}")


def arrived(bench: Bench, api: Api, known: set[str], fault: Fault, outcomes: Counter) -> str:
    """Waits until the delivery is notified. Where the server refused for good, a person reads why and says: again."""
    def newest(deliveries: list[dict]) -> dict | None:
        return next((one for one in deliveries if one["id"] not in known and one["state"] in ("notified", "failed")), None)

    one = newest(bench.gateway.wait_for(f"{fault}: the notice, or a dead letter", newest, SECONDS_MAX))
    if one["state"] == "notified":
        outcomes["by itself"] += 1
        return one["id"]
    reply = REPLIES["5xx"].get(fault.step, OTHER_REPLIES["5xx"]).decode().strip()
    assert fault.kind == "5xx" and reply in trouble(one), f"{fault} ended the delivery: {trouble(one)}"
    assert api.post(f"/deliveries/{one['id']}/retry").status == 204
    bench.gateway.wait_for(f"{fault}: the notice after a second try", lambda all: next(other for other in all if other["id"] == one["id"])["state"] == "notified", SECONDS_MAX)
    outcomes["again by hand"] += 1
    return one["id"]


def test_the_answer_after_the_dot_is_lost_again_and_again(bench: Bench, proxy: SmtpProxy, tmp_path: Path, is_long: bool):
    """The server has the message, and the gateway cannot know: it sends it again, the mailbox has it twice, the doctor sees the study once."""
    bench.start(**SETTINGS)
    wanted, at_once = (CUTS_LONG, AT_ONCE_LONG) if is_long else (CUTS, AT_ONCE)
    proxy.begin(Fault("DOT", "cut", wanted, each_once=True))
    sent: list[Path] = []
    number = 0
    while proxy.met < wanted:
        for number in range(number + 1, number + 1 + at_once):
            study = harness.generated(tmp_path / f"study-{number}", mr, 8, 500 + number)
            assert senders.pynetdicom(bench.port, "DR_DEMO", study) == study
            sent += study
        bench.gateway.wait_for_state("notified", "pulled", count=number, seconds=4 * SECONDS_MAX)
        bench.pull()
        harness.assert_equal_bytes(sent, bench.reader.files())
    # Notices go the same way, to the telephone.
    messages = Counter(harness.header(message, "Message-ID") for user in ("doctor", "phone") for message in harness.messages(bench.store, user))
    twice = sum(count > 1 for count in messages.values())
    print(f"\n{len(proxy.lost)} answers lost after the dot, {twice} messages twice at doctor and telephone, {len(sent)} images of {number} studies at the doctor, each once")
    assert len(proxy.lost) >= wanted
    assert not [name for name in proxy.lost if messages[name] < 2], "the server was to have every one of them twice"


@pytest.mark.parametrize("kind", [STALL, DRIP])
def test_a_mail_server_that_stalls_for_one_doctor_does_not_keep_another_waiting(bench: Bench, proxy: SmtpProxy, ct_study: list[Path], mr_study: list[Path],
                                                                                kind: str):
    """The answer to RCPT for one of two doctors does not come, or drop by drop, until the other has everything."""
    bench.start(**{**SETTINGS, "silence_ms": 2_000}, destinations={"DR_DEMO": ["doctor"], "DR_OTHER": ["doctor2"]})
    proxy.begin(Fault("RCPT", kind, to=address("doctor")))
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study) == ct_study
    bench.gateway.wait_for("the stall", lambda _: proxy.met, SECONDS_MAX)
    assert senders.pynetdicom(bench.port, "DR_OTHER", mr_study) == mr_study

    def states(deliveries: list[dict]) -> dict[str, str]:
        return {one["destination"]: one["state"] for one in deliveries}

    met = bench.gateway.wait_for("the other doctor's notice", lambda all: states(all).get("DR_OTHER") in harness.DONE, SECONDS_MAX)
    assert states(met)["DR_DEMO"] == "sealed" and len(harness.messages(bench.store, "phone")) == 1
    other = bench.reader_of("doctor2")
    bench.pull(other)
    harness.assert_equal_bytes(mr_study, other.files())
    proxy.begin(None)
    bench.gateway.wait_for_state(*harness.DONE, count=2, seconds=SECONDS_MAX)
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())
