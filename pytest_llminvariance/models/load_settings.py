"""How a model is loaded: each setting once, with its default, its rule and its help; without loading torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from pytest_llminvariance.errors import UsageError

PromptFormat = Literal["auto", "chat", "plain"]
OF_SERVERS = ("concurrency", "key_variable", "answer_seconds", "tokenizer", "cacheable")
"""Settings of models behind a server."""
DTYPES = ("auto", "float32", "bfloat16", "float16")
KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]+)?")


@dataclass(frozen=True, kw_only=True, eq=False)  # made at the start of every session: no more than is used
class LoadSettings:
    """The settings of `load_model`; `help` is what the command line says of those that it takes.

    Raises:
        UsageError: for a bad value; the message names setting, value and rule.
    """

    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps"})
    dtype: str = field(
        default="auto", metadata={"help": "auto, float32, bfloat16 or float16; the demo model's auto is float32"}
    )
    revision: str | None = field(default=None, metadata={"help": "revision of a hub model"})
    prompt_format: PromptFormat = "auto"
    batch_tokens: int | None = field(
        default=None,
        metadata={"help": "tokens of one forward pass, which bounds memory (CPU 1024, GPU by free memory)"},
    )
    threads: int | None = None
    packed: bool = True
    deterministic: bool = field(
        default=False, metadata={"help": "let torch use only deterministic algorithms and no TF32; slower on a GPU"}
    )
    device_map: str | Mapping[str, Any] | None = field(
        default=None,
        metadata={"help": "spread a model over several GPUs: auto, balanced, sequential (needs accelerate)"},
    )
    worker: tuple[int, int] | None = None
    max_new_tokens: int | None = field(
        default=None,
        metadata={"help": "tokens of a generated text, at most (default 32); more where models think first"},
    )
    chat_arg: Mapping[str, Any] | None = field(
        default=None,
        metadata={
            "help": "argument of the model's chat template, VALUE as JSON, such as enable_thinking=false (the default where "
            "the template knows that name); repeatable, one a line in the ini file"
        },
    )
    engine_arg: Mapping[str, Any] | None = field(
        default=None,
        metadata={
            "help": "argument of vLLM's engine for vllm:MODEL, VALUE as JSON, such as tensor_parallel_size=4; repeatable, one a line in the ini file"
        },
    )
    concurrency: int = field(default=16, metadata={"help": "requests to a server that are under way at a time (16)"})
    key_variable: str | None = field(
        default=None,
        metadata={"help": "name of the environment variable that holds the server's key; never the key itself"},
    )
    answer_seconds: int = field(
        default=300, metadata={"help": "seconds that an answer of a server may take, with everything asked again (300)"}
    )
    tokenizer: str | None = field(
        default=None,
        metadata={
            "help": "folder or hub id of the tokenizer of the model that is served: prompts are then sent as tokens, where the server takes them"
        },
    )
    cacheable: bool = field(
        default=False,
        metadata={
            "help": "keep a server's answers between sessions: only where the same name and version always mean the same model"
        },
    )
    trust_remote_code: bool = field(
        default=False, metadata={"help": "run the code that a model's repository brings; only for those that you trust"}
    )
    weights: bool = True
    beside: str | None = None
    kept: str | None = None

    def __post_init__(self) -> None:
        problems = {"device": device_problem(self.device), "dtype": dtype_problem(self.dtype)}
        if (problem := key_variable_problem(self.key_variable)) is not None:
            raise UsageError(f"key_variable {problem}")
        for name in ("batch_tokens", "threads", "max_new_tokens", "concurrency", "answer_seconds"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                problems[name] = "must be a whole number from 1"
        if self.prompt_format not in get_args(PromptFormat):
            problems["prompt_format"] = f"must be one of {', '.join(get_args(PromptFormat))}"
        for name, example in (("chat_arg", {"enable_thinking": False}), ("engine_arg", {"tensor_parallel_size": 4})):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), Mapping):
                problems[name] = f"must map names to values, such as {example}"
        for name, problem in problems.items():
            if problem is not None:
                raise UsageError(f"{name} is {getattr(self, name)!r}, but {problem}")

    def place(self, path: str) -> str:
        """Return where a path of a spec is."""
        path = os.path.expanduser(path)
        return path if self.beside is None else os.path.join(self.beside, path)

    def folder_or_id(self, target: str) -> str:
        """Return where a folder is, and a hub id as it is."""
        path = self.place(target)
        return path if os.path.isdir(path) else target

    def for_others(self) -> dict[str, Any]:
        """Return what a backend of another package is given: what is newer than the first backends only where it is told."""
        ours, newer = (
            ("trust_remote_code", "weights", "beside", "kept"),
            ("max_new_tokens", "chat_arg", "engine_arg", *OF_SERVERS),
        )
        given = {item.name: item for item in fields(self) if item.name not in ours}
        told = {name: getattr(self, name) for name in given}
        return {name: value for name, value in told.items() if name not in newer or value != given[name].default}


def named_values(example: str) -> Callable[[str], dict[str, Any]]:
    """Return what reads NAME=VALUE, one a line, with values as JSON; what is no JSON is text. It raises `ValueError`."""

    def parsed(value: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for line in filter(None, map(str.strip, value.splitlines())):
            name, equals, given = line.partition("=")
            if not equals or not name.strip().isidentifier() or name.strip() in found:
                raise ValueError(f"must be NAME=VALUE, each name once, such as {example}")
            try:
                found[name.strip()] = json.loads(given)
            except ValueError as error:
                if given.strip().lower() in ("true", "false", "none", ""):
                    raise ValueError(
                        f"{line!r} is ambiguous: must be JSON (true, false, null, a number, text)"
                    ) from error
                found[name.strip()] = given.strip()
        return found

    return parsed


def other_settings(texts: Sequence[str], own_flags: Collection[str]) -> dict[str, Any]:
    """Return the settings that a command was told as NAME=VALUE, checked; `own_flags` are those that it has a flag for.

    A value is never repeated, as it may be a key.

    Raises:
        UsageError: naming the setting and the rule.
    """
    known = [item.name for item in fields(LoadSettings) if item.metadata and item.name not in own_flags]
    try:
        found = named_values("concurrency=4")("\n".join(texts))
    except ValueError as error:
        raise UsageError(
            "--setting must be NAME=VALUE, each name once, VALUE as JSON or text, such as concurrency=4"
        ) from error
    for name in found:
        if name not in known:
            own = f". It has a flag of its own: --{name}" if name in own_flags else ""
            raise UsageError(f"--setting has the name {name!r}, but must be one of {', '.join(known)}{own}")
    LoadSettings(**found)
    return found


def help_of(name: str) -> str:
    """Return what the command line says of a setting."""
    return str(next(item.metadata["help"] for item in fields(LoadSettings) if item.name == name))


def device_problem(device: object) -> str | None:
    """Return the rule that a device's name breaks, or `None`."""
    if isinstance(device, str) and DEVICE.fullmatch(device):
        return None
    return "must be auto, cpu, cuda, cuda:N or mps"


def key_variable_problem(name: object) -> str | None:
    """Return the rule that the name of a key's variable breaks, or `None`; it may be a key, so it is not repeated."""
    if name is None or (isinstance(name, str) and KEY_VARIABLE.fullmatch(name)):
        return None
    return "must be the name of an environment variable, in capitals, such as OPENAI_API_KEY; the key itself is never given"


def dtype_problem(dtype: object) -> str | None:
    """Return the rule that a number format's name breaks, or `None`."""
    return None if dtype in DTYPES else f"must be one of {', '.join(DTYPES)}"
