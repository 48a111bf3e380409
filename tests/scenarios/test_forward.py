"""`scanpost-reader pull --forward`: what was pulled goes on to Orthanc, DCMTK and pynetdicom, by C-STORE and STOW-RS, whole and once, whatever they answer."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from lab.orthanc import AE_TITLE, Orthanc
from lab.ports import free_port
from lab.programs import program
from peers import encoders, senders
from peers.authority import Authority
from peers.receivers import Receiver, Storescp
from peers.stow_server import StowServer
from peers.tls_front import TlsFront

import harness
from harness import DONE, Bench

EXIT_FORWARD = 6
NO_ROOM, COERCED, NOT_UNDERSTOOD = 0xA700, 0xB000, 0xC000
MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE, IMPLICIT_LITTLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
# Reports, a plan, a dose, a segmentation, palettes, a waveform, overlays; colour and codecs.
NATIVE = ["test-SR.dcm", "reportsi.dcm", "rtplan.dcm", "rtdose_1frame.dcm", "liver_1frame.dcm", "examples_palette.dcm", "waveform_ecg.dcm", "examples_overlay.dcm"]
CODED = ["SC_rgb_rle.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "image_dfl.dcm"]
# It names neither SOP class nor instance.
NAMELESS = "UN_sequence.dcm"


@pytest.fixture
def receivers() -> Iterator[Callable]:
    """Makes a receiver that is stopped at the end."""
    made: list = []

    def make(kind, *arguments, **settings):
        made.append(kind(*arguments, **settings))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def deliver(bench: Bench, files: list[Path], near: str = "0") -> None:
    """Each study in the mailbox."""
    bench.start(near=near, settle_ms=100, silence_ms=500)
    assert senders.pynetdicom(bench.port, "DR_DEMO", files) == files
    bench.gateway.wait_for_state(*DONE, count=len({pydicom.dcmread(path).get("StudyInstanceUID") for path in files}))


def given(names: list[str]) -> list[Path]:
    return [Path(get_testdata_file(name)) for name in names]


def forward(bench: Bench, target: str, expect: int = 0, *more: str) -> str:
    return bench.pull(expect=expect, arguments=("--forward", target, *more))


def assert_pixels_are_those_pulled(bench: Bench, arrived: list[pydicom.Dataset]) -> None:
    pulled = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, bench.reader.files())}
    assert sorted(str(one.SOPInstanceUID) for one in arrived) == sorted(pulled)
    for dataset in arrived:
        assert dataset.PixelData == pulled[str(dataset.SOPInstanceUID)].PixelData


def assert_silent(words: str, study: list[Path]) -> None:
    """No patient and no UID of the patient's images in what is said."""
    for path in study[:1]:
        dataset = pydicom.dcmread(path)
        for value in (dataset.PatientName, dataset.PatientID, dataset.StudyInstanceUID, dataset.SOPInstanceUID):
            assert str(value) and str(value) not in words, words


def test_orthanc_holds_what_was_pulled_and_is_sent_it_once(bench: Bench, pacs: Orthanc, mr_study: list[Path]):
    # Orthanc takes objects from whom it knows.
    pacs.know_gateway("reader", "SCANPOST", free_port())
    deliver(bench, mr_study)
    words = forward(bench, f"{AE_TITLE}@127.0.0.1:{pacs.dicom_port}")
    assert f"{len(mr_study)} forwarded to {AE_TITLE}@127.0.0.1:{pacs.dicom_port}" in words
    assert_silent(words, mr_study)
    arrived = [pydicom.dcmread(path, force=True) for path in stored_by(pacs)]
    assert_pixels_are_those_pulled(bench, arrived)
    pacs.stop()
    words = forward(bench, f"{AE_TITLE}@127.0.0.1:{pacs.dicom_port}")
    assert "forwarded" not in words and "1 delivery was pulled before" in words


