"""A small sentence encoder, to compare what two wordings say: used where paraphrases are proposed, never in tests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.local.devices import as_in_use
from pytest_llminvariance.models.local.hub import quiet

BATCH = 32
POOLING_FILE = "1_Pooling/config.json"


class SentenceEncoder:
    """An encoder network with mean or first-token pooling, as sentence-embedding folders name it."""

    def __init__(self, name: str, network: Any, tokenizer: Any, *, first_token: bool) -> None:
        self.name = name
        self._network = network
        self._tokenizer = tokenizer
        self._first_token = first_token

    @torch.inference_mode()
    def similarities(self, text: str, others: Sequence[str]) -> list[float]:
        """Return the cosine, -1 to 1, between a text and each of others, rounded to 4 decimals."""
        if not others:
            return []
        vectors = torch.cat(
            [self._embed([text]), *(self._embed(others[i : i + BATCH]) for i in range(0, len(others), BATCH))]
        )
        vectors = torch.nn.functional.normalize(vectors, dim=1)
        return [round(float(value), 4) for value in vectors[1:] @ vectors[0]]

    @torch.inference_mode()
    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector a text."""
        parts = [self._embed(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        return [row.tolist() for part in parts for row in part]

    def _embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Return one vector per text, shape (texts, width)."""
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(
            self._network.device
        )
        with as_in_use(self._network):
            hidden = self._network(**tokens).last_hidden_state.float()
        if self._first_token:
            return hidden[:, 0]
        mask = tokens["attention_mask"].unsqueeze(-1)
        return (hidden * mask).sum(1) / mask.sum(1)


def load_encoder(target: str) -> SentenceEncoder:
    """Load a sentence encoder from a folder or hub id; pooling is mean unless its files say first token.

    Raises:
        ModelError: if it cannot be loaded, lacks weights, or pools in another way.
    """
    path = os.path.expanduser(target)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(path)
            network, info = AutoModel.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
        pooling = _pooling(path)
    except Exception as error:  # files of any shape are read here, and each reader raises its own kind
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(
            f"the encoder {target!r} cannot be loaded: {reason}. Give a hub id, or a folder with config.json, "
            "tokenizer and weights of a sentence-embedding model"
        ) from error
    missing = [key for key in info["missing_keys"] if "pooler" not in key and "position_ids" not in key]
    if missing:
        raise ModelError(
            f"the encoder {target!r} lacks {len(missing)} weights, such as {min(missing)!r}; they would be random"
        )
    made_for = " ".join(getattr(network.config, "architectures", None) or ())
    if network.config.is_encoder_decoder or "CausalLM" in made_for or "LMHead" in made_for:
        raise ModelError(f"{target!r} is no encoder ({network.config.model_type}). Give a sentence-embedding model")
    modes = {name for name, on in pooling.items() if name.startswith("pooling_mode") and on is True}
    if modes - {"pooling_mode_mean_tokens", "pooling_mode_cls_token"} or len(modes) > 1:
        raise ModelError(
            f"the encoder {target!r} pools by {', '.join(sorted(modes))}, which is not known. Use mean or first token"
        )
    return SentenceEncoder(target, network.eval(), tokenizer, first_token=modes == {"pooling_mode_cls_token"})


def _pooling(path: str) -> dict[str, Any]:
    """Return the pooling settings of a sentence-embedding model, or nothing where it has none."""
    if os.path.isdir(path):
        file = Path(path) / POOLING_FILE
    else:
        from transformers.utils import cached_file

        found = cached_file(path, POOLING_FILE, _raise_exceptions_for_missing_entries=False)
        file = Path(found) if found else Path(path) / POOLING_FILE
    data = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not isinstance(data, dict):
        raise ValueError(f"{POOLING_FILE} holds no object")
    return data
