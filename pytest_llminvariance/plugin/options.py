"""Settings, each declared once: flag, ini key, type, help, header and docs come from the fields here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import pytest

from pytest_llminvariance.checks.run import UndecidedPolicy
from pytest_llminvariance.models.load_settings import (
    LoadSettings,
    device_problem,
    dtype_problem,
    help_of,
    key_variable_problem,
    named_values,
)


class SecretError(ValueError):
    """A value is wrong and may be a secret."""


def _text(value: str) -> str:
    return value


def _integer(value: str) -> int:
    if not re.fullmatch(r"-?\d+", value):
        raise ValueError("must be a whole number")
    return int(value)


def _positive(value: str) -> int:
    if (number := _integer(value)) < 1:
        raise ValueError("must be a whole number from 1")
    return number


def _boolean(value: str) -> bool:
    if value.lower() not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        raise ValueError("must be true or false")
    return value.lower() in ("true", "yes", "on", "1")


def _not_empty(must: str) -> Callable[[str], str]:
    def checked(value: str) -> str:
        if not value.strip():
            raise ValueError(f"must {must}")
        return value

    return checked


_place = _not_empty("be auto, off or a folder")
_directory = _not_empty("name a directory")
_model = _not_empty("name a model")
_path = _not_empty("name a file or a folder")


def _device(value: str) -> str:
    if problem := device_problem(value):
        raise ValueError(problem)
    return value


def _dtype(value: str) -> str:
    if problem := dtype_problem(value):
        raise ValueError(problem)
    return value


def _variable(value: str) -> str:
    if problem := key_variable_problem(value):
        raise SecretError(problem)
    return value


def _risk(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number <= 0.5:
        raise ValueError("must be a number above 0 and at most 0.5")
    return number


def _share(value: str) -> str:
    if not re.fullmatch(r"0?\.\d+|0", value):
        raise ValueError("must be a number from 0 to below 1")
    return value


_chat_arguments = named_values("enable_thinking=false")
_engine_arguments = named_values("tensor_parallel_size=4")


def _policy(value: str) -> str:
    if value not in get_args(UndecidedPolicy):
        raise ValueError(f"must be one of {', '.join(get_args(UndecidedPolicy))}")
    return value


def _setting(default: Any, parse: Callable[[str], Any], metavar: str, help: str) -> Any:
    return dataclasses.field(default=default, metadata={"parse": parse, "metavar": metavar, "help": help})


def _of_loading(name: str, parse: Callable[[str], Any], metavar: str) -> Any:
    return _setting(getattr(LoadSettings, name), parse, metavar, help_of(name))


@dataclass(frozen=True, eq=False)  # made at the start of every session: no more than is used
class Settings:
    """What a session is told; the command line wins over the ini file."""

    model: str | None = _setting(
        None,
        _model,
        "SPEC",
        "model to test: demo, a hub id or folder, openai:MODEL@URL, vllm:FOLDER_OR_ID, replay:FILE, control:NAME, python:MODULE:FACTORY",
    )
    device: str = _of_loading("device", _device, "DEVICE")
    dtype: str = _of_loading("dtype", _dtype, "DTYPE")
    revision: str | None = _of_loading("revision", _text, "REV")
    seed: int = _setting(0, _integer, "N", "seed of the session, shown in every failure")
    undecided: UndecidedPolicy = _setting(
        "fail", _policy, "POLICY", "what an UNDECIDED check does: fail (default), skip or warn"
    )
    risk_limit: float | None = _setting(
        None,
        _risk,
        "RISK",
        "largest chance that any verdict of the session is wrong because not everything was asked, such as 0.05; "
        "checks then stop as soon as they can tell (default: everything planned is asked)",
    )
    check_risk: float | None = _setting(
        None, _risk, "RISK", "risk of each test, in place of its share of the risk limit; replay lines use it"
    )
    exhaustive: bool = _setting(
        False,  # noqa: FBT003
        _boolean,
        "",
        "ask everything planned, whatever the risk limit says",
    )
    manifest: str | None = _setting(
        None,
        _path,
        "FILE",
        "shares of the risk limit by test, written by `llminvariance plan` (default: invariance-plan.json beside the ini file)",
    )
    holdout: bool = _setting(
        False,  # noqa: FBT003
        _boolean,
        "",
        "open the hold-out: test only on the questions set aside by `llminvariance holdout`; every opening is counted",
    )
    plan: bool = _setting(
        False,  # noqa: FBT003
        _boolean,
        "",
        "ask nothing: show what each test's first check would cost, and whether it can decide",
    )
    batch_tokens: int | None = _of_loading("batch_tokens", _positive, "N")
    deterministic: bool = _of_loading("deterministic", _boolean, "")
    device_map: str | None = _of_loading("device_map", _text, "MAP")
    max_new_tokens: int | None = _of_loading("max_new_tokens", _positive, "N")
    chat_arg: dict[str, Any] | None = _of_loading("chat_arg", _chat_arguments, "NAME=VALUE")
    engine_arg: dict[str, Any] | None = _of_loading("engine_arg", _engine_arguments, "NAME=VALUE")
    concurrency: int = _of_loading("concurrency", _positive, "N")
    key_variable: str | None = _of_loading("key_variable", _variable, "NAME")
    answer_seconds: int = _of_loading("answer_seconds", _positive, "N")
    tokenizer: str | None = _of_loading("tokenizer", _text, "PLACE")
    cacheable: bool = _of_loading("cacheable", _boolean, "")
    trust_remote_code: bool = _of_loading("trust_remote_code", _boolean, "")
    cache: str = _setting(
        "auto", _place, "PLACE", "where answers are kept between sessions: auto (your cache folder), off, or a folder"
    )
    report: str | None = _setting(
        None, _directory, "DIR", "write answers, findings and settings to this directory, to judge, compare and report"
    )
    policy: str | None = _setting(
        None, _path, "FILE", "policy of the gate in TOML, or a pyproject.toml: what it blocks fails the session too"
    )
    baseline: str | None = _setting(
        None, _path, "PLACE", "run directory of an earlier run: checks that are worse now fail the session"
    )
    margin: str = _setting("0.02", _share, "SHARE", "how much worse than the baseline a check's mean may be (0.02)")

    @property
    def is_told(self) -> bool:
        """Whether anything is not as it is by itself: no unrelated suite."""
        return any(getattr(self, item.name) != item.default for item in _fields())


# what changes no verdict, or is in the replay line anyway
NOT_REPEATED = ("seed", "cache", "plan", "manifest", "report", "policy", "margin")


def _fields() -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(Settings)


def load_settings(settings: Settings) -> dict[str, Any]:
    """Return those of the settings that `load_model` takes."""
    taken = {item.name for item in dataclasses.fields(LoadSettings)}
    return {item.name: getattr(settings, item.name) for item in _fields() if item.name in taken}


def add_options(parser: pytest.Parser) -> None:
    """Register one flag and one ini key per setting."""
    group = parser.getgroup("invariance", "invariance of language models")
    for item in _fields():
        text = item.metadata["help"]
        flag = "--invariance-" + item.name.replace("_", "-")
        shape: dict[str, Any] = {"metavar": item.metadata["metavar"]}
        if item.metadata["parse"] is _boolean:
            shape = {"action": "store_const", "const": "true"}
        if item.metadata["metavar"] == "NAME=VALUE":
            shape["action"] = "append"
        group.addoption(flag, dest=f"invariance_{item.name}", default=None, help=text, **shape)
        parser.addini(f"invariance_{item.name}", text, default="")


def read_settings(config: pytest.Config) -> Settings:
    """Return the settings of a session.

    Raises:
        pytest.UsageError: for a value that does not parse; the message names option, value and rule.
    """
    values = {}
    for item in _fields():
        given = config.getoption(f"invariance_{item.name}")
        source = "--invariance-" + item.name.replace("_", "-")
        if given is None:
            given, source = config.getini(f"invariance_{item.name}") or None, f"invariance_{item.name} (ini)"
        if given is not None:
            given = "\n".join(given) if isinstance(given, list) else given
            try:
                values[item.name] = item.metadata["parse"](str(given))
            except SecretError as error:
                raise pytest.UsageError(f"{source} {error}") from None
            except ValueError as error:
                raise pytest.UsageError(f"{source} is {given!r}, but {error}") from error
    return Settings(**values)


def repeated_flags(config: pytest.Config) -> list[str]:
    """Return what was given on the command line, apart from seed, cache and report, for the replay line."""
    flags = []
    for item in _fields():
        given = config.getoption(f"invariance_{item.name}")
        if given is not None and item.name not in NOT_REPEATED:
            flag = f"--invariance-{item.name.replace('_', '-')}"
            each = given if isinstance(given, list) else [given]
            flags += [flag] if item.metadata["parse"] is _boolean else [f"{flag}={one}" for one in each]
    overrides = config.getoption("override_ini") or ()
    return flags + [f"--override-ini={text}" for text in overrides if text.startswith("invariance_")]
