"""An HTTP client for JSON that gives up late and says why: many requests in flight, each asked until it is answered.

Knows: connections, retries, time, keys. Does not know what is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import queue
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pytest_llminvariance.errors import missing_extra
from pytest_llminvariance.models.served.address import Address, Key, key_for, parse_target
from pytest_llminvariance.models.served.faults import (
    GarbledError,
    ServedError,
    SlowError,
    UnreachableError,
    error_inside,
    status_error,
)

if TYPE_CHECKING:
    import httpx

    from pytest_llminvariance.models.load_settings import LoadSettings

T = TypeVar("T")
Job = Callable[[], Awaitable[T]]
"""What is done for one request: it may ask the server several times, one after the other."""
LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer is waited for."""

    total_s: float = 300.0
    """For one answer, all attempts and pauses together; one attempt has half of it."""
    attempts: int = 8
    connect_s: float = 10.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0


class Received(NamedTuple):
    """An answer."""

    data: Any
    """What the JSON says."""
    sent_sha256: str
    """Digest of the bytes that were sent for it."""


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    index: int
    value: T


class Client:
    """Asks one server; at most `concurrency` jobs are under way at a time.

    All network work happens in one thread of its own, which ends with `close`. A proxy of the environment is used, except for
    servers on this machine; redirects are not followed.

    Raises:
        MissingExtraError: without httpx or tenacity.
    """

    def __init__(
        self, address: Address, key: Key | None = None, *, concurrency: int = 16, patience: Patience | None = None
    ) -> None:
        try:
            import httpx  # noqa: F401
            import tenacity  # noqa: F401
        except ImportError as error:
            raise missing_extra("served", error.name or "httpx", f"the model at {address.api}") from error
        self.address = address
        self.concurrency = concurrency
        self.patience = patience or Patience()
        self.n_requests = 0
        """Requests sent, those sent again included."""
        self.n_again = 0
        """Requests sent again after a fault."""
        self._key = key
        self._quietened: list[tuple[logging.Logger, Callable[[logging.LogRecord], bool]]] = []
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id: int | None = None
        self._quiet_until = 0.0

    def run(self, jobs: Sequence[Job[T]], *, at_once: int | None = None) -> Iterator[tuple[int, T]]:
        """Do jobs, begun in the order given, and yield (index, result) in that order as far as they are done.

        After a fault no further job begins; what is under way is finished, everything that came is yielded, and then
        the fault of the first job that failed is raised.
        """
        found: queue.SimpleQueue[_Done[T] | None] = queue.SimpleQueue()
        work = asyncio.run_coroutine_threadsafe(self._work(jobs, found, at_once or self.concurrency), self._thread())
        held: dict[int, T] = {}
        due = 0
        try:
            while (done := found.get()) is not None:
                held[done.index] = done.value
                while due in held:
                    yield due, held.pop(due)
                    due += 1
            yield from sorted(held.items())
            work.result()
        finally:
            work.cancel()

    def post(self, path: str, body: Mapping[str, Any]) -> Received:
        """Ask once, from outside of a job."""
        return self._now(lambda: self.posted(path, body))

    def get(self, path: str, *, attempts: int | None = None) -> Received:
        """Look something up, from outside of a job."""
        return self._now(lambda: self._asked("GET", path, None, attempts))

    async def posted(self, path: str, body: Mapping[str, Any], *, attempts: int | None = None) -> Received:
        """Ask once; for jobs.

        Raises:
            ServedError: where no answer came that is JSON, after all attempts.
        """
        return await self._asked("POST", path, content_of(body), attempts)

    def close(self) -> None:
        """End connections and thread; a later request begins anew."""
        loop, self._loop = self._loop, None
        if loop is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)

    def _now(self, job: Job[T]) -> T:
        if self._thread_id == threading.get_ident():
            raise AssertionError("this would wait for itself: jobs use `posted`")
        return next(value for _, value in self.run([job]))

    async def _work(self, jobs: Sequence[Job[T]], found: queue.SimpleQueue[_Done[T] | None], at_once: int) -> None:
        waiting, failed = iter(enumerate(jobs)), list[tuple[int, Exception]]()

        async def worker() -> None:
            for index, job in waiting:
                try:
                    found.put(_Done(index, await job()))
                except Exception as error:  # raised below, when everything under way has come
                    failed.append((index, error))
                if failed:
                    return

        try:
            await asyncio.gather(*(worker() for _ in range(min(at_once, len(jobs)))))
        finally:
            found.put(None)
        if failed:
            raise min(failed, key=lambda item: item[0])[1]

    async def _asked(self, method: str, path: str, content: bytes | None, attempts: int | None) -> Received:
        import tenacity

        url, patience = self.address.url(path), self.patience
        jitter = tenacity.wait_random(0, patience.first_wait_s)
        backoff = tenacity.wait_exponential(patience.first_wait_s, patience.longest_wait_s) + jitter
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, ServedError) and error.passes),
            wait=lambda state: max(backoff(state), _wanted(state)),
            stop=tenacity.stop_after_attempt(attempts or patience.attempts) | tenacity.stop_before_delay(patience.total_s),
            sleep=asyncio.sleep,
            reraise=True,
        )  # fmt: skip
        sent = digest(content if content is not None else url.encode())
        n_attempts = 0
        async for attempt in retrying:
            with attempt:
                n_attempts += 1
                self.n_again += n_attempts > 1
                data = await self._attempt(method, url, content, n_attempts)
        return Received(data, sent)

    async def _attempt(self, method: str, url: str, content: bytes | None, number: int) -> Any:
        """Ask once and return what the JSON says; errors hold nothing of httpx, which knows the key."""
        where = f"{method} {url}" + (f" (attempt {number})" if number > 1 else "")
        while (rest := self._quiet_until - time.monotonic()) > 0:
            await asyncio.sleep(rest)
        bound = self.patience.total_s / 2
        fault: ServedError | None = None
        try:
            async with asyncio.timeout(bound):
                self.n_requests += 1
                status, headers, text = await self._sent(method, url, content)
        except TimeoutError:
            fault = SlowError(
                f"{where}: no whole answer within {bound:g} s. The server hangs, or needs more --invariance-answer-seconds",
                passes=True,
            )
        except ServedError:
            raise
        except Exception as error:  # httpx and h11 have many
            fault = self._unreachable(where, error)
        if fault is not None:
            raise fault
        if not 200 <= status < 300:
            refused = status_error(where, status, headers, text)
            if refused.wait_s:
                self._quiet(refused.wait_s, where)
            raise refused
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            fault = GarbledError(f"{where}: the answer is no JSON, or only a part of it: {text[:80]!r}", passes=True)
        inside = error_inside(where, data, headers) if fault is None else None
        if inside is not None and inside.wait_s:
            self._quiet(inside.wait_s, where)
        if (fault := fault or inside) is not None:
            raise fault
        return data

    def _quiet(self, wait_s: float, where: str) -> None:
        """Leave the server alone with all requests, not only with the one that it refused."""
        if wait_s > self.patience.total_s:
            raise SlowError(
                f"{where}: the server wants {wait_s:.6g} s without requests, and an answer may take {self.patience.total_s:g} s. "
                "Try again later"
            )
        self._quiet_until = max(self._quiet_until, time.monotonic() + wait_s)

    async def _sent(self, method: str, url: str, content: bytes | None) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text, in which the key is masked, whatever the server gives back."""
        headers = {"content-type": "application/json", "accept": "application/json"}
        async with self._open().stream(method, url, content=content, headers=headers) as response:
            raw = bytearray()
            async for part in response.aiter_bytes():
                raw += part
                if len(raw) > MAX_BYTES:
                    raw.clear()
                    raise GarbledError(f"{method} {url}: the answer is longer than {MAX_BYTES:,} bytes")
            told = {name.lower(): self._masked(value) for name, value in response.headers.items()}
            text = raw.decode("utf-8-sig", "replace")
            return response.status_code, told, text if self._key is None else self._key.masked_json(text)

    def _open(self) -> httpx.AsyncClient:
        if self._http is None:
            import httpx

            def signed(request: httpx.Request) -> httpx.Request:
                if self._key is not None:
                    request.headers["Authorization"] = self._key.bearer()
                return request

            self._mask_logs()
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.concurrency)
            timeout = httpx.Timeout(None, connect=self.patience.connect_s)
            try:
                # with a transport of its own, no proxy of the environment is used
                own = httpx.AsyncHTTPTransport(limits=limits) if self.address.is_loopback else None
                self._http = httpx.AsyncClient(auth=signed, timeout=timeout, limits=limits, transport=own)
            except Exception as error:
                # other words may hold the password of a proxy
                said = str(error) if isinstance(error, OSError | ImportError) else type(error).__name__
                raise UnreachableError(
                    f"{self.address.api}: no connection can be made ({said}). Look at what the environment says of proxies "
                    "(HTTPS_PROXY, ALL_PROXY) and certificates (SSL_CERT_FILE)"
                ) from None
        return self._http

    def _unreachable(self, where: str, error: Exception) -> ServedError:
        """Return why nothing came, by what lies behind the library's own error."""
        causes = list(_chain(error))
        said = next((text for cause in reversed(causes) if (text := self._masked(str(cause)).strip())), "")
        kind = type(error).__name__
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return UnreachableError(
                f"{where}: the certificate is not trusted ({said}). Set SSL_CERT_FILE to the authority that signed it"
            )
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return UnreachableError(f"{where}: no TLS ({said}). Is it http:// and not https://?")
        if kind in ("InvalidURL", "UnsupportedProtocol") or isinstance(error, UnicodeError):
            return UnreachableError(f"{where}: this is no address ({said or kind}). Check it in MODEL@URL")
        lookup = next((cause for cause in causes if isinstance(cause, socket.gaierror)), None)
        if lookup is not None:
            passes = lookup.errno == socket.EAI_AGAIN
            return UnreachableError(f"{where}: the host is not known ({said}). Check the address", passes=passes)
        if kind == "ConnectTimeout":
            why = f"no connection within {self.patience.connect_s:g} s. Check host and port"
        elif kind == "ConnectError":
            why = f"nobody answers there ({said}). Is the server running?"
        else:
            why = f"the connection broke off ({said or kind})"
        return UnreachableError(f"{where}: {why}", passes=True)

    def _masked(self, text: str) -> str:
        return text if self._key is None else self._key.masked(text)

    def _thread(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._http, self._loop = None, asyncio.new_event_loop()
            thread = threading.Thread(target=_forever, args=(self._loop,), name="llminvariance-http", daemon=True)
            thread.start()
            self._thread_id = thread.ident
        return self._loop

    def _mask_logs(self) -> None:
        """Mask the key in what httpx and httpcore log: a server may give it back in its headers."""
        masked = self._masked

        def masks(record: logging.LogRecord) -> bool:
            record.msg, record.args = masked(record.getMessage()), ()
            return True

        for name in LOGGERS if self._key is not None else ():
            logger = logging.getLogger(name)
            logger.addFilter(masks)
            self._quietened.append((logger, masks))

    async def _end(self) -> None:
        http, self._http = self._http, None
        while self._quietened:
            logger, masks = self._quietened.pop()
            logger.removeFilter(masks)
        if http is not None:
            await http.aclose()


def content_of(body: Mapping[str, Any]) -> bytes:
    """Return the bytes that a body is sent as."""
    return json.dumps(body).encode()


def digest(content: bytes) -> str:
    """Return what stands for bytes that were sent."""
    return hashlib.sha256(content).hexdigest()


def client_for(target: str, settings: LoadSettings) -> tuple[str, Client]:
    """Return the model's name and a client for the server of `MODEL@URL`.

    Raises:
        UsageError: for a bad target or key; the message holds neither key nor URL parts that could be one.
        MissingExtraError: without the extra `served`.
    """
    model, address = parse_target(target)
    key = key_for(address, settings.key_variable)
    patience = Patience(total_s=float(settings.answer_seconds))
    return model, Client(address, key, concurrency=settings.concurrency, patience=patience)


def _wanted(state: Any) -> float:
    """Return how long the server wants to be left alone, after an attempt that failed."""
    error = state.outcome.exception() if state.outcome is not None else None
    return getattr(error, "wait_s", None) or 0.0


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:  # answers that were not read to their end are closed by tasks of their own
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
