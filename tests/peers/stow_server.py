"""A DICOMweb service that takes some objects and refuses others, over TLS: answers to STOW-RS that no real archive gives on demand."""

import http.server
import io
import json
import ssl
import threading
from collections.abc import Callable

import pydicom

from peers.authority import Issued


class StowServer:
    """`answer` is asked for each object by its number from 1: none stores it, a number is the reason of its failure, `...` leaves it out of the answer.
    `status` is asked for each request by the UIDs in it: a number is its HTTP status, and nothing of it is stored; `...` hangs up."""

    def __init__(self, issued: Issued, answer: Callable[[int], object] = lambda number: None, status: Callable[[list[str]], object] = lambda uids: None):
        self.answer, self.status = answer, status
        self.logins: list[str | None] = []
        self.stored: list[pydicom.Dataset] = []
        self.asked = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.logins.append(self.headers["Authorization"])
                status, told = outer._taken(self.path, self.headers["Content-Type"], body)
                if status is ...:
                    self.close_connection = True
                    return
                content = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/dicom+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(issued.certificate, issued.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self.server.server_port}/dicom-web"

    def uids(self) -> list[str]:
        return [str(dataset.SOPInstanceUID) for dataset in self.stored]

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _taken(self, path: str, kind: str, body: bytes) -> tuple[object, dict]:
        assert path == "/dicom-web/studies" and kind.startswith('multipart/related; type="application/dicom"')
        boundary = b"\r\n--" + kind.split("boundary=")[1].encode()
        stored, failed = [], []
        *parts, end = (b"\r\n" + body).split(boundary)[1:]
        assert end == b"--\r\n"
        datasets = []
        for part in parts:
            header, content = part.split(b"\r\n\r\n", 1)
            assert header == b"\r\nContent-Type: application/dicom"
            datasets.append(pydicom.dcmread(io.BytesIO(content)))
        status = self.status([str(dataset.SOPInstanceUID) for dataset in datasets])
        if status is not None:
            return status, {}
        for dataset in datasets:
            self.asked += 1
            answer = self.answer(self.asked)
            item = {"00081155": {"vr": "UI", "Value": [str(dataset.SOPInstanceUID)]}}
            if answer is None:
                self.stored.append(dataset)
                stored.append(item)
            elif answer is not ...:
                failed.append(item | {"00081197": {"vr": "US", "Value": [answer]}})
        told = {"00081199": {"vr": "SQ", "Value": stored}} | ({"00081198": {"vr": "SQ", "Value": failed}} if failed else {})
        return (409 if failed and not stored else 202 if failed else 200), told
