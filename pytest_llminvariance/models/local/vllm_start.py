"""Starting vLLM's engine for a model, and taking one that runs already. vLLM is imported here only, when it is asked for."""

from __future__ import annotations

import importlib.util
import inspect
import os
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import ModelError, UsageError, did_you_mean, missing_extra
from pytest_llminvariance.models.kept import kept
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.identity import Digests
from pytest_llminvariance.models.local.jobs import Jobs
from pytest_llminvariance.models.local.vllm_engine import OLDEST, EngineModel, told_by
from pytest_llminvariance.models.protocol import Model

OWN = {
    "model": "the model spec", "dtype": "--invariance-dtype", "revision": "--invariance-revision",
    "tokenizer": "--invariance-tokenizer", "trust_remote_code": "--invariance-trust-remote-code",
}  # fmt: skip
"""Arguments of the engine that settings of ours say."""
ELSEWHERE = {
    "device": "vLLM uses the devices that it was installed for; CUDA_VISIBLE_DEVICES chooses among GPUs",
    "device_map": "write --invariance-engine-arg=tensor_parallel_size=N for several GPUs",
    "batch_tokens": "write --invariance-engine-arg=max_num_batched_tokens=N",
    "packed": "it sends every prompt whole; write --invariance-engine-arg=enable_prefix_caching=false for no prefix cache",
    "deterministic": "set VLLM_BATCH_INVARIANT=1 in the environment, where vLLM supports that",
}
"""Settings that do not reach an engine, and what does."""
LOGPROBS_MODE = "raw_logprobs"


def start_engine(place: str, name: str, settings: LoadSettings) -> EngineModel:
    """Start an engine for a folder or hub id; it ends with `release`.

    Raises:
        MissingExtraError: without vLLM.
        UsageError: for a setting that does not reach an engine, or an argument that it does not know.
        ModelError: where the engine does not start, or gives no log-probabilities.
    """
    if importlib.util.find_spec("vllm") is None:
        raise missing_extra("vllm", "vllm", f"the model {name!r} in vLLM")
    _check_reached(settings)
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # what is printed here may be read by a program
    import vllm

    arguments = dict(settings.engine_arg or {})
    _check_arguments(arguments, vllm)
    told = {"dtype": settings.dtype, "enable_prefix_caching": True, **arguments}
    more: dict[str, Any] = {
        "revision": settings.revision, "trust_remote_code": settings.trust_remote_code or None,
        "tokenizer": settings.tokenizer and settings.folder_or_id(settings.tokenizer),
    }  # fmt: skip
    try:
        llm = vllm.LLM(model=place, **told, **{key: value for key, value in more.items() if value is not None})
    except Exception as error:  # the whole of an engine may fail here
        raise ModelError(f"vLLM cannot start the model {name!r}: {told_by(error)}") from error
    try:
        return _model(
            llm, f"{name} in vLLM", settings, {"arguments": told, "files": _files(place, settings.kept)}, ends=True
        )
    except BaseException:
        llm.llm_engine.engine_core.shutdown()
        raise


def engine_object(obj: Any, tokenizer: object, name: str | None, settings: LoadSettings, key: str) -> Model:
    """Return the model of a `vllm.LLM` that runs already; the same one each time, and the engine stays with its owner.

    Raises:
        UsageError: for another object of vLLM, or a tokenizer beside it.
    """
    if not all(hasattr(obj, part) for part in ("generate", "get_tokenizer", "llm_engine", "model_config")):
        raise UsageError(f"model is a {type(obj).__name__} of vLLM, which is not taken.\nGive a vllm.LLM")
    if tokenizer is not None:
        raise UsageError("model is a vllm.LLM, which has its tokenizer.\nGive it alone")
    dtype = str(obj.model_config.dtype).removeprefix("torch.")
    shown = name or f"{obj.model_config.model} in vLLM"
    if settings.dtype not in ("auto", dtype):
        raise UsageError(
            f"dtype={settings.dtype!r}, but the model {shown} is {dtype}, and is left as it is.\n"
            f"Start it with dtype={settings.dtype!r}, or leave dtype out"
        )
    return kept(
        obj, (key,), lambda: _model(obj, shown, settings, {"files": _files(obj.model_config.model, settings.kept)}),
        lambda: getattr(obj.get_tokenizer(), "chat_template", None),
    )  # fmt: skip


