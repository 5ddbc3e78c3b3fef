"""The shape of a misuse, and what every refusal has in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_llminvariance import LLMInvarianceError


class Misuse(NamedTuple):
    """A call that must be refused; "<...>" in `message` stands for anything."""

    id: str
    call: Callable[[Path], object]
    error: type[Exception]
    message: str


def of(value: object) -> Any:
    """Pass a value of a type that the signature refuses."""
    return value


def assert_refused(misuse: Misuse, folder: Path) -> None:
    """Require exactly this error with exactly this message, from the package's tree of errors."""
    with pytest.raises(misuse.error) as caught:
        misuse.call(folder)
    assert type(caught.value) is misuse.error
    assert isinstance(caught.value, LLMInvarianceError)
    pattern = ".*".join(re.escape(part) for part in misuse.message.split("<...>"))
    assert re.fullmatch(pattern, str(caught.value), re.DOTALL), str(caught.value)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a file and return its path."""
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file
