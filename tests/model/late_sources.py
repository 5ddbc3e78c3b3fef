"""Where weights come from: folders, a hub's cache without a hub, adapters. What a test has changed is read as a load without memory reads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

OLD, NEW = "a" * 40, "b" * 40
"""Two revisions."""


def into_hub(hub: Path, repo: str, folder: Path, revision: str = OLD, ref: str = "main") -> Path:
    """Put the files of a folder into a hub's cache, as a download does, and return the snapshot."""
    place = hub / f"models--{repo.replace('/', '--')}"
    snapshot, blobs = place / "snapshots" / revision, place / "blobs"
    for made in (snapshot, blobs, place / "refs"):
        made.mkdir(parents=True, exist_ok=True)
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        blob = blobs / f"{revision}-{file.name}"
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    (place / "refs" / ref).write_text(revision)
    return snapshot


def offline_hub(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the hub's cache be a folder, and the hub unreachable."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return hub


def flip(file: Path) -> None:
    """Change a bit of the last value in place; size and time of writing stay."""
    data, stat = file.read_bytes(), file.stat()
    file.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def change(file: Path, **changes: Any) -> None:
    """Change what a JSON file says."""
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**known, **changes}))


def adapter(base: Path, target: Path, named: str | None = None) -> Path:
    """Save an adapter with random weights, over the base under that name."""
    import peft
    import torch
    import transformers as hf

    torch.manual_seed(1)
    told = peft.LoraConfig(
        task_type="CAUSAL_LM", r=2, lora_alpha=16, target_modules=["q_proj"], init_lora_weights=False
    )
    peft.get_peft_model(hf.AutoModelForCausalLM.from_pretrained(base), told).save_pretrained(target)
    change(target / "adapter_config.json", base_model_name_or_path=named or str(base))
    return target
