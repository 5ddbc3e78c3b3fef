"""What a run writes, whole after a crash up to its last answer, and the one way to read it back.

Knows files and their shapes; decides nothing. `load` reads and never writes, `repair` is for a run that goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llminvariance.records.directory import repair as repair
    from pytest_llminvariance.records.record import Record as Record
    from pytest_llminvariance.records.record import load as load


def __getattr__(name: str) -> Any:
    """Import the reader where it is used: the plugin writes records in suites that never read one."""
    if name not in ("Record", "load", "repair"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_llminvariance.records import directory, record

    return getattr(directory if name == "repair" else record, name)
