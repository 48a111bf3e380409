"""A mobile link in user space: TCP passed on with a rate that all connections share, and a way there and back that takes its time."""

import asyncio
import threading
from dataclasses import dataclass

CHUNK_BYTES = 4096


@dataclass(frozen=True)
class Line:
    name: str
    bits_per_second: float
    round_trip_s: float


LINES = (Line("4G", 12e6, 0.060), Line("3G", 1.6e6, 0.150))


class Link:
    """Listens on `port`, speaks with `behind`. The line can be changed, and cut, while it runs."""

    def __init__(self, port: int, behind: int):
        self.port, self.behind = port, behind
        self.line: Line | None = None
        self.bytes = 0
        self._free_at = {"up": 0.0, "down": 0.0}
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        started.set()
        self._loop.run_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The handshake of TCP takes one way there and back.
        await asyncio.sleep(self.line.round_trip_s if self.line else 0)
        try:
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        except OSError:
            writer.close()
            return
        self._open |= {writer, back_writer}
        await asyncio.gather(self._pass(reader, back_writer, "up"), self._pass(back_reader, writer, "down"))
        self._open -= {writer, back_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        queue: asyncio.Queue = asyncio.Queue(maxsize=256)
        sending = asyncio.ensure_future(self._send(queue, writer))
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await queue.put((self._due(way, len(chunk)), chunk))
        except OSError:
            pass
        await queue.put(None)
        await sending

    def _due(self, way: str, count: int) -> float:
        """When the last bit of these bytes arrives."""
        now = self._loop.time()
        self.bytes += count if way == "down" else 0
        if self.line is None:
            return now
        sent = max(now, self._free_at[way]) + count * 8 / self.line.bits_per_second
        self._free_at[way] = sent
        return sent + self.line.round_trip_s / 2

    async def _send(self, queue: asyncio.Queue, writer: asyncio.StreamWriter) -> None:
        is_open = True
        while (item := await queue.get()) is not None:
            if not is_open:
                continue  # Taken all the same, so that nobody waits for room.
            due, chunk = item
            await asyncio.sleep(max(0, due - self._loop.time()))
            try:
                writer.write(chunk)
                await writer.drain()
            except OSError:
                is_open = False
        writer.close()

    def cut(self) -> None:
        """Every connection ends now, and what was on its way is lost."""

        def end() -> None:
            for writer in self._open:
                writer.transport.abort()
            self._free_at = {"up": 0.0, "down": 0.0}

        self._loop.call_soon_threadsafe(end)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """No task outlives the loop: one that did would be heard of at the end of the whole run."""
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
