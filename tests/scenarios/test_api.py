"""The interface for programs against its own description: whatever is sent, no answer is a failure of ours, and each is as described."""

import json
import sys
import subprocess
from pathlib import Path

import pydicom
from lab import page
from peers import senders

from harness import Bench

EXAMPLES = 12
EXAMPLES_LONG = 300


def test_every_answer_is_as_described_and_none_is_a_fault_of_ours(bench: Bench, ct_study: list[Path], tmp_path: Path, is_long: bool):
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), hold=page.HOLD)
    api = bench.api()
    senders.storescu(bench.port, page.HOLD, ct_study)
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(api.get("/openapi.json").body))
    program = Path(sys.executable).parent / "schemathesis"
    command = [program, "run", description, "--url", api.url, "--header", f"Authorization: Bearer {api.token}",
               "--tls-verify", bench.keys.ca, "--max-examples", str(EXAMPLES_LONG if is_long else EXAMPLES), "--seed", "1", "--no-color",
               # A wrong token from here is answered with 429 after some tries; test_press shows that it is refused.
               "--exclude-checks", "ignored_auth"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900, cwd=tmp_path)
    print(result.stdout[-3000:])
    assert result.returncode == 0, result.stdout[-6000:]
    assert bench.gateway.child.is_running()
    (study,) = api.get("/studies").body
    assert study["modalities"] == ["CT"]


def test_a_study_is_found_and_its_key_images_are_marked(bench: Bench, mr_study: list[Path]) -> None:
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), hold=page.HOLD)
    api = bench.api()
    senders.storescu(bench.port, page.HOLD, mr_study)
    name = str(pydicom.dcmread(mr_study[0], stop_before_pixels=True).PatientName).split("^")[0]
    (found,) = api.post("/studies/search", {"q": name}).body
    assert api.post("/studies/search", {"q": name, "modality": "CT"}).body == []
    # What names a patient is not taken in an address.
    assert api.get("/studies?q=anybody").status == 422
    images = [str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in mr_study]
    where = f"/studies/{found['case']}/key-images"
    assert api.request("PUT", where, {"instances": images[:2]}).status == 204
    assert api.get(f"/studies/{found['case']}").body["key_images"] == 2
    assert api.request("PUT", where, {"instances": ["1.2.3"]}).status == 409
    assert api.request("PUT", where, {"instances": images[-1:]}).status == 204
    looking = bench.api("looking", "auditor")
    assert looking.request("PUT", where, {"instances": []}).status == 403
    assert api.post("/deliveries", {"study": {"case": found["case"]}, "doctors": ["doctor"]}).status == 201
    bench.gateway.wait_for_state("notified", "pulled")
    assert api.get(f"/studies/{found['case']}").body["key_images"] == 1
    assert api.request("PUT", where, {"instances": []}).status == 409
