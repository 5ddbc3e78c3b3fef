"""Tiny configurations of many architectures: what the prefix tree must take, and what it must refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import transformers as hf

WINDOW = 8
THRESHOLD = 128
"""Prompt length at which length-dependent rotary embeddings change."""

SIZE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
IDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
OLD = {"vocab_size": 300, "hidden_size": 32, "n_layer": 3, "n_head": 4, **IDS}
LONG = {"max_position_embeddings": 2048, "original_max_position_embeddings": THRESHOLD}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0, 8.0, 16.0, 32.0],
    "original_max_position_embeddings": THRESHOLD,
}
DYNAMIC_ROPE = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
MAMBA = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 3, "state_size": 16, **IDS}

TREE: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaConfig(**SIZE),
    "qwen 2": lambda: hf.Qwen2Config(**SIZE),
    "qwen 3": lambda: hf.Qwen3Config(**SIZE, head_dim=8),
    "gemma 2": lambda: hf.Gemma2Config(
        **SIZE, head_dim=8, sliding_window=WINDOW, attn_logit_softcapping=5.0, final_logit_softcapping=6.0
    ),
    "gemma 3": lambda: hf.Gemma3TextConfig(**SIZE, head_dim=8, sliding_window=WINDOW),
    "olmo 3": lambda: hf.Olmo3Config(**SIZE, sliding_window=WINDOW),
    "cohere 2": lambda: hf.Cohere2Config(**SIZE, sliding_window=WINDOW),
    "gpt-2": lambda: hf.GPT2Config(vocab_size=300, n_embd=32, n_layer=3, n_head=4, **IDS),
    "gpt-oss": lambda: hf.GptOssConfig(**SIZE, head_dim=8, sliding_window=WINDOW, **EXPERTS),
    "mistral with a window": lambda: hf.MistralConfig(**SIZE, sliding_window=WINDOW, head_dim=8),
    "mixtral": lambda: hf.MixtralConfig(**SIZE, **EXPERTS),
    "deepseek v3": lambda: hf.DeepseekV3Config(
        **{**SIZE, "num_key_value_heads": 4},
        q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=12,
        n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1, first_k_dense_replace=1,
        moe_intermediate_size=24, n_shared_experts=1,
    ),
    "phi-3 with long rope": lambda: hf.Phi3Config(**SIZE, **LONG, rope_parameters=dict(LONG_ROPE)),
    "llama with dynamic rope": lambda: hf.LlamaConfig(
        **SIZE, max_position_embeddings=THRESHOLD, rope_parameters=dict(DYNAMIC_ROPE)
    ),
    "opt": lambda: hf.OPTConfig(
        vocab_size=300, hidden_size=32, ffn_dim=48, num_hidden_layers=3, num_attention_heads=4, word_embed_proj_dim=32,
        **IDS,
    ),
    "granite": lambda: hf.GraniteConfig(**SIZE, logits_scaling=4.0, attention_multiplier=0.3, embedding_multiplier=2.0),
    "gpt-neox": lambda: hf.GPTNeoXConfig(
        **{key: value for key, value in SIZE.items() if key != "num_key_value_heads"}
    ),
    "starcoder 2": lambda: hf.Starcoder2Config(**SIZE, sliding_window=WINDOW),
    "phi": lambda: hf.PhiConfig(**SIZE),
}  # fmt: skip
"""What must be scored as a prefix tree."""

REFUSED: dict[str, Callable[[], Any]] = {
    "llama 4 (chunks)": lambda: hf.Llama4TextConfig(
        **SIZE, head_dim=8, attention_chunk_size=WINDOW, intermediate_size_mlp=48, num_local_experts=2,
        num_experts_per_tok=1,
    ),
    "mpt (alibi)": lambda: hf.MptConfig(vocab_size=300, d_model=32, n_layers=3, n_heads=4, **IDS),
    "bloom (alibi)": lambda: hf.BloomConfig(**OLD),
    "falcon (alibi)": lambda: hf.FalconConfig(
        vocab_size=300, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, alibi=True, **IDS
    ),
    "mamba 2": lambda: hf.Mamba2Config(**MAMBA, num_heads=8, head_dim=8, n_groups=2, chunk_size=16),
    "jamba": lambda: hf.JambaConfig(
        **SIZE, num_experts=2, num_experts_per_tok=1, attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2,
        expert_layer_offset=1, use_mamba_kernels=False, mamba_d_state=8, mamba_expand=2,
    ),
    "qwen 3 next": lambda: hf.Qwen3NextConfig(
        **{**SIZE, "num_hidden_layers": 4}, head_dim=8, linear_key_head_dim=8, linear_value_head_dim=8,
        linear_num_key_heads=2, linear_num_value_heads=4, num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=16, shared_expert_intermediate_size=16,
    ),
    "recurrent gemma": lambda: hf.RecurrentGemmaConfig(
        **{**SIZE, "num_key_value_heads": 1}, lru_width=32, attention_window_size=WINDOW, head_dim=8
    ),
    "falcon h1": lambda: hf.FalconH1Config(
        **SIZE, head_dim=8, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1, mamba_d_state=8,
        mamba_chunk_size=16,
    ),
}  # fmt: skip
"""What must not be: chunks, position biases, recurrent state."""
