"""Orthanc as the PACS: it holds the study, sends it at the press, and answers C-FIND.

Orthanc 1.10 listens on all addresses. Here it takes nothing from unknown callers: DICOM only from the gateway's AE title
and address, REST only from this machine and with a password made for the run.
"""

import base64
import json
import secrets
import time
import urllib.error
import urllib.request
from pathlib import Path

from lab import openssl
from lab.ports import free_port
from lab.process import Child, log_tail

AE_TITLE = "ORTHANC"
START_SECONDS_MAX = 30
STORE_SECONDS_MAX = 1800
GDCM_PLUGIN = "/usr/share/orthanc/plugins/libOrthancGdcm.so"
DICOMWEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


class Orthanc:
    """An Orthanc with its state in a folder."""

    def __init__(self, folder: Path, log: Path, tls: dict[str, str] | None = None, web: bool = False, jpeg_2000: bool = False):
        """`tls`: Orthanc's keys for DICOM over TLS; plain DICOM without. `web`: DICOMweb is served too. `jpeg_2000`: it transcodes to that too, by GDCM."""
        self.folder, self.log, self.tls, self.web, self.jpeg_2000 = folder, log, tls or {}, web, jpeg_2000
        self.dicom_port = free_port()
        self.http_port = free_port({self.dicom_port})
        self.password = secrets.token_urlsafe(12)
        self.child: Child | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "orthanc.json"
        openssl.write_secret(configuration, json.dumps(self._configuration(), indent=2).encode())
        self.child = Child(["Orthanc", configuration], self.log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if time.monotonic() > deadline or not self.child.is_running():
                raise RuntimeError(f"Orthanc does not answer\n{log_tail(self.log)}")
            time.sleep(0.1)

    @property
    def web_url(self) -> str:
        """Where DICOMweb is."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def stop(self) -> None:
        if self.child:
            self.child.stop()

    def add_file(self, path: Path) -> str:
        """Puts one DICOM file into the PACS and gives Orthanc's id of its study back."""
        return self._post("/instances", path.read_bytes(), "application/dicom")["ParentStudy"]

    def know_gateway(self, name: str, ae_title: str, port: int) -> None:
        """Enters an AE title of the gateway: a button on the PACS's list of destinations."""
        body = json.dumps({"AET": ae_title, "Host": "127.0.0.1", "Port": port}).encode()
        self._request("PUT", f"/modalities/{name}", body, "application/json")

    def send(self, name: str, resources: list[str]) -> dict:
        """The press: C-STORE of the resources to the destination. Returns when Orthanc is done."""
        body = {"Resources": resources, "Synchronous": True, "Timeout": 60}
        return self._post(f"/modalities/{name}/store", json.dumps(body).encode(), "application/json")

    def archive(self, study: str, transfer_syntax: str | None = None) -> bytes:
        """A ZIP of a study, transcoded where a transfer syntax is named."""
        body = {"Synchronous": True} | ({"Transcode": transfer_syntax} if transfer_syntax else {})
        return self._answer("POST", f"/studies/{study}/archive", json.dumps(body).encode(), "application/json")

    def instances_of(self, study: str) -> list[str]:
        """Orthanc's ids of the instances of a study, in no particular order."""
        return [instance["ID"] for instance in self._request("GET", f"/studies/{study}/instances")]

    def delete_study(self, study: str) -> None:
        self._request("DELETE", f"/studies/{study}")

    def _configuration(self) -> dict:
        web = {"DicomWeb": {"Enable": True, "Root": "/dicom-web/"}} if self.web else {}
        plugins = [*([DICOMWEB_PLUGIN] if self.web else []), *([GDCM_PLUGIN] if self.jpeg_2000 else [])]
        return {
            "Name": "PACS", "DefaultEncoding": "Utf8", "StorageDirectory": str(self.folder / "storage"), "IndexDirectory": str(self.folder / "index"),
            "StorageCompression": False, "Plugins": plugins, "DicomModalities": {}, "LuaScripts": [],
            "HttpServerEnabled": True, "HttpPort": self.http_port, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True, "RegisteredUsers": {"lab": self.password},
            "DicomAet": AE_TITLE, "DicomPort": self.dicom_port, "DicomCheckCalledAet": True,
            "DicomCheckModalityHost": True, "DicomAlwaysAllowEcho": False, "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowFind": False, "DicomAlwaysAllowGet": False, "DicomScpTimeout": 60, "DicomScuTimeout": 60,
            **self.tls, "DicomAssociationCloseDelay": 0, "TranscodeDicomProtocol": False, "OverwriteInstances": True, **web,
        }

    def _answers(self) -> bool:
        try:
            self._request("GET", "/system")
        except (urllib.error.URLError, ConnectionError):
            return False
        return True

    def _post(self, path: str, body: bytes, content_type: str) -> dict:
        return self._request("POST", path, body, content_type)

    def _request(self, method: str, path: str, body: bytes | None = None, content_type: str | None = None):
        text = self._answer(method, path, body, content_type)
        return json.loads(text) if text else None

    def _answer(self, method: str, path: str, body: bytes | None, content_type: str | None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=body, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"lab:{self.password}".encode()).decode())
        if content_type:
            request.add_header("Content-Type", content_type)
        with urllib.request.urlopen(request, timeout=STORE_SECONDS_MAX) as answer:
            return answer.read()
