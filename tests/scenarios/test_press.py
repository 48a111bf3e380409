"""The click is the contract: a study goes whole, or a person says what is to be done, and can be called back. Pressed by another system."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pydicom
import pytest
from lab import mail_store, page
from lab.api import Api
from lab.mailbox import Mailbox
from lab.orthanc import Orthanc
from peers import senders
from peers.lying_pacs import LyingPacs

import harness
from harness import Bench

# "Recall of a study not yet opened leaves nothing readable in the mailbox within 3 s."
RECALL_SECONDS_MAX = 3


@pytest.fixture
def api(bench: Bench, pacs: Orthanc) -> Api:
    system = started(bench, pacs.dicom_port)
    pacs.know_gateway("gateway", page.HOLD, bench.port)
    return system


def started(bench: Bench, pacs_port: int) -> Api:
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), hold=page.HOLD, pacs_port=pacs_port, silence_ms=3_000)
    return bench.api()


def case_of(api: Api) -> str:
    (study,) = api.get("/studies").body
    assert study["delivery"]["state"] == "held", study
    return study["case"]


def order(study: dict, **more: object) -> dict:
    return {"study": study, "doctors": ["doctor"], **more}


def at_pacs(files: list[Path]) -> dict:
    return {"pacs": "orthanc", "study_uid": str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)}


def mails(bench: Bench) -> int:
    with Mailbox(bench.store, "doctor") as mailbox:
        return len([message for message in mailbox.messages() if b"receipt" not in message.content[:2000].lower()])


def test_what_lies_here_is_completed_from_the_pacs_before_it_goes(bench: Bench, pacs: Orthanc, api: Api, ct_study: list[Path]):
    for path in ct_study:
        pacs.add_file(path)
    senders.storescu(bench.port, page.HOLD, ct_study[:2], calling="ORTHANC")
    assert bench.gateway.deliveries()[0]["state"] == "held"
    answer = api.post("/deliveries", order({"case": case_of(api)}, urgent=True, note="右片麻痺、発症 01:20"))
    assert (answer.status, answer.body["begun"]) == (201, True), answer
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    assert harness.completeness(delivery) == {"is": "proved", "instances": len(ct_study)}
    assert delivery["pressed"]["by"] == "system pacs" and delivery["urgent"]
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())
    (note,) = (bench.folder / "pulled").rglob("note.txt")
    assert note.read_text() == "右片麻痺、発症 01:20"
    opened = api.get(f"/deliveries/{answer.body['delivery']}").body
    assert opened["doctors"][0]["pulled_at_ms"] or bench.gateway.wait_for_state("pulled")


def test_a_study_that_only_the_pacs_has_is_fetched(bench: Bench, pacs: Orthanc, api: Api, mr_study: list[Path]):
    for path in mr_study:
        pacs.add_file(path)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post("/deliveries", order(at_pacs(mr_study))), range(4)))
    # Two technicians, or one who presses four times.
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 201], answers
    assert len({answer.body["delivery"] for answer in answers}) == 1
    bench.gateway.wait_for_state(*harness.DONE)
    (delivery,) = bench.deliver_and_pull()
    assert harness.completeness(delivery) == {"is": "proved", "instances": len(mr_study)}
    harness.assert_equal_bytes(mr_study, bench.reader.files())


def test_one_image_that_the_pacs_does_not_give_is_a_choice(bench: Bench, ct_study: list[Path]):
    pacs = LyingPacs(ct_study, withheld=1)
    try:
        api = started(bench, pacs.port)
        path = f"/deliveries/{api.post('/deliveries', order(at_pacs(ct_study))).body['delivery']}"
        (delivery,) = bench.gateway.wait_for("all but one", lambda all: all and all[0]["instances"] == len(ct_study) - 1 and all)
        assert (delivery["state"], delivery["listed"]) == ("received", len(ct_study)), delivery
        assert api.post(f"{path}/choice", {"choice": "wait"}).status == 204
        time.sleep(1)
        assert api.get(path).body["state"] == "received"
        assert api.post(f"{path}/choice", {"choice": "partial"}).status == 204
        (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
        assert harness.completeness(delivery) == {"is": "partial", "instances": len(ct_study) - 1, "listed": len(ct_study)}
        assert f"{len(ct_study) - 1} of {len(ct_study)}" in bench.pull()
        assert api.post(f"{path}/choice", {"choice": "partial"}).status == 409
    finally:
        pacs.stop()


def test_who_waits_gets_the_image_when_the_pacs_gives_it(bench: Bench, ct_study: list[Path]):
    pacs = LyingPacs(ct_study, withheld=1)
    try:
        api = started(bench, pacs.port)
        delivery = api.post("/deliveries", order(at_pacs(ct_study))).body["delivery"]
        bench.gateway.wait_for("all but one", lambda all: all and all[0]["instances"] == len(ct_study) - 1)
        api.post(f"/deliveries/{delivery}/choice", {"choice": "wait"})
        pacs.withheld = 0
        (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
        assert harness.completeness(delivery) == {"is": "proved", "instances": len(ct_study)}
    finally:
        pacs.stop()


def test_a_study_that_grows_while_it_is_sent_has_a_supplement(bench: Bench, pacs: Orthanc, api: Api, ct_study: list[Path]):
    early, late = ct_study[:-3], ct_study[-3:]
    for path in early:
        pacs.add_file(path)
    api.post("/deliveries", order(at_pacs(ct_study)))
    bench.gateway.wait_for_state(*harness.DONE)
    for path in late:
        study = pacs.add_file(path)
    pacs.send("gateway", [study])
    deliveries = bench.deliver_and_pull(count=2)
    assert [delivery["sequence"] for delivery in deliveries] == [1, 2]
    assert {delivery["case"] for delivery in deliveries} == {deliveries[0]["case"]}
    assert sum(delivery["instances"] for delivery in deliveries) == len(ct_study)
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_a_pacs_that_dies_half_way_leaves_a_choice_and_comes_back(bench: Bench, pacs: Orthanc, api: Api, ct_study: list[Path]):
    for path in ct_study:
        pacs.add_file(path)
    senders.storescu(bench.port, page.HOLD, ct_study[:2], calling="ORTHANC")
    case = case_of(api)
    pacs.stop()
    answer = api.post("/deliveries", order({"case": case}))
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE, "received", seconds=2)
    assert delivery["state"] == "received"
    pacs.start()
    (delivery,) = bench.gateway.wait_for_state(*harness.DONE)
    assert harness.completeness(delivery)["is"] in ("proved", "not_proved"), delivery
    assert api.get(f"/deliveries/{answer.body['delivery']}").body["state"] in harness.DONE


def test_a_recalled_study_leaves_nothing_in_the_mailbox(bench: Bench, api: Api, ct_study: list[Path]):
    senders.storescu(bench.port, page.HOLD, ct_study)
    case = case_of(api)
    api.post("/deliveries", order({"case": case}))
    bench.gateway.wait_for_state("notified")
    assert mails(bench) > 1
    pressed = time.monotonic()
    answer = api.post(f"/studies/{case}/withdraw")
    assert answer.status == 200 and answer.body["ended"][0]["state"] == "recalled", answer
    while mails(bench):
        assert time.monotonic() - pressed < 30, "the mails stay"
        time.sleep(0.05)
    seconds = time.monotonic() - pressed
    print(f"recalled: the mailbox was empty after {seconds:.2f} s ({RECALL_SECONDS_MAX} s asked)")
    bench.gateway.wait_for("the word of it", lambda all: all[0]["doctors"][0]["withdrawn"]["looked_at_ms"])
    assert bench.gateway.deliveries()[0]["doctors"][0]["withdrawn"]["removed"] > 1
    assert bench.pull() and not bench.reader.files()
    # Nothing of it is left in the spool, but the study waits for another press, and that one arrives.
    assert not [path for path in (bench.gateway.folder / "state/spool/seal").iterdir()]
    assert api.post(f"/studies/{case}/withdraw").status == 409
    api.post("/deliveries", order({"case": answer.body["held"]}))
    bench.gateway.wait_for("the second press", lambda all: any(one["state"] in harness.DONE for one in all))
    bench.pull()
    harness.assert_equal_bytes(ct_study, bench.reader.files())


def test_a_study_that_was_opened_is_said_to_have_been(bench: Bench, api: Api, ct_study: list[Path]):
    senders.storescu(bench.port, page.HOLD, ct_study)
    case = case_of(api)
    api.post("/deliveries", order({"case": case}))
    bench.deliver_and_pull()
    assert api.post(f"/studies/{case}/withdraw").status == 200
    (study,) = [one for one in api.get("/studies").body if one["case"] == case]
    assert study["delivery"]["state"] == "recalled" and study["delivery"]["doctors"][0]["pulled_at_ms"]


def test_a_mailbox_without_the_right_to_delete_is_said(bench: Bench, api: Api, ct_study: list[Path]):
    senders.storescu(bench.port, page.HOLD, ct_study)
    case = case_of(api)
    bench.store.set_rights("doctor", "lookup", "read")
    try:
        api.post("/deliveries", order({"case": case}))
        bench.gateway.wait_for_state("notified")
        api.post(f"/studies/{case}/withdraw")
        told = bench.gateway.wait_for("the word of it", lambda all: all[0]["doctors"][0]["withdrawn"]["stays"] and all)
        assert told[0]["state"] == "recalled" and mails(bench) > 1
        assert "grant t and e" in bench.log.read_text()
    finally:
        bench.store.set_rights("doctor", *mail_store.GATEWAY_RIGHTS)


def test_who_may_do_what_and_nothing_without_a_token(bench: Bench, api: Api, ct_study: list[Path]):
    senders.storescu(bench.port, page.HOLD, ct_study)
    case = case_of(api)
    looks = bench.api("ris", "auditor")
    assert looks.get("/studies").status == 200
    assert looks.post("/deliveries", order({"case": case})).status == 403
    assert looks.post(f"/studies/{case}/withdraw").status == 403
    for headers in ({"Authorization": ""}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {api.token}"}):
        assert api.request("GET", "/studies", **headers).status == 401
        assert api.request("POST", "/deliveries", order({"case": case}), **headers).status == 401
    for wrong, status in (
        (order({"case": "00" * 16}), 404),
        (order({"case": case}) | {"doctors": []}, 422),
        (order({"case": case}) | {"doctors": ["nobody"]}, 404),
        (order({"case": case}, note="x" * 4097), 422),
        (order({"case": case}, urgency="high"), 422),
        (order({"pacs": "elsewhere", "study_uid": "1.2.3"}), 404),
        (order({"pacs": "orthanc", "study_uid": "not a uid"}), 422),
    ):
        assert api.post("/deliveries", wrong).status == status, wrong
    assert bench.gateway.deliveries()[0]["state"] == "held"
    assert api.token not in bench.log.read_text()
