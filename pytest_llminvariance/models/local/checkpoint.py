"""What a checkpoint is, and whether all of it was read: an adapter, a part that sees, weights that nobody used.

Nothing here computes. What cannot be read right is refused, with the way out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from pytest_llminvariance.errors import LLMInvarianceError, ModelError, missing_extra
from pytest_llminvariance.models.load_settings import LoadSettings

UNUSED_BUFFERS = re.compile(r"(^|\.)(inv_freq|masked_bias|position_ids|attn\.bias|attention\.bias)$")
"""What old checkpoints store and transformers computes anew: rotary frequencies, causal masks, positions."""
OTHER_SENSES = re.compile(r"vision|visual|image|audio|speech|multi_?modal|(^|\.)mm_", re.IGNORECASE)
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt", "tekken.json",
    "tokenizer_config.json",
)  # fmt: skip
FOLDER_RULE = "Give a hub id, or a folder with config.json, tokenizer and weights"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is to be loaded."""

    config: Any
    tokenizer: Any
    made_by: Any
    """The automatic class of transformers that loads it."""
    adapted: bool
    """Whether an adapter of PEFT belongs to it."""


def read_checkpoint(target: str, name: str, where: Mapping[str, Any]) -> Checkpoint:
    """Read configuration and tokenizer.

    Raises:
        ModelError: if these cannot be read, or are of no causal language model; `MissingExtraError` for an adapter
            without PEFT.
    """
    adapter, base = _parts(target, where)
    config = AutoConfig.from_pretrained(base, **where)
    if config.is_encoder_decoder:
        raise ModelError(
            f"{name} is an encoder-decoder model ({config.model_type}), but a causal language model is needed"
        )
    made_by = _made_by(config, name)
    has_own = adapter is None or any((Path(target) / file).is_file() for file in TOKENIZER_FILES)
    return Checkpoint(config, _tokenizer(target if has_own else base, name, where), made_by, adapter is not None)


def folders_of(target: str, where: Mapping[str, Any]) -> list[Path]:
    """Return the folders that hold all files of a model: its own and, under an adapter, its base's.

    That of a hub id is the snapshot of its revision in the cache. Empty where there is none.
    """
    adapter, base = _parts(target, where)
    folders = [] if adapter is None else [adapter.parent]
    config = cached_file(
        base, "config.json", revision=where.get("revision"), _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False,
    )  # fmt: skip
    return [] if config is None else list(dict.fromkeys([*folders, Path(config).parent]))


def _parts(target: str, where: Mapping[str, Any]) -> tuple[Path | None, str]:
    """Return where the configuration of an adapter is, or `None`, and the folder or hub id of the model that it adapts."""
    adapter = find_adapter_config_file(target, revision=where.get("revision"))
    if adapter is None:
        return None, target
    if importlib.util.find_spec("peft") is None:
        raise missing_extra(
            "peft", "peft", f"the adapter in {target!r}, without which the answers would be the base model's,"
        )
    alone = not (Path(target) / "config.json").is_file()
    return Path(adapter), _base_of(Path(adapter), target) if alone else target


def _base_of(adapter: Path, target: str) -> str:
    told = json.loads(adapter.read_text(encoding="utf-8")).get("base_model_name_or_path")
    if not told:
        raise ModelError(
            f"{target!r} holds an adapter whose adapter_config.json names no base_model_name_or_path. Add it"
        )
    return str(told)


def _made_by(config: Any, name: str) -> Any:
    if type(config) in AutoModelForCausalLM._model_mapping or "AutoModelForCausalLM" in getattr(config, "auto_map", {}):
        return AutoModelForCausalLM
    if type(config) in AutoModelForImageTextToText._model_mapping:
        return AutoModelForImageTextToText  # asked without images, it is a language model
    others = [part for part in getattr(config, "sub_configs", {}) if part != "text_config"]
    kind = f"a multimodal model ({config.model_type})" if others else f"a model of the kind {config.model_type!r}"
    raise ModelError(
        f"{name} is {kind}, and transformers has no class that reads it as a language model. Give a causal language "
        "model, such as the text part of it saved to a folder of its own"
    )


