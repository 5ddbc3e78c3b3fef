"""A server on this machine that answers as it is told, with any fault, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Say:
    """An answer: whole, or with a fault."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    """Sent in place of `body` as JSON."""
    cut: int = 0
    """Bytes that are promised and not sent."""
    hang_s: float = 0.0
    """Before anything is sent."""
    drip_s: float = 0.0
    """Between any two bytes."""
    drip_headers: bool = False
    drops: bool = False
    """The connection ends without a word."""
    told: bool = True
    """This is an answer, where it comes whole with status 200, and not an error in the place of one."""


Answer = Callable[[Seen, int], Say]
"""What is said to a request; the number counts requests of the same method, path and body, from 0."""


class Faulty:
    """The server: `url`, what it has `seen`, and the requests that it answered whole (`given`)."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.given: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._count: dict[str, int] = {}
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", port, reuse_address=True)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # a client that left is what some tests are about
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays."""
        begin = await reader.readexactly(1)
        if begin == b"\x16":  # TLS is spoken to us
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            return False
        first, *lines = (begin + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        seen = Seen(method, path, headers, json.loads(raw) if raw else None)
        which = json.dumps([seen.method, seen.path, seen.body])
        self.seen.append(seen)
        number = self._count[which] = self._count.get(which, -1) + 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            said = self.answer(seen, number)
            await asyncio.sleep(said.hang_s)
        finally:
            self._at_once -= 1
        if said.drops:
            return False
        payload = said.raw if said.raw is not None else json.dumps(said.body).encode()
        told = {"content-length": len(payload) + said.cut, "content-type": "application/json", **said.headers}
        head = [f"HTTP/1.1 {said.status} told", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        await _send(writer, "\r\n".join(head).encode(), said.drip_s if said.drip_headers else 0.0)
        await _send(writer, payload, 0.0 if said.drip_headers else said.drip_s)
        if said.status == 200 and said.told and not said.cut and said.raw is None:
            self.given.append(which)
        return not said.cut


async def _send(writer: asyncio.StreamWriter, data: bytes, drip_s: float) -> None:
    for part in [data[n : n + 1] for n in range(len(data))] if drip_s else [data]:
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(drip_s)


@contextlib.contextmanager
def faulty_server(answer: Answer, port: int = 0) -> Iterator[Faulty]:
    """Run a server for a test."""
    server = Faulty(answer, port)
    try:
        yield server
    finally:
        server.close()
