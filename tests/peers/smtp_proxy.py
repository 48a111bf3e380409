"""A mail server that fails: it passes everything on to a real one, but for what it is told to do wrong at a step of the conversation."""

import asyncio
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

# Where a conversation can break (RFC 5321 3): greeting, each command, and the line with a dot that ends a message.
STEPS = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "DOT")
SLOW_SECONDS = 2.5
LINE_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Fault:
    """`kind` at `step`, the first `times` that it comes; `each_once`: at the end of a message only the first time that it is sent. With `to`, only
    where the command names this address."""

    step: str
    kind: str
    times: int = 1
    each_once: bool = False
    to: str = ""

    def __str__(self) -> str:
        return f"{self.step}-{self.kind}"


REPLIES = {
    "4xx": {"CONNECT": b"421 4.3.2 try later\r\n", "AUTH": b"454 4.7.0 try later\r\n"},
    "5xx": {"CONNECT": b"554 5.3.2 no service\r\n", "AUTH": b"535 5.7.8 who are you\r\n"},
}
OTHER_REPLIES = {"4xx": b"451 4.3.0 try later\r\n", "5xx": b"554 5.7.1 not here\r\n"}
GARBAGE = bytes(range(1, 10)) * 40 + b"\r\n"
# Replies come after the command was passed on, and say another thing; a cut after the dot is one of a server that has the message.
KINDS = ("4xx", "5xx", "cut", "garbage", "slow")
# Beside the grid: an answer that does not come as long as the fault lasts, and one of which a byte comes now and then for so long.
STALL, DRIP = "stall", "drip"
LOOK_SECONDS, DRIP_SECONDS = 0.1, 0.5


class SmtpProxy:
    """Listens on `port`; `fault` may be changed while it runs, `met` counts how often it came to that; `lost`: Message-IDs whose answer was cut off."""

    def __init__(self, port: int, behind: int, certificate: Path, key: Path):
        self.port, self.behind = port, behind
        self.fault: Fault | None = None
        self.met = 0
        self.lost: set[str] = set()
        self._seen: set[bytes] = set()
        self._server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server_tls.load_cert_chain(certificate, key)
        # The real server is our own, on this machine.
        self._client_tls = ssl.create_default_context()
        self._client_tls.check_hostname, self._client_tls.verify_mode = False, ssl.CERT_NONE
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _end(self) -> None:
        self._server.close()
        conversations = asyncio.all_tasks() - {asyncio.current_task()}
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    def begin(self, fault: Fault | None) -> None:
        self.met = 0
        self.fault = fault

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        serving = asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self._server_tls, limit=LINE_BYTES_MAX)
        self._server = self._loop.run_until_complete(serving)
        started.set()
        self._loop.run_forever()

    def _is_met(self, step: str, *kinds: str, line: bytes = b"") -> bool:
        fault = self.fault
        if fault is None or fault.step != step or fault.kind not in kinds or self.met >= fault.times:
            return False
        if fault.to.encode() not in line:
            return False
        self.met += 1
        return True

    async def _accept(self, client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        server_out = None
        try:
            server_in, server_out = await asyncio.open_connection("127.0.0.1", self.behind, ssl=self._client_tls, limit=LINE_BYTES_MAX)
            await self._converse(client_in, client_out, server_in, server_out)
        except (OSError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for stream in (client_out, server_out):
                if stream:
                    stream.transport.abort()

    async def _converse(self, client_in, client_out, server_in, server_out) -> None:
        if not await self._answer("CONNECT", server_in, client_out):
            return
        while line := await client_in.readline():
            step = line.split(b" ")[0].strip().decode("ascii", "replace").upper()
            server_out.write(line)
            await server_out.drain()
            if not await self._answer(step, server_in, client_out, client_in, server_out, line):
                return

    async def _answer(self, step: str, server_in, client_out, client_in=None, server_out=None, line: bytes = b"") -> bool:
        """Reads the server's reply and passes it on, or does what is to go wrong; false where the conversation ends."""
        reply = await read_reply(server_in)
        if self._is_met(step, STALL, line=line):
            fault = self.fault
            while self.fault is fault:
                await asyncio.sleep(LOOK_SECONDS)
        if self._is_met(step, DRIP, line=line):
            fault = self.fault
            while self.fault is fault:
                # One line of a reply of many (RFC 5321 4.2.1).
                for byte in reply[:3] + b"-wait\r\n":
                    client_out.write(bytes([byte]))
                    await asyncio.sleep(DRIP_SECONDS)
        if self._is_met(step, "slow"):
            await asyncio.sleep(SLOW_SECONDS)
        if self._is_met(step, "cut"):
            if step == "DOT":
                self.lost.add(line.decode().partition(":")[2].strip())
            return False
        if self._is_met(step, "garbage"):
            client_out.write(GARBAGE)
            await client_out.drain()
            return False
        if self._is_met(step, "4xx", "5xx"):
            kind = self.fault.kind
            client_out.write(REPLIES[kind].get(step, OTHER_REPLIES[kind]))
            await client_out.drain()
            return False
        client_out.write(reply)
        await client_out.drain()
        if step == "DATA" and reply.startswith(b"354"):
            return await self._message(client_in, client_out, server_in, server_out)
        return step != "QUIT"

    async def _message(self, client_in, client_out, server_in, server_out) -> bool:
        message_id = b""
        # Two messages may be under way: whichever begins first meets it.
        refused = self.fault.kind if self._is_met("DOT", "4xx", "5xx") else None
        while (line := await client_in.readline()) != b".\r\n":
            if not line:
                return False
            message_id = message_id or (line if line.lower().startswith(b"message-id:") else b"")
            server_out.write(line)
            await server_out.drain()
        if refused:
            # A server that refuses a message does not have it: the real one never sees its end.
            client_out.write(OTHER_REPLIES[refused])
            await client_out.drain()
            return False
        server_out.write(line)
        await server_out.drain()
        if self.fault is not None and self.fault.each_once and message_id in self._seen:
            client_out.write(await read_reply(server_in))
            return True
        self._seen.add(message_id)
        return await self._answer("DOT", server_in, client_out, line=message_id)


async def read_reply(server_in: asyncio.StreamReader) -> bytes:
    """All lines of a reply: the last has a blank behind its code."""
    lines = []
    while True:
        line = await server_in.readline()
        if not line:
            raise ConnectionError("the server has gone")
        lines.append(line)
        if line[3:4] != b"-":
            return b"".join(lines)
