"""The gateway's interface for programs, as a PACS uses it."""

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lab.programs import program


@dataclass
class Answer:
    """A status and its JSON, if there is any."""

    status: int
    body: dict | list | None


class Api:
    """One system with a token."""

    def __init__(self, config: Path, port_file: Path, ca: Path, name: str = "pacs", role: str = "technician"):
        command = [program("scanpost-gateway"), "token", "add", name, "--role", role, "--config", config]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if made.returncode != 0:
            raise RuntimeError(f"scanpost-gateway token add: {made.stderr.strip()}")
        self.token = made.stdout.strip()
        self.port_file = port_file
        self.tls = ssl.create_default_context(cafile=str(ca))

    @property
    def url(self) -> str:
        """A gateway that was started again may have another port."""
        return f"https://localhost:{self.port_file.read_text()}/api/v1"

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, body: dict | None = None) -> Answer:
        return self.request("POST", path, body)

    def request(self, method: str, path: str, body: dict | None = None, **headers: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        for name, value in {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=60, context=self.tls) as answer:
                return Answer(answer.status, json.loads(answer.read() or b"null"))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read() or b"null"))
