"""The grammar of model specs: `demo`, a hub id or folder, `replay:FILE`, `control:NAME`, ..."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from pytest_llminvariance.errors import UsageError

ENTRY_POINT_GROUP = "pytest_llminvariance.models"
DECISIONS = ("decision", "decisions", "systemone")
"""Schemes of decision models."""
SCHEMES = ("hf", "replay", "python", "control", "openai", "vllm", *DECISIONS)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A parsed spec: which backend, and what it is to load."""

    scheme: str
    target: str


def registered_schemes() -> dict[str, EntryPoint]:
    """Return the schemes that installed third parties add, by name."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def parse_spec(spec: str | os.PathLike[str]) -> ModelSpec:
    r"""Return the parts of a spec.

    The scheme ends at the first ":" only if it is a known one, so `C:\models\mine` and names with a
    colon stay whole. `demo` is the packaged demo model; a folder of that name is `./demo`. A path object
    is always a folder, never a hub id.

    Raises:
        UsageError: for an empty spec, an unknown scheme, or a scheme without a target.
    """
    if isinstance(spec, os.PathLike):
        path = os.fsdecode(spec)
        bare = not (os.path.isabs(path) or path.startswith((".", "~")))
        return ModelSpec("hf", os.path.join(os.curdir, path) if bare else path)
    if not isinstance(spec, str) or not spec.strip():
        raise UsageError(
            f"the model spec is {spec!r}, but must name a model: demo, a hub id, a folder, or SCHEME:TARGET"
        )
    spec = spec.strip()
    if spec == "demo":
        return ModelSpec("demo", "")
    head, colon, target = spec.partition(":")
    if not colon or spec.startswith((".", "/", "~")):
        return ModelSpec("hf", spec)
    if head == "demo":
        raise UsageError(
            f"the model spec {spec!r}: demo is the packaged model and takes no target. Write demo, or ./demo for a folder"
        )
    if head in SCHEMES or head in registered_schemes():
        if not target:
            raise UsageError(f"the model spec {spec!r} ends after the scheme. Write {head}:TARGET")
        return ModelSpec(head, target)
    if len(head) == 1 or os.sep in head or os.path.isdir(spec):
        return ModelSpec("hf", spec)
    raise UsageError(f"the model spec {spec!r} has the unknown scheme {head!r}. Supported: {_known()}")


def place_in_full(spec: str) -> str:
    """Return a spec whose folder is named from the root: `./mine`, `mine/` and `/models/mine` may be one model."""
    folder = os.path.expanduser(spec.removeprefix("hf:"))
    return os.path.realpath(folder) if os.path.isdir(folder) else spec


def _known() -> str:
    return ", ".join(["demo", "a hub id", "a folder", *(f"{name}:..." for name in (*SCHEMES, *registered_schemes()))])
