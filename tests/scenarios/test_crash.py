"""SIGKILL in the middle: after a restart the study arrives once and whole, and nobody has to help."""

import threading
from pathlib import Path

from peers import senders

import harness
from harness import Bench


def test_killed_while_receiving(bench: Bench, big_study: list[Path]):
    """The sender sends again what was not acknowledged, as a PACS does; what was acknowledged must still be there."""
    bench.start(silence_ms=6_000)
    reached = threading.Event()
    stored: list[Path] = []
    def send() -> None:
        stored.extend(senders.pynetdicom(bench.port, "DR_DEMO", big_study, after_each=lambda count: count == 20 and reached.set()))
    sender = threading.Thread(target=send)
    sender.start()
    assert reached.wait(60)
    bench.gateway.kill()
    sender.join()
    assert 20 <= len(stored) < len(big_study), "the sender was to be interrupted"
    bench.gateway.start()
    missing = [path for path in big_study if path not in stored]
    assert senders.pynetdicom(bench.port, "DR_DEMO", missing) == missing
    bench.deliver_and_pull()
    harness.assert_equal_bytes(big_study, bench.reader.files())


def test_killed_while_compressing(bench: Bench, big_study: list[Path]):
    bench.start(silence_ms=500)
    senders.pynetdicom(bench.port, "DR_DEMO", big_study)
    bench.gateway.wait_for_state("assembled", seconds=60)
    kill_and_restart_until_done(bench, big_study)


def test_killed_while_submitting(bench: Bench, big_study: list[Path]):
    bench.start(silence_ms=500, piece_bytes_max=100_000)
    senders.pynetdicom(bench.port, "DR_DEMO", big_study)
    bench.gateway.wait_for("the first accepted piece", lambda deliveries: deliveries[0]["accepted_parts"] >= 2)
    (delivery,) = bench.gateway.deliveries()
    assert delivery["state"] == "sealed", "the pieces went too quickly to be interrupted"
    kill_and_restart_until_done(bench, big_study)
    identifiers = [harness.header(message, "Message-ID") for message in harness.messages(bench.store, "doctor")]
    # At least once on the wire: a piece may be there twice, but with the same bytes under the same id.
    assert len(set(identifiers)) >= delivery["pieces"] + 1


def test_killed_again_and_again(bench: Bench, mr_study: list[Path]):
    """A crash soon after each start, wherever that is; then it is left alone."""
    bench.start(silence_ms=300, settle_ms=100)
    senders.pynetdicom(bench.port, "DR_DEMO", mr_study)
    for pause in (0.1, 0.4, 0.8, 1.2, 1.6):
        threading.Event().wait(pause)
        bench.gateway.kill()
        bench.gateway.start()
    bench.deliver_and_pull()
    harness.assert_equal_bytes(mr_study, bench.reader.files())


def kill_and_restart_until_done(bench: Bench, sent: list[Path]) -> None:
    bench.gateway.kill()
    bench.gateway.start()
    (delivery,) = bench.deliver_and_pull(seconds=180)
    assert delivery["instances"] == len(sent)
    harness.assert_equal_bytes(sent, bench.reader.files())
