"""Rotary embeddings whose frequencies depend on the longest prompt of a pass, or of passes before."""

from __future__ import annotations

from typing import Any

LENGTH_DEPENDENT = ("dynamic", "longrope")


def rotary_settings(config: Any) -> list[dict[str, Any]]:
    """Return the rotary settings: one, or one for each kind of layer."""
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    return [value for value in parameters.values() if isinstance(value, dict)] or [parameters]


def depends_on_length(config: Any) -> bool:
    """Return whether a prompt's numbers depend on the longest prompt of its pass."""
    return any(part.get("rope_type", part.get("type")) in LENGTH_DEPENDENT for part in rotary_settings(config))


def length_class(config: Any, n_tokens: int) -> tuple[int, ...]:
    """Return what prompts must have in common to share a pass.

    `longrope` has one set of frequencies up to the length that the model was first trained on and another
    beyond it; `dynamic` has another set for every length beyond it.
    """
    text = config.get_text_config()
    found = []
    for part in rotary_settings(config):
        kind = part.get("rope_type", part.get("type"))
        original = part.get("original_max_position_embeddings") or getattr(
            text, "original_max_position_embeddings", None
        )
        if kind == "longrope":
            found.append(int(n_tokens > (original or text.max_position_embeddings)))
        elif kind == "dynamic":
            found.append(max(n_tokens, text.max_position_embeddings))
    return tuple(found)


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


def context_tokens_of(config: Any) -> int | None:
    """Return the longest sequence that a model takes, where its configuration says so."""
    value = getattr(config.get_text_config(), "max_position_embeddings", None)
    stretched = [part["factor"] for part in rotary_settings(config) if part.get("rope_type") == "dynamic"]
    return int(value * max(stretched, default=1)) if value else None