def _tokenizer(target: str, name: str, where: Mapping[str, Any]) -> Any:
    if os.path.isdir(target) and not any((Path(target) / file).is_file() for file in TOKENIZER_FILES):
        raise ModelError(
            f"the folder {target} has no tokenizer. Save the tokenizer of the model that {name} was made from into it "
            "(tokenizer.save_pretrained)"
        )
    return AutoTokenizer.from_pretrained(target, **where)


def load_tokenizer(target: str, settings: LoadSettings) -> Any:
    """Return the tokenizer of a folder or hub id, for a model that runs elsewhere.

    Raises:
        ModelError: where there is none.
    """
    try:
        return _tokenizer(target, target, {"trust_remote_code": settings.trust_remote_code})
    except LLMInvarianceError:
        raise
    except Exception as error:  # files of any shape are read here
        raise ModelError(
            f"the tokenizer {target!r} cannot be loaded: {(str(error).splitlines() or [''])[0]}. Give a folder or a hub id"
        ) from error


def check_read(info: Mapping[str, Any], config: Any, name: str) -> None:
    """Refuse a network whose weights are not those of the checkpoint, all of them.

    Raises:
        ModelError: if weights are missing, of another shape, or were not used.
    """
    _refuse_keys(
        info.get("missing_keys", ()),
        name,
        "lacks {} weights, such as {}; they would be random. Give a folder with all weights of the model",
    )
    mismatched = [item[0] if isinstance(item, tuple) else item for item in info.get("mismatched_keys", ())]
    _refuse_keys(
        mismatched, name, "has {} weights of another shape than its configuration says, such as {}. Mend config.json"
    )
    sees = any(part != "text_config" for part in getattr(config, "sub_configs", {}))
    unused = [
        key for key in info.get("unexpected_keys", ())
        if not UNUSED_BUFFERS.search(key) and not (sees and OTHER_SENSES.search(key))
    ]  # fmt: skip
    _refuse_keys(
        unused, name, "stores {} weights that its configuration does not use, such as {}: another model than was trained "
        "would answer. Mend config.json (number of layers, biases, heads), or remove these weights"
    )  # fmt: skip


def _refuse_keys(keys: Iterable[str], name: str, rule: str) -> None:
    found = sorted(keys)
    if found:
        raise ModelError(f"{name} {rule.format(len(found), repr(found[0]))}")


def check_vocabulary(network: Any, tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer with tokens that the embeddings do not hold.

    Raises:
        ModelError: the message names the first such token.
    """
    rows = network.get_input_embeddings().weight.shape[0]
    beyond = sorted((number, token) for token, number in tokenizer.get_vocab().items() if number >= rows)
    if beyond:
        number, token = beyond[0]
        raise ModelError(
            f"{name}: its tokenizer has {len(beyond)} tokens that the embeddings do not hold, such as {token!r} ({number}; "
            f"there are {rows:,} rows). Give the tokenizer that the model was trained with, or resize the embeddings "
            "(resize_token_embeddings) and save both"
        )


def why_not_loaded(error: Exception, target: str, settings: LoadSettings) -> ModelError:
    """Return what is wrong, in one sentence; nobody sees the rest of a reader's own message."""
    told = str(error).strip()
    if "trust_remote_code" in told:
        return ModelError(
            f"the model {target!r} brings code of its own, which is run only if you say that you trust it: "
            "--invariance-trust-remote-code, or load_model(..., trust_remote_code=True)"
        )
    reason = (told.splitlines() or [type(error).__name__])[0].rstrip(".")
    looked = "" if os.path.isdir(target) else f"; nor is there a folder {os.path.abspath(settings.place(target))}"
    return ModelError(f"the model {target!r} cannot be loaded: {reason}{looked}. {FOLDER_RULE}")
