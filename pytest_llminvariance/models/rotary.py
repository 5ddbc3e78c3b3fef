"""Rotary embeddings whose frequencies depend on the longest prompt of a pass, or of passes before."""

from __future__ import annotations

from typing import Any

__all__ = ["depends_on_length", "reset_rotary", "rotary_settings"]


def rotary_settings(config: Any) -> list[dict[str, Any]]:
    """Return the rotary settings: one, or one for each kind of layer."""
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    return [value for value in parameters.values() if isinstance(value, dict)] or [parameters]


def depends_on_length(config: Any) -> bool:
    """Return whether a prompt's numbers depend on the longest prompt of its pass."""
    return any(part.get("rope_type", part.get("type")) in ("dynamic", "longrope") for part in rotary_settings(config))


def reset_rotary(network: Any) -> None:
    """Undo what a longer prompt left behind in a dynamic rotary embedding.

    Frequencies are cloned: transformers writes into the buffer in place, which must not reach the original.
    """
    for module in network.modules() if depends_on_length(network.config) else ():
        for name in [name for name in (*vars(module), *module._buffers) if name.endswith("original_inv_freq")]:
            prefix = name.removesuffix("original_inv_freq")
            buffer = getattr(module, f"{prefix}inv_freq")
            setattr(module, f"{prefix}inv_freq", getattr(module, name).detach().clone().to(buffer.device))
            setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)