def stored_by(pacs: Orthanc) -> list[Path]:
    return [path for path in (pacs.folder / "storage").rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM"]


def test_every_kind_of_object_reaches_dcmtk_byte_for_byte(bench: Bench, receivers: Callable, mr_study: list[Path]):
    files = [*mr_study[:3], *given([*NATIVE, *CODED])]
    deliver(bench, [*files, *given([NAMELESS])])
    # +xa takes every transfer syntax.
    scp = receivers(Storescp, bench.folder / "workstation", "+xa")
    for _ in range(2):
        words = forward(bench, scp.target, EXIT_FORWARD)
        assert "1 left in the folder, without SOP class or instance UID, or damaged" in words, "every run names what stays"
    padded, stored = (sorted(map(harness.data_set_bytes, paths)) for paths in (files, scp.files()))
    # A deflated data set of odd length gets a zero (PS3.5 A.5).
    assert [content + b"\0" * (len(content) % 2) for content in padded] == stored


def test_who_takes_the_default_transfer_syntax_alone_gets_it(bench: Bench, receivers: Callable, mr_study: list[Path]):
    study = [*mr_study[:3], *given(NATIVE)]
    deliver(bench, study)
    scp = receivers(Storescp, bench.folder / "workstation", "+xi")
    forward(bench, scp.target)
    arrived = scp.files()
    assert len(arrived) == len(study)
    assert {str(pydicom.dcmread(path).file_meta.TransferSyntaxUID) for path in arrived} == {IMPLICIT_LITTLE}
    assert {str(pydicom.dcmread(path).file_meta.TransferSyntaxUID) for path in study} >= {EXPLICIT_LITTLE}
    expected = [implicit_by_dcmtk(path, bench.folder / "converted.dcm") for path in bench.reader.files()]
    assert sorted(expected) == sorted(map(harness.data_set_bytes, arrived))
    assert_no_new_errors(study, arrived, instance_of)


def assert_no_new_errors(sent: list[Path], arrived: list[Path], key: Callable[[Path], object]) -> None:
    """Each of what was sent arrived."""
    sources = {key(path): path for path in sent}
    harness.assert_no_new_errors((sources.pop(key(path)), path) for path in arrived)
    assert not sources


def instance_of(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def number_of(path: Path) -> int:
    return int(pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber)


def test_what_was_compressed_within_a_bound_arrives_sound(bench: Bench, receivers: Callable, ct_study: list[Path]):
    deliver(bench, ct_study, near="3")
    for syntaxes in ("+xa", "+xi"):
        scp = receivers(Storescp, bench.folder / f"workstation{syntaxes}", syntaxes)
        forward(bench, scp.target)
        assert {str(pydicom.dcmread(path).LossyImageCompression) for path in scp.files()} == {"01"}
        assert_no_new_errors(ct_study, scp.files(), number_of)


def implicit_by_dcmtk(path: Path, converted: Path) -> bytes:
    """DCMTK's own conversion of what is explicit, with undefined lengths and without group lengths; else the data set as it is."""
    if str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID) == IMPLICIT_LITTLE:
        return harness.data_set_bytes(path)
    subprocess.run(["dcmconv", "+ti", "-e", "-g", str(path), str(converted)], check=True)
    return harness.data_set_bytes(converted)


@pytest.mark.parametrize(("compress", "syntax"), [("jpeg_ls", JPEGLSLossless), ("jpeg_2000", JPEG2000Lossless)])
def test_images_go_compressed_without_loss_to_who_takes_them_so(bench: Bench, pacs: Orthanc, receivers: Callable, mr_study: list[Path], compress: str, syntax: str):
    # A signed CT, eight bits with a palette, and what has no pixels or other ones.
    study = [*mr_study[:4], *given(["CT_small.dcm", *NATIVE])]
    deliver(bench, study)
    forwarding(bench, f'compress = "{compress}"')
    pacs.know_gateway("reader", "SCANPOST", free_port())
    everything, plain = receivers(Storescp, bench.folder / "everything", "+xa"), receivers(Storescp, bench.folder / "plain")
    for target in (everything.target, plain.target, f"{AE_TITLE}@127.0.0.1:{pacs.dicom_port}"):
        assert f"forwarded to {target}" in forward(bench, target)
    pulled = {instance_of(path): path for path in bench.reader.files()}
    for arrived in (everything.files(), stored_by(pacs)):
        assert sorted(map(instance_of, arrived)) == sorted(pulled)
        compressed = [path for path in arrived if syntax_of(path) != syntax_of(pulled[instance_of(path)])]
        assert {syntax_of(path) for path in compressed} == {syntax}
        assert len(compressed) >= 6, "each image of one sample a pixel"
        for path in compressed:
            came, went = pydicom.dcmread(path), pydicom.dcmread(pulled[instance_of(path)])
            assert (came.pixel_array == went.pixel_array).all()
            assert len(came.PixelData) < len(went.PixelData)
            for dataset in (came, went):
                del dataset.PixelData
            assert came == went, "all else is as it was"
        # Orthanc writes sequences with lengths.
        for path in set(arrived) - set(compressed):
            assert pydicom.dcmread(path) == pydicom.dcmread(pulled[instance_of(path)])
    assert sorted(map(harness.data_set_bytes, plain.files())) == sorted(map(harness.data_set_bytes, pulled.values()))
    assert_no_new_errors(study, everything.files(), instance_of)


def syntax_of(path: Path) -> str:
    return str(pydicom.filereader.read_file_meta_info(path).TransferSyntaxUID)


def test_who_takes_no_compressed_images_gets_the_same_pixels_uncompressed(bench: Bench, receivers: Callable, mr_study: list[Path], tmp_path: Path):
    native = dict(zip(encoders.ENCODERS, mr_study, strict=False))
    study = [encoders.compress([path], tmp_path / codec, codec)[0] for codec, path in native.items()]
    lossy = given(["SC_rgb_jpeg_dcmtk.dcm"])
    deliver(bench, [*study, *lossy])
    for options, syntax in (([], EXPLICIT_LITTLE), (["+xi"], IMPLICIT_LITTLE)):
        scp = receivers(Storescp, bench.folder / f"workstation{syntax}", *options)
        words = forward(bench, scp.target, EXIT_FORWARD)
        assert "1 of SOP class" in words and "are not taken" in words, "what may have lost something is decoded by nobody but who shows it"
        arrived = {instance_of(path): path for path in scp.files()}
        assert sorted(arrived) == sorted(map(instance_of, native.values()))
        for path in native.values():
            assert syntax_of(arrived[instance_of(path)]) == syntax
            came, went = pydicom.dcmread(arrived[instance_of(path)]), pydicom.dcmread(path)
            assert came.PixelData == went.PixelData
        assert_no_new_errors(study, list(arrived.values()), instance_of)


def test_what_is_not_taken_is_named_and_goes_once_it_is(bench: Bench, receivers: Callable, mr_study: list[Path], ct_study: list[Path]):
    deliver(bench, [*mr_study, *ct_study])
    refusing = receivers(Receiver, refused={MR_STORAGE})
    words = forward(bench, refusing.target, EXIT_FORWARD)
    assert f" 0 of {len(mr_study)} forwarded" in words and f"{len(ct_study)} forwarded to {refusing.target}" in words
    assert f"{len(mr_study)} of SOP class {MR_STORAGE} in transfer syntax {EXPLICIT_LITTLE} are not taken" in words
    assert "its administrator: allow both to SCANPOST" in words
    assert_silent(words, mr_study)
    assert len(refusing.stored) == len(ct_study)
    refusing.server.ae.add_supported_context(MR_STORAGE, EXPLICIT_LITTLE)
    refusing.server.contexts = refusing.server.ae.supported_contexts
    forward(bench, refusing.target)
    assert len(refusing.stored) == len(set(refusing.uids())) == len(mr_study) + len(ct_study)


def test_a_full_workstation_is_left_alone_and_gets_the_rest_later(bench: Bench, receivers: Callable, mr_study: list[Path]):
    deliver(bench, mr_study)
    scp = receivers(Receiver, answer=lambda number: NO_ROOM if number > 10 else COERCED if number % 2 else 0)
    words = forward(bench, scp.target, EXIT_FORWARD)
    assert f"10 of {len(mr_study)} forwarded" in words and "1 refused with status A700 (its administrator: it has no room or is busy)" in words
    assert scp.asked == 11
    scp.answer = lambda number: NOT_UNDERSTOOD if number == 12 else 0
    words = forward(bench, scp.target, EXIT_FORWARD, "--json")
    assert len(scp.stored) == len(mr_study) - 1, "one that is refused keeps no other back"
    told = json.loads(words[words.index("[") :].rsplit("]", 1)[0] + "]")[0]["forwarded"]
    assert told == [{"to": scp.target, "acknowledged": len(mr_study) - 1, "waiting": 1, "left": 0}]
    scp.answer = lambda number: 0
    forward(bench, scp.target)
    assert sorted(scp.uids()) == sorted(map(harness.uid_of, mr_study)), "each once"
    asked = scp.asked
    forward(bench, scp.target)
    assert scp.asked == asked


def test_a_workstation_that_hangs_up_in_the_middle_gets_the_rest(bench: Bench, receivers: Callable, mr_study: list[Path]):
    deliver(bench, mr_study)
    scp = receivers(Receiver, answer=lambda number: None if number == 8 else 0)
    words = forward(bench, scp.target, EXIT_FORWARD)
    assert f"{len(mr_study) - 1} of {len(mr_study)} forwarded" in words
    assert "1 not acknowledged, it aborted the association (its administrator: see its log)" in words
    assert scp.associations == 2, "what it cannot bear keeps no other back"
    scp.answer = lambda number: 0
    forward(bench, scp.target)
    assert sorted(scp.uids()) == sorted(map(harness.uid_of, mr_study))


def test_dcmtk_that_aborts_before_its_answer_is_believed_nothing(bench: Bench, receivers: Callable, mr_study: list[Path]):
    deliver(bench, mr_study)
    aborting = receivers(Storescp, bench.folder / "aborting", "--abort-after")
    words = forward(bench, aborting.target, EXIT_FORWARD)
    assert f" 0 of {len(mr_study)} forwarded" in words and "10 not acknowledged, it " in words
    aborting.stop()
    words = forward(bench, aborting.target, EXIT_FORWARD)
    assert "cannot be reached, connection refused (you: check its address, the network, whether it runs)" in words
    refusing = receivers(Storescp, bench.folder / "refusing", "--refuse")
    assert "rejected the association" in forward(bench, refusing.target, EXIT_FORWARD)


def test_a_killed_reader_goes_on_where_it_was(bench: Bench, receivers: Callable, mr_study: list[Path]):
    deliver(bench, mr_study)
    bench.pull()
    command = [program("scanpost-reader"), "pull", "--config", bench.reader.config, "--forward"]
    running: list[subprocess.Popen] = []

    def answer(number: int) -> int:
        # Before it hears of the seventh.
        if number == 7:
            running[0].kill()
            running[0].wait()
        return 0
    scp = receivers(Receiver, answer=answer)
    running.append(subprocess.Popen([*map(str, command), scp.target], stdout=subprocess.DEVNULL))
    assert running[0].wait(60) == -signal.SIGKILL
    harness.wait_until("the seventh stored", lambda: len(scp.stored) == 7)
    forward(bench, scp.target)
    uids = scp.uids()
    assert set(uids) == set(map(harness.uid_of, mr_study)) and len(uids) == len(mr_study) + 1, "the seventh alone came twice"


def test_the_way_to_the_workstation_may_be_tls(bench: Bench, authority: Authority, receivers: Callable, mr_study: list[Path]):
    server, ours = authority.issue("localhost"), authority.issue("reader", purpose="clientAuth")
    # DCMTK 3.6.7 speaks TLS 1.2 at most.
    tls = ["+tls", str(server.key), str(server.certificate), "+cf", str(authority.certificate), "+py", "-rc"]
    scp = receivers(Storescp, bench.folder / "workstation", *tls)
    target = scp.target.replace("127.0.0.1", "localhost")
    forwarding(bench, f'to = "{target}"', "[forward.tls]", f'ca = "{authority.certificate}"', "tls12 = true",
               f'client_certificate = "{ours.certificate}"', f'client_key = "{ours.key}"')
    deliver(bench, mr_study)
    assert f"{len(mr_study)} forwarded to {target}" in bench.pull()
    harness.assert_equal_bytes(bench.reader.files(), scp.files())


def forwarding(bench: Bench, *lines: str) -> None:
    """The reader's configuration with these lines in its table."""
    bench.reader.config.write_text("\n".join([bench.reader.config.read_text(), "[forward]", *lines, ""]))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority", "archives")


def test_orthanc_takes_everything_by_stow(bench: Bench, authority: Authority, receivers: Callable, mr_study: list[Path]):
    archive = receivers(Orthanc, bench.folder / "archive", bench.folder / "log" / "archive.log", web=True)
    bench.extra_logs.append(archive.log)
    archive.start()
    front = receivers(TlsFront, authority.issue("localhost"), archive.http_port)
    url = f"https://localhost:{front.port}/dicom-web"
    password = bench.folder / "archive.password"
    password.write_text("wrong\n")
    password.chmod(0o600)
    forwarding(bench, f'to = "{url}/"', 'user = "lab"', f'password_file = "{password}"', "[forward.tls]", f'ca = "{authority.certificate}"')
    files = [*mr_study, *given(CODED[:2])]
    deliver(bench, files)
    words = bench.pull(expect=EXIT_FORWARD)
    assert f" 0 of {len(mr_study)} forwarded" in words and "HTTP status 401 (you: check user and password_file in [forward]" in words
    password.write_text(archive.password + "\n")
    words = bench.pull()
    assert f"{len(mr_study)} forwarded to {url}" in words
    assert_silent(words, mr_study)
    harness.assert_equal_bytes(files, stored_by(archive))
    front.stop()
    assert "forwarded" not in bench.pull()


def test_what_a_dicomweb_service_does_not_name_as_stored_waits(bench: Bench, authority: Authority, receivers: Callable, mr_study: list[Path]):
    deliver(bench, mr_study)
    service = receivers(StowServer, authority.issue("localhost"), answer=lambda number: {3: NO_ROOM, 5: ...}.get(number))
    forwarding(bench, "[forward.tls]", f'ca = "{authority.certificate}"')
    words = forward(bench, service.url, EXIT_FORWARD)
    assert f"{len(mr_study) - 2} of {len(mr_study)} forwarded" in words
    assert "1 refused with reason A700 (its administrator: it has no room or is busy)" in words
    assert "1 not acknowledged, its answer does not name them (its administrator: see its log)" in words
    service.answer = lambda number: 0x0110
    assert "2 refused with reason 0110 (its administrator: see its log)" in forward(bench, service.url, EXIT_FORWARD)
    service.answer, service.status = lambda number: None, lambda uids: 503
    assert "it answers with HTTP status 503 (its administrator: see its log)" in forward(bench, service.url, EXIT_FORWARD)
    service.status = lambda uids: None
    forward(bench, service.url)
    assert sorted(service.uids()) == sorted(map(harness.uid_of, mr_study)), "each once"
    assert_pixels_are_those_pulled(bench, service.stored)


@pytest.mark.parametrize(("refusal", "words"), [(415, "1 refused, it answers with HTTP status 415 (its administrator: allow this transfer syntax)"),
                                                (..., "1 not acknowledged, localhost ends the connection without a whole answer")])
def test_an_object_that_a_dicomweb_service_cannot_bear_keeps_no_other_back(bench: Bench, authority: Authority, receivers: Callable, mr_study: list[Path],
                                                                          ct_study: list[Path], refusal: object, words: str):
    deliver(bench, [*mr_study, *ct_study])
    bench.pull()
    unbearable = harness.uid_of(mr_study[4])
    service = receivers(StowServer, authority.issue("localhost"), status=lambda uids: refusal if unbearable in uids else None)
    forwarding(bench, "[forward.tls]", f'ca = "{authority.certificate}"')
    told = forward(bench, service.url, EXIT_FORWARD)
    assert words in told and f"{len(mr_study) - 1} of {len(mr_study)} forwarded" in told and f"{len(ct_study)} forwarded" in told
    assert_silent(told, mr_study)
    assert sorted([*service.uids(), unbearable]) == sorted(map(harness.uid_of, [*mr_study, *ct_study]))
    service.status = lambda uids: None
    forward(bench, service.url)
    assert sorted(service.uids()) == sorted(map(harness.uid_of, [*mr_study, *ct_study])), "each once"


def test_the_login_goes_to_the_service_that_it_is_for_alone(bench: Bench, authority: Authority, receivers: Callable, mr_study: list[Path]):
    password = bench.folder / "archive.password"
    password.write_text("secret\n")
    password.chmod(0o600)
    own, other = (receivers(StowServer, authority.issue("localhost")) for _ in range(2))
    forwarding(bench, f'to = "{own.url}"', 'user = "lab"', f'password_file = "{password}"', "[forward.tls]", f'ca = "{authority.certificate}"')
    deliver(bench, mr_study[:2])
    forward(bench, other.url)
    bench.pull()
    assert len(own.stored) == len(other.stored) == 2
    assert set(other.logins) == {None} and None not in own.logins and own.logins


def test_a_folder_or_a_mailbox_that_fails_hides_nothing_and_the_largest_exit_code_wins(bench: Bench, receivers: Callable, mr_study: list[Path],
                                                                                      ct_study: list[Path]):
    deliver(bench, [*mr_study, *ct_study])
    bench.pull()
    scp = receivers(Receiver, answer=lambda number: NOT_UNDERSTOOD)
    forward(bench, scp.target, EXIT_FORWARD)
    scp.answer = lambda number: 0
    ledgers = sorted((bench.reader.output / ".state").glob("*/forwarded/*"))
    assert len(ledgers) == 2
    ledgers[0].write_bytes(b"\xff\n")
    words = forward(bench, scp.target, EXIT_FORWARD)
    assert f"not forwarded to {scp.target}: what is there cannot be read, invalid data (you: check the disk)" in words
    assert len(scp.stored) in (len(mr_study), len(ct_study)) and f"{len(scp.stored)} forwarded to" in words, "the other one is there"
    bench.reader.config.write_text(bench.reader.config.read_text().replace(f"port = {bench.store.imaps_port}", f"port = {free_port()}"))
    words = forward(bench, scp.target, EXIT_FORWARD)
    assert "not forwarded to" in words and "scanpost-reader: mailbox: " in words
