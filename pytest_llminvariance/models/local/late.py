"""Models whose weights are loaded when the first answer is missing, where their files are known from a load before."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.identity import Identity, Known

M = TypeVar("M", bound=Any)


def load_late(
    target: str,
    kind: str,
    name: str,
    settings: LoadSettings,
    whole: Callable[[LoadSettings], M],
    asleep: Callable[[LoadSettings, Known, Callable[[], M]], M],
) -> M:
    """Return a model that loads its weights when it is first asked, where its files are known; else load them.

    `whole` loads all, and `asleep` makes a model of what is known, which calls its last argument when it is asked.
    What is loaded is the revision that was looked at, whatever a branch points to by then.
    """
    if settings.kept is None:
        return whole(settings)
    now = dataclasses.replace(settings, kept=None)
    try:
        identity = Identity(target, kind, name, settings, Path(settings.kept))
    except Exception:  # whatever is wrong with the files, what loads them says it
        return whole(now)
    pinned = dataclasses.replace(now, revision=identity.commit or settings.revision)
    if (known := identity.known()) is None:
        made = whole(pinned)
        is_sure = made.deterministic is True
        identity.keep(Known(made.fingerprint, is_sure, made.device, made.dtype, tuple(made.notes)))
        return made

    def load() -> M:
        awake = whole(pinned)
        if awake.fingerprint != known.fingerprint:
            identity.forget()
            raise ModelError(
                f"the files of {name} changed since the session began{_or_placed(settings)}: it is another model than that of the "
                "remembered answers. Run again"
            )
        return awake

    made = asleep(pinned, known, load)
    return made if identity.is_current() else whole(now)


def _or_placed(settings: LoadSettings) -> str:
    return "" if settings.device_map is None else ", or it was placed on other devices"
