"""`load_model`: from a spec to a model, the same for pytest, the command line and notebooks."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.models.spec import SCHEMES, ModelSpec, parse_spec, registered_schemes
from pytest_llminvariance.models.wrapping import as_model

if TYPE_CHECKING:
    from pytest_llminvariance.models.decision_wire import Shape

Spec = str | os.PathLike[str]
P = ParamSpec("P")


def _with(
    made: Callable[P, LoadSettings],
) -> Callable[[Callable[[Spec, LoadSettings], Model]], Callable[Concatenate[Spec, P], Model]]:
    """Let a function of a spec and settings take each setting as a keyword, with the default that it has there."""

    def decorate(load: Callable[[Spec, LoadSettings], Model]) -> Callable[Concatenate[Spec, P], Model]:
        @functools.wraps(load)
        def load_with(spec: Spec, *args: P.args, **settings: P.kwargs) -> Model:
            return load(spec, made(*args, **settings))

        shown, given = inspect.signature(load), inspect.signature(made).parameters.values()
        load_with.__signature__ = shown.replace(parameters=[shown.parameters["spec"], *given])  # type: ignore[attr-defined]
        return cast("Callable[Concatenate[Spec, P], Model]", load_with)

    return decorate


@_with(LoadSettings)
def load_model(spec: Spec, settings: LoadSettings) -> Model:
    """Load the model that `spec` names.

    `spec` is `demo`, a hub id or folder (`hf:` optional), `replay:answers.jsonl`, `control:NAME`,
    `python:module:factory` (which gives what `wrap_model` takes), `openai:MODEL@URL` (an OpenAI-compatible server), `vllm:FOLDER_OR_ID`
    (vLLM's engine in this process, with the arguments `engine_arg`), a decision model
    (`decision:FOLDER_OR_ID`, or served: `systemone:MODEL@URL`, `decisions:MODEL@URL`), or a scheme that an installed package adds under the entry-point group
    `pytest_llminvariance.models`. `device` is auto, cpu, cuda, cuda:N or mps; `dtype` auto, float32,
    bfloat16 or float16. `prompt_format` chat insists on the model's chat template, plain never uses it.
    `batch_tokens` bounds the tokens of one forward pass, and with them memory; `threads` the CPU threads.
    With `packed=False` prompts that share a beginning are sent whole, in padded batches. `deterministic` lets
    torch use only algorithms that give the same bits every time, and no TF32, in this process from then on.
    `device_map` (`auto`, or a mapping as transformers takes it) spreads a model over several GPUs. `worker` is
    (index, count) of processes that share this machine: they take the CUDA devices in turn. `max_new_tokens` bounds
    every text, whatever its request says. `chat_arg` maps names to values for the chat template; `enable_thinking`
    is False where the template knows it and nothing else is told. Relative paths in `spec` start `beside` this folder
    (by default the current one). Code from a hub repository is only run with `trust_remote_code=True`. With `weights=False` a transformers model can count
    tokens and nothing else, and no server is asked. With a folder `kept` for what is known of models, one that was loaded before, and of
    which no file was touched since, loads its weights when the first answer is missing. Of servers: `concurrency` requests are under way at a time; `key_variable` names the environment variable that holds the
    key; `answer_seconds` bounds the time of one answer; with the `tokenizer` of the model (folder or hub id) prompts are sent as tokens;
    `cacheable` keeps answers between sessions.

    Raises:
        UsageError: for a bad spec or setting.
        ModelError: if the model cannot be loaded; `MissingExtraError` where a package is missing.
    """
    parsed = parse_spec(spec)
    if settings.engine_arg and parsed.scheme in (*SCHEMES, "demo") and parsed.scheme != "vllm":
        raise UsageError(
            f"engine_arg={dict(settings.engine_arg)!r} goes with vllm:MODEL, not with {str(spec)!r}. Leave it out, or write vllm: before a folder or hub id"
        )
    local = parsed.scheme not in ("hf", "decision", "vllm") or os.path.isdir(settings.place(parsed.target))
    if settings.revision is not None and local:
        raise UsageError(f"revision={settings.revision!r} goes with a hub id, not with {str(spec)!r}")
    if parsed.scheme in ("systemone", "decisions"):
        from pytest_llminvariance.models.served.decisions import load_served_decision

        return load_served_decision(parsed.target, cast("Shape", parsed.scheme), settings)
    if parsed.scheme in ("hf", "demo", "decision", "vllm"):
        return _load_transformers(parsed, settings)
    if parsed.scheme == "control":
        from pytest_llminvariance.models.controls import control

        return control(parsed.target)
    if parsed.scheme == "replay":
        from pytest_llminvariance.models.replay import load_replay

        return load_replay(settings.place(parsed.target))
    if parsed.scheme == "openai":
        from pytest_llminvariance.models.served.loading import load_served

        return load_served(parsed.target, settings)
    if parsed.scheme == "python":
        made = _from_factory(parsed.target, settings.beside or os.getcwd())
    else:
        made = registered_schemes()[parsed.scheme].load()(parsed.target, **settings.for_others())
    return as_model(made, settings=vars(settings))


def _load_transformers(parsed: ModelSpec, settings: LoadSettings) -> Model:
    from pytest_llminvariance.models.local.hub import load_transformers

    if parsed.scheme == "decision":
        if importlib.util.find_spec("transformers.decision") is None:
            raise ModelError(
                "this transformers has no decision pipeline. Install a newer one: pip install -U transformers"
            )
        from pytest_llminvariance.models.local.decisions import load_decision

        return load_decision(_existing(parsed.target, settings), parsed.target, settings)
    if parsed.scheme == "vllm" and settings.weights:
        from pytest_llminvariance.models.local.vllm_start import start_engine

        return start_engine(_existing(parsed.target, settings), parsed.target, settings)
    if parsed.scheme in ("hf", "vllm"):
        return load_transformers(_existing(parsed.target, settings), parsed.target, settings)
    from pytest_llminvariance.models.local.demo import DEMO_NAME, demo_folder

    if settings.dtype == "auto":
        settings = dataclasses.replace(settings, dtype="float32")
    return load_transformers(str(demo_folder()), DEMO_NAME, settings)


def _existing(target: str, settings: LoadSettings) -> str:
    """Return where a folder is, and a hub id as it is."""
    path = settings.place(target)
    if path.endswith(".gguf") and os.path.isfile(path):
        raise ModelError(
            f"{target} is a GGUF file, which is not read here. Give the folder or hub id of the model that it was made "
            "from, or serve it and name the server"
        )
    if target.startswith((".", "/", "~")) and not os.path.isdir(path):
        raise ModelError(
            f"there is no folder {target} (looked at {os.path.abspath(path)}). "
            "Give a folder with config.json, tokenizer and weights, or a hub id"
        )
    return settings.folder_or_id(target)


def _from_factory(target: str, folder: str) -> object:
    module_name, colon, attribute = target.partition(":")
    if not colon or not attribute:
        raise UsageError(f"python:{target} names no factory. Write python:MODULE:FACTORY")
    if folder not in sys.path and Path(folder, module_name.replace(".", "/") + ".py").exists():
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's too
        reason = str(error) if isinstance(error, ImportError | ValueError) else f"{type(error).__name__}: {error}"
        raise ModelError(f"python:{target}: the module {module_name!r} cannot be imported: {reason}") from error
    factory = getattr(module, attribute, None)
    if not callable(factory):
        raise ModelError(f"python:{target}: {module_name!r} has no callable {attribute!r}")
    try:
        return factory()
    except Exception as error:  # the factory is the user's and raises what it likes
        raise ModelError(f"python:{target}: the factory raised {type(error).__name__}: {error}") from error
