"""A sequence classifier of transformers that scores a response to a prompt."""

from __future__ import annotations

from typing import Any

import torch

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.local.devices import as_in_use


class Reward:
    """Calls a network for one prompt and response: in the tokenizer's chat template where it has one, else as a pair."""

    def __init__(self, network: Any, tokenizer: Any) -> None:
        if network.config.num_labels != 1:
            raise UsageError(
                f"{type(network).__name__} has {network.config.num_labels} scores, but a reward model has one (num_labels=1)"
            )
        self.name = str(getattr(network.config, "name_or_path", "") or type(network).__name__)
        self._network, self._tokenizer = network, tokenizer

    @torch.inference_mode()
    def __call__(self, prompt: str, response: str) -> float:
        """Return the reward."""
        if getattr(self._tokenizer, "chat_template", None):
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False)
            tokens = self._tokenizer(text, return_tensors="pt", add_special_tokens=False)
        else:
            tokens = self._tokenizer(prompt, response, return_tensors="pt", truncation=True)
        tokens = {name: part.to(self._network.device) for name, part in tokens.items()}
        with as_in_use(self._network):
            return float(self._network(**tokens).logits.float().reshape(-1)[0])
