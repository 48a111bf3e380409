"""The interface for programs against its own description: whatever is sent, no answer is a failure of ours, and each is as described."""

import json
import sys
import subprocess
from pathlib import Path

from lab import page
from lab.api import Api
from peers import senders

from harness import Bench

EXAMPLES = 12
EXAMPLES_LONG = 300


def test_every_answer_is_as_described_and_none_is_a_fault_of_ours(bench: Bench, ct_study: list[Path], tmp_path: Path, is_long: bool):
    page.make_certificate(bench.keys)
    bench.start(page_lines=page.lines(bench.keys, bench.folder / "page.port"), hold=page.HOLD)
    api = Api(bench.gateway.config, bench.folder / "page.port", bench.keys.ca)
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
    (study,) = api.get("/studies?q=generated").body or api.get("/studies").body
    assert study["modalities"] == ["CT"]
