"""Studies found at and fetched from Orthanc, DCMTK's dcmqrscp and DICOMweb; archives that lie."""

import json
import subprocess
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from lab import openssl
from lab.orthanc import Orthanc
from lab.programs import program
from peers.archives import Dcmqrscp, Teller, tls_front, web_server
from peers.authority import Authority

import harness
from harness import Bench

NAME = {"name_alphabetic": "Yamada^Tarou", "name_ideographic": "山田^太郎", "name_phonetic": "やまだ^たろう"}


def pacs_table(name: str, ae_title: str, port: int, *lines: str) -> str:
    return "\n".join([f"[pacs.{name}]", f'ae_title = "{ae_title}"', f'address = "127.0.0.1:{port}"', *lines]) + "\n"


def command(bench: Bench, *arguments: str, succeeds: bool = True) -> str:
    """`scanpost-gateway pacs`: what it printed, or what it said where it was to fail."""
    line = [program("scanpost-gateway"), "pacs", *arguments, "--config", bench.gateway.config]
    result = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert (result.returncode == 0) == succeeds, f"{arguments}: exit {result.returncode}\n{result.stdout}{result.stderr}"
    bench.log.parent.mkdir(parents=True, exist_ok=True)
    with bench.log.open("a") as log:
        log.write(result.stderr)
    return result.stdout if succeeds else result.stderr


def find(bench: Bench, *arguments: str) -> dict:
    return json.loads(command(bench, "find", *arguments, "--json"))


def trail(bench: Bench) -> list[dict]:
    line = [program("scanpost-gateway"), "audit", "list", "--config", bench.gateway.config, "--json"]
    result = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def trail_text(bench: Bench) -> str:
    return "".join(path.read_text() for path in sorted((bench.gateway.folder / "state" / "audit").glob("trail-*.log")))


