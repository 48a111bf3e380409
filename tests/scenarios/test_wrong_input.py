"""Broken, foreign and hostile peers on the DICOM port: a clear answer, nothing lost, the service stays."""

from pathlib import Path

import pytest

from lab.study import ct
from peers import raw_store, senders
from peers.raw_store import RawAssociation

import harness
from harness import Bench


def raw_association(bench: Bench, called: str = "DR_DEMO") -> RawAssociation:
    return RawAssociation(bench.port, called, ct.CT_IMAGE_STORAGE)


def test_an_unknown_called_ae_title_is_rejected_with_the_reason(bench: Bench):
    bench.start()
    with pytest.raises(raw_store.Rejected) as rejected:
        raw_association(bench, "NOBODY")
    # PS3.8 9.3.4: rejected-permanent, by the user, called AE title not recognized.
    assert (rejected.value.result, rejected.value.source, rejected.value.reason) == (1, 1, 7)
    assert bench.gateway.deliveries() == []


def test_what_is_not_dicom_is_dropped_and_the_next_sender_served(bench: Bench, ct_study: list[Path]):
    bench.start()
    for noise in (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", bytes(1000), b"\x01\x00\xff\xff\xff\xff" + bytes(100), b"\x16\x03\x01" + bytes(64)):
        senders.nonsense(bench.port, noise)
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study)
    bench.deliver_and_pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())


@pytest.mark.parametrize("end", ["abort", "vanish"])
def test_an_association_broken_in_the_middle_of_an_image_leaves_no_half_image(bench: Bench, ct_study: list[Path], end: str):
    """Two whole images, then half of a third. The whole ones are delivered; the third comes when it is sent again."""
    bench.start(silence_ms=3_000)
    association = raw_association(bench)
    for number, path in enumerate(ct_study[:2], start=1):
        assert association.store(harness.uid_of(path), [harness.data_set_bytes(path)], number) == senders.SUCCESS
    association.send_command(harness.uid_of(ct_study[2]), 3)
    association.send_data([harness.data_set_bytes(ct_study[2])[:200_000]], finish=False)
    getattr(association, end)()
    senders.pynetdicom(bench.port, "DR_DEMO", ct_study[2:])
    (delivery,) = bench.deliver_and_pull()
    assert delivery["instances"] == len(ct_study)
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_a_data_set_of_nonsense_harms_nobody(bench: Bench, ct_study: list[Path]):
    """Whatever the answer, the service stays; and what was acknowledged arrives byte for byte, nonsense or not."""
    bench.start(silence_ms=2_000)
    acknowledged = [harness.data_set_bytes(path) for path in ct_study]
    for number, nonsense in enumerate((b"", b"\xff" * 5000, b"\x08\x00\x18\x00UI\xff\xff" + bytes(10), bytes(70_000))):
        try:
            association = raw_association(bench)
            if association.store(f"2.25.{number}", [nonsense]) == senders.SUCCESS:
                acknowledged.append(nonsense)
            association.release()
        except raw_store.Aborted:
            pass
    assert senders.pynetdicom(bench.port, "DR_DEMO", ct_study) == ct_study
    deliveries = bench.gateway.wait_for("the study", lambda found: any(d["instances"] >= len(ct_study) for d in found))
    bench.deliver_and_pull(count=len(deliveries))
    assert sorted(map(harness.data_set_bytes, bench.reader.files())) == sorted(acknowledged)
