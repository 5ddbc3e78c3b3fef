"""Tiny models with random weights, saved to a folder; a word-level tokenizer splits digits apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = (
    "[UNK] </s> A B C D E F G H . , : ? Answer with only one of red blue green Which colour is it 1 2 3 4 5 6 7 8 9 0"
)


def save_tokenizer(folder: Path, chat_template: str | None = None) -> None:
    """Save the tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(WORDS.split())}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]", eos_token="</s>")
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)


def save_llama(folder: Path, *, context_tokens: int = 128, chat_template: str | None = None) -> str:
    """Save a one-layer Llama with its tokenizer and return the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    _save(LlamaForCausalLM(llama_config(LlamaConfig, context_tokens)), folder)
    save_tokenizer(folder, chat_template)
    return str(folder)


def llama_config(make: Any, context_tokens: int = 128) -> Any:
    """Return the configuration of the Llama."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": 1}
    return make(vocab_size=len(WORDS.split()), max_position_embeddings=context_tokens, **sizes, **heads)


def save_t5(folder: Path) -> str:
    """Save an encoder-decoder with the tokenizer and return the folder."""
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    _save(T5ForConditionalGeneration(T5Config(vocab_size=len(WORDS.split()), **sizes)), folder)
    save_tokenizer(folder)
    return str(folder)


def _save(network: Any, folder: Path) -> None:
    from pytest_llminvariance.models.local.hub import quiet

    with quiet():
        network.save_pretrained(folder)