def _check_reached(settings: LoadSettings) -> None:
    if settings.worker is not None:
        raise UsageError(
            "a model in vLLM takes all of its devices, so a session has one engine, but pytest-xdist runs several processes. Run "
            "without -n (the engine batches by itself), or serve the model and name the server (openai:MODEL@URL)"
        )
    for setting, instead in ELSEWHERE.items():
        if getattr(settings, setting) != getattr(LoadSettings, setting):
            raise UsageError(
                f"{setting} is {getattr(settings, setting)!r}, which does not reach a model in vLLM: {instead}"
            )


def _check_arguments(arguments: dict[str, Any], vllm: Any) -> None:
    taken = (inspect.signature(made).parameters.values() for made in (vllm.LLM, vllm.EngineArgs))
    known = {part.name for parts in taken for part in parts if part.kind is not part.VAR_KEYWORD}
    for argument in arguments:
        if argument in OWN:
            raise UsageError(f"the engine argument {argument!r} is said by {OWN[argument]}. Say it there")
        if argument not in known:
            hint = did_you_mean(argument, known) or ". vLLM's documentation of EngineArgs lists them"
            raise UsageError(f"vLLM {vllm.__version__} has no engine argument {argument!r}{hint}")


def _model(llm: Any, name: str, settings: LoadSettings, says: dict[str, Any], *, ends: bool = False) -> EngineModel:
    import vllm

    config = llm.model_config
    if config.runner_type != "generate":
        raise ModelError(
            f"{name} writes no text (vLLM runs it as {config.runner_type!r}). Give a causal language model"
        )
    try:
        vllm.SamplingParams(logprob_token_ids=[0])
    except TypeError as error:
        raise ModelError(
            f"vLLM {vllm.__version__} does not tell the log-probabilities of chosen tokens; that came with {OLDEST}. "
            "Install a newer one: pip install -U vllm"
        ) from error
    if (mode := getattr(config, "logprobs_mode", LOGPROBS_MODE)) != LOGPROBS_MODE:
        raise ModelError(
            f"{name} was started with logprobs_mode={mode!r}, but answers are read from {LOGPROBS_MODE!r}. Leave it out"
        )
    try:
        tokenizer = llm.get_tokenizer()
    except Exception as error:
        raise ModelError(f"{name} was started without its tokenizer (skip_tokenizer_init). Leave that out") from error
    if settings.prompt_format == "chat" and not tokenizer.chat_template:
        raise UsageError(f"prompt_format='chat', but {name} has no chat template. Use prompt_format='auto' or 'plain'")
    jobs = Jobs(
        name, tokenizer, chat=bool(tokenizer.chat_template) and settings.prompt_format != "plain",
        max_new_tokens=settings.max_new_tokens, arguments=settings.chat_arg,
        context_tokens=lambda: config.max_model_len - 1,  # vLLM keeps a place for the token that it writes
    )  # fmt: skip
    weights = {"commit": getattr(config.hf_config, "_commit_hash", None), "quantized": config.quantization}
    told = {**says, **weights, "vllm": vllm.__version__, "context": config.max_model_len}
    return EngineModel(llm, name, jobs, told, cacheable=settings.cacheable and ends, ends=ends)


def _files(place: str, kept: str | None) -> dict[str, str]:
    """Return SHA-256 of the files in a model's folder, wherever it is; a hub id stands for itself."""
    if not os.path.isdir(place):
        return {place: ""}
    rows = Digests(Path(place), None if kept is None else Path(kept), deep=False).rows()
    return {name: row[-1] for name, row in rows.items() if os.path.isfile(os.path.join(place, name))}
