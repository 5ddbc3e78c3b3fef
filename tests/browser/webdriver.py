"""A headless Chromium, driven over chromedriver's own HTTP protocol: no package is needed for it."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-background-networking", "--disable-gpu", "--hide-scrollbars"]


def missing() -> str | None:
    """Return why no browser can be started, or `None`."""
    if browser_path() is None:
        return "no chromium is installed (apt-get install chromium)"
    if shutil.which("chromedriver") is None:
        return "no chromedriver is installed (apt-get install chromium-driver)"
    return None


def browser_path() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Browser:
    """One window."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        options = {"binary": browser_path(), "args": ARGUMENTS}
        wanted: dict[str, Any] = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        wanted["timeouts"] = {"script": 50_000}
        session = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self._base += f"/session/{session}"

    def _call(self, method: str, path: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self._base + path, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:1000]) from error

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def window(self, width: int, *, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=width < 600
        )

    def open(self, file: Path) -> float:
        """Open a file and return the seconds until it is loaded and laid out."""
        began = time.perf_counter()
        self._call("POST", "/url", {"url": file.as_uri()})
        self.run("return document.documentElement.scrollHeight")
        return time.perf_counter() - began

    def run(self, script: str, *arguments: Any) -> Any:
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str) -> Any:
        return self._call("POST", "/execute/async", {"script": script, "args": []})

    def log(self) -> list[dict[str, Any]]:
        return list(self._call("POST", "/se/log", {"type": "browser"}))

    def screenshot(self, file: Path, width: int, height: int) -> None:
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(shot["data"]))

    def quit(self) -> None:
        self._call("DELETE", "")


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start chromedriver and a window; both end with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        window = _started(port)
        try:
            yield window
        finally:
            window.quit()
    finally:
        driver.terminate()
        driver.wait(timeout=20)


def _started(port: int) -> Browser:
    for _ in range(100):
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            socket.create_connection(("127.0.0.1", port), 1),
        ):
            return Browser(port)
        time.sleep(0.1)
    raise RuntimeError("chromedriver did not start within 10 seconds")
