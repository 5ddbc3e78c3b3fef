"""A Llama with random weights and the demo model's tokenizer: speed and memory of a size, without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from pytest_llminvariance.models.local.demo import demo_folder
from pytest_llminvariance.models.local.hub import quiet

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "1b": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32},
    "3b": {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
}
"""Shapes of Llama 3.x; the vocabulary is the demo tokenizer's, so there are somewhat fewer parameters."""
SIZES = tuple(SHAPES)


def random_network(size: str, vocabulary: int, device: str = "cpu", **more: Any) -> Any:
    """Return a network in bfloat16; the same weights for a size and device."""
    heads = 2 if size == "tiny" else 8
    config = LlamaConfig(
        **SHAPES[size],
        num_key_value_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=16_384,
        tie_word_embeddings=True,
        dtype="bfloat16",
        **more,
    )
    torch.manual_seed(0)
    with quiet(), torch.device(device):
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)  # 8b in float32 first would need twice the memory
        try:
            return LlamaForCausalLM(config).to(torch.bfloat16).eval()
        finally:
            torch.set_default_dtype(usual)


def random_llama(size: str, folder: Path, device: str = "cpu") -> Path:
    """Write weights in bfloat16, configuration and tokenizer into `folder`; the same ones for a size and device."""
    tokenizer = AutoTokenizer.from_pretrained(str(demo_folder()))
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    with quiet():
        random_network(size, len(tokenizer), device, **ends).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