def study_uid(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


@pytest.fixture
def archive(tmp_path: Path):
    """A dcmqrscp with two AE titles."""
    dcmqrscp = Dcmqrscp(tmp_path / "dcmqrscp", tmp_path / "log" / "dcmqrscp.log", ["FIRST", "SECOND"])
    dcmqrscp.start()
    yield dcmqrscp
    dcmqrscp.stop()


@pytest.fixture
def teller():
    tellers: list[Teller] = []

    def make(answers) -> Teller:
        tellers.append(Teller(answers))
        return tellers[-1]
    yield make
    for made in tellers:
        made.stop()


def configure(bench: Bench, *tables: str) -> None:
    bench.gateway.extra_configuration = "\n".join(tables)
    bench.gateway.write_configuration()


def test_a_study_is_found_by_every_way_to_write_its_patient(bench: Bench, pacs: Orthanc, mr_study: list[Path], ct_study: list[Path]):
    for path in [*mr_study, *ct_study]:
        pacs.add_file(path)
    pacs.know_gateway("gateway", "SCANPOST", 1)
    table = pacs_table("orthanc", "ORTHANC", pacs.dicom_port)
    uids = {study_uid(mr_study), study_uid(ct_study)}
    for root in ("study", "patient"):
        configure(bench, table + f'root = "{root}"\n')
        for name in ("Yamada*", "yamada^tarou*", "*山田*", "*やまだ*"):
            found = find(bench, "--name", name)
            assert {study["study"] for study in found["studies"]} == uids, (root, name, found)
            assert all(NAME.items() <= study.items() for study in found["studies"]), found
        assert find(bench, "--name", "*鈴木*") == {"studies": [], "truncated": False}
        (study,) = find(bench, "--name", "*山田*", "--modality", "MR")["studies"]
        assert study["study"] == study_uid(mr_study) and study["modalities"] == ["MR"]
        assert study["instances_claimed"] == len(mr_study), "what Orthanc says is right"
        header = pydicom.dcmread(mr_study[0], stop_before_pixels=True)
        day = f"{header.StudyDate[:4]}-{header.StudyDate[4:6]}-{header.StudyDate[6:]}"
        of_day = find(bench, "--id", header.PatientID, "--from", day, "--to", day)
        assert study_uid(mr_study) in {study["study"] for study in of_day["studies"]}
        assert find(bench, "--to", "1950-01-01")["studies"] == []
        cut = find(bench, "--most", "1")
        assert len(cut["studies"]) == 1 and cut["truncated"]
    # A person reads it too, and logs never.
    assert "山田" in command(bench, "find", "--name", "*山田*")
    assert not any(word in bench.log.read_text() for word in ("山田", "Yamada", header.PatientID))
    queries = [message for message in trail(bench) if "Query" in json.dumps(message)]
    assert len(queries) == 19 and "user " in json.dumps(queries[0])


def test_a_pacs_that_matches_only_iso_2022_is_asked_so(bench: Bench, archive: Dcmqrscp, mr_study: list[Path], ct_study: list[Path]):
    archive.add("FIRST", mr_study)
    archive.add("SECOND", ct_study)
    for ae_title, files in (("FIRST", mr_study), ("SECOND", ct_study)):
        configure(bench, pacs_table("archive", ae_title, archive.port, 'character_set = "ISO 2022 IR 87"'))
        (study,) = find(bench, "--name", "Yamada^Tarou=山田^太郎*")["studies"]
        assert study["study"] == study_uid(files)
        assert NAME.items() <= study.items()
        listed = json.loads(command(bench, "list", study["study"], "--json"))
        assert sum(len(series["instances"]) for series in listed.values()) == len(files)


@pytest.mark.parametrize("way", ["get", "dicomweb", "dicomweb over TLS"])
def test_a_fetched_study_reaches_the_doctor_byte_for_byte(bench: Bench, tmp_path: Path, mr_study: list[Path], way: str):
    lines, authority = [f'retrieve = "{way.split()[0]}"'], Authority(tmp_path / "authority")
    pacs = Orthanc(tmp_path / "pacs", tmp_path / "log" / "orthanc.log", web=way != "get")
    pacs.start()
    try:
        for path in mr_study:
            pacs.add_file(path)
        pacs.know_gateway("gateway", "SCANPOST", 1)
        password = tmp_path / "web.password"
        openssl.write_secret(password, pacs.password.encode())
        if way != "get":
            lines += ["[pacs.orthanc.dicomweb]", 'user = "lab"', f'password_file = "{password}"']
        if way == "dicomweb":
            lines += [f'url = "{pacs.web_url}"', "plain = true"]
        if "TLS" in way:
            issued = authority.issue()
            _, port = tls_front(pacs.http_port, issued.certificate, issued.key)
            lines += [f'url = "https://localhost:{port}/dicom-web/"', f'ca = "{authority.certificate}"']
        configure(bench, pacs_table("orthanc", "ORTHANC", pacs.dicom_port, *lines))
        study = study_uid(mr_study)
        # The plugin of Orthanc 1.10 does not undo the escapes of RFC 3986 that every name outside ASCII has in a URL.
        (found,) = find(bench, "--name", "*山田*" if way == "get" else "Yamada*")["studies"]
        assert NAME.items() <= found.items() and found["study"] == study
        fetched = json.loads(command(bench, "fetch", study, "--called", "DR_DEMO", "--json"))
        assert (fetched["listed"], fetched["stored"], fetched["not_asked_for"], fetched["status"]) == (len(mr_study), len(mr_study), 0, "0000")
        assert "transfer" in json.dumps(trail(bench)).lower()
        if "TLS" in way:
            refused_by_tls(bench, tmp_path, authority)
        pacs.child.stop()
        bench.start(silence_ms=1_000)
        # Where the PACS is gone it cannot say that this is all.
        bench.deliver_and_pull()
        harness.assert_equal_bytes(mr_study, bench.reader.files())
    finally:
        pacs.stop()


def refused_by_tls(bench: Bench, tmp_path: Path, authority: Authority) -> None:
    """Another authority than the server's: no question is answered, the operator is told, and it is an alert."""
    configured = bench.gateway.extra_configuration
    other = Authority(tmp_path / "other")
    configure(bench, configured.replace(str(authority.certificate), str(other.certificate)))
    assert "certificate" in command(bench, "find", "--name", "*", succeeds=False)
    assert "the certificate of the PACS is refused" in trail_text(bench)
    configure(bench, configured)


def answer(**attributes: object) -> Dataset:
    data_set = Dataset()
    data_set.QueryRetrieveLevel = "STUDY"
    for name, value in attributes.items():
        setattr(data_set, name, value)
    return data_set


def test_a_hundred_thousand_answers_are_cut_by_a_cancel(bench: Bench, teller):
    def many(_: Dataset):
        for number in range(100_000):
            yield answer(StudyInstanceUID=f"1.2.3.{number}", PatientID="1", NumberOfStudyRelatedInstances="999999999")
    liar = teller(many)
    configure(bench, pacs_table("teller", "TELLER", liar.port))
    began = time.monotonic()
    found = find(bench)
    assert time.monotonic() - began < 20
    assert len(found["studies"]) == 500 and found["truncated"]
    assert found["studies"][0]["instances_claimed"] == 999_999_999, "a claim, shown as one"
    deadline = time.monotonic() + 10
    while not liar.cancelled and time.monotonic() < deadline:
        time.sleep(0.05)
    assert liar.cancelled and liar.told < 10_000, f"{liar.told} told"


def test_patient_root_goes_from_patients_to_their_studies(bench: Bench, teller):
    def by_level(asked: Dataset):
        if asked.QueryRetrieveLevel == "PATIENT":
            assert str(asked.PatientName) == "*山田*"
            yield answer(QueryRetrieveLevel="PATIENT", PatientID="P-1")
            yield answer(QueryRetrieveLevel="PATIENT", PatientID="P-2")
        else:
            assert asked.PatientID in ("P-1", "P-2"), "one patient at a time"
            yield answer(StudyInstanceUID="1.2.3." + asked.PatientID[2:], PatientID=asked.PatientID)
    strict = teller(by_level)
    configure(bench, pacs_table("teller", "TELLER", strict.port, 'root = "patient"'))
    assert [study["study"] for study in find(bench, "--name", "*山田*")["studies"]] == ["1.2.3.1", "1.2.3.2"]
    assert [asked.QueryRetrieveLevel for asked in strict.asked] == ["PATIENT", "STUDY", "STUDY"]


def test_an_answer_about_another_study_is_no_list(bench: Bench, teller):
    other = teller(lambda _: [answer(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.9.9", SeriesInstanceUID="1.2.4")])
    configure(bench, pacs_table("teller", "TELLER", other.port))
    words = command(bench, "list", "1.2.3", succeeds=False)
    assert "another study" in words and "ask its maker" in words


@pytest.mark.parametrize("hostile, words", [
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 3\r\n\r\n[{]", "no DICOM JSON"),
    (b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n\r\n[" + b"0," * (10 << 20), "too long"),
    (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "HTTP status 302"),
    (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "HTTP status 401"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP answer"),
    (b"", "cannot be reached"),
])
def test_a_web_server_that_gives_nonsense_gives_no_list(bench: Bench, hostile: bytes, words: str):
    listener, port = web_server(hostile)
    with listener:
        lines = ['retrieve = "dicomweb"', "[pacs.web.dicomweb]", f'url = "http://127.0.0.1:{port}/dicom-web"', "plain = true"]
        configure(bench, pacs_table("web", "WEB", port, *lines))
        said = command(bench, "list", "1.2.3", succeeds=False)
        assert words in said, said
        if b"401" in hostile:
            assert "the PACS refuses the login" in trail_text(bench)


FILE = b"\0" * 128 + b"DICM" + bytes.fromhex("02000000554c0400") + b"\x10\0\0\0" + b"\0" * 16


@pytest.mark.parametrize("body, words", [
    (b"--x\r\nContent-Type: application/dicom\r\n\r\n" + b"A" * 4096 + b"\r\n--x--", "no DICOM file"),
    (b"--x\r\n\r\n" + FILE + b"\r\n--x--", "meta group"),
    (b"--x\r\n\r\n" + FILE + b"the data set", "meta group"),
    (b"--x\r\n\r\nhalf", "half an answer"),
    (b"y" * (1 << 20), "without its boundary"),
])
def test_a_multipart_body_that_is_none_leaves_nothing(bench: Bench, body: bytes, words: str):
    head = b'HTTP/1.1 200 OK\r\nContent-Type: multipart/related; type="application/dicom"; boundary=x\r\nConnection: close\r\n\r\n'
    listener, port = web_server(head + body)
    with listener:
        lines = ['retrieve = "dicomweb"', "[pacs.web.dicomweb]", f'url = "http://127.0.0.1:{port}/dicom-web"', "plain = true"]
        configure(bench, pacs_table("web", "WEB", port, *lines))
        said = command(bench, "fetch", "1.2.3", "--called", "DR_DEMO", "--unlisted", succeeds=False)
        assert words in said, said
        assert not list((bench.gateway.folder / "state" / "spool" / "receive").iterdir())


def test_beside_a_running_gateway_the_command_says_who_must_act(bench: Bench, pacs: Orthanc):
    bench.gateway.extra_configuration = pacs_table("orthanc", "ORTHANC", pacs.dicom_port)
    bench.start()
    assert "a gateway works here" in command(bench, "find", succeeds=False)
