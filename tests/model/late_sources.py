"""Where weights come from: folders, a hub's cache without a hub, adapters. What a test has changed is read as a load without memory reads it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pytest_llminvariance import Presentation, Question, load_model
from pytest_llminvariance.models.protocol import DecisionRequest, LabelRequest
from tests.models.tiny_models import save_llama
from tests.served.decision_suite import ANIMALS

OLD, NEW = "a" * 40, "b" * 40
"""Two revisions."""
CHAT = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}\nAnswer: {% endif %}"
REQUESTS = [LabelRequest(Presentation(Question(f"Which {n} ?", ["red", "green"]))) for n in (1, 2)]


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


class Place(NamedTuple):
    """A model as it lies somewhere."""

    spec: str
    base: Path
    """The files of the model, or of the base of an adapter."""
    adapter: Path | None = None
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed

    def load(self, **settings: Any) -> Any:
        return load_model(self.spec, device="cpu", **self.settings, **settings)

    @property
    def asked(self) -> list[Any]:
        if self.spec.startswith("decision:"):
            return [DecisionRequest(Presentation(one)) for one in ANIMALS[:2]]
        return REQUESTS


class World:
    """Folders, a hub's cache, and what is kept."""

    def __init__(self, at: Path, hub: Path) -> None:
        self.at, self.hub, self.kept = at, hub, str(at / "kept")
        self.folder = at / "folder"
        self.folder.mkdir()
        save_llama(self.folder, chat_template=CHAT)

    def place(self, kind: str) -> Place:
        return getattr(self, f"_{kind.replace(' ', '_')}")()  # type: ignore[no-any-return]

    def _folder(self) -> Place:
        return Place(str(self.folder), self.folder)

    def _hub_id(self) -> Place:
        return Place("org/name", into_hub(self.hub, "org/name", self.folder))

    def _tag(self) -> Place:
        return Place("org/name", into_hub(self.hub, "org/name", self.folder, ref="v1"), settings={"revision": "v1"})

    def _commit(self) -> Place:
        return Place("hf:org/name", into_hub(self.hub, "org/name", self.folder), settings={"revision": OLD})

    def _map(self) -> Place:
        return Place(str(self.folder), self.folder, settings={"device_map": {"": "cpu"}})

    def _map_by_name(self) -> Place:
        return Place("org/name", into_hub(self.hub, "org/name", self.folder), settings={"device_map": "auto"})

    def _map_to_disk(self) -> Place:
        places = dict.fromkeys(("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head"), "cpu")
        return Place(str(self.folder), self.folder, settings={"device_map": {**places, "model.layers.0": "disk"}})

    def _adapter(self) -> Place:
        made = adapter(self.folder, self.at / "adapter")
        return Place(str(made), self.folder, made)

    def _adapter_beside(self) -> Place:
        for file in adapter(self.folder, self.at / "adapter").glob("adapter*"):
            shutil.copy(file, self.folder)
        return Place(str(self.folder), self.folder, self.folder)

    def _adapter_over_hub(self) -> Place:
        base = into_hub(self.hub, "org/name", self.folder)
        made = adapter(self.folder, self.at / "adapter", "org/name")
        return Place(str(made), base, made)

    def _adapter_in_hub(self) -> Place:
        base = into_hub(self.hub, "org/name", self.folder)
        made = adapter(self.folder, self.at / "adapter", "org/name")
        return Place("org/adapter", base, into_hub(self.hub, "org/adapter", made))

    def _decision(self) -> Place:
        return Place(f"decision:{self.folder}", self.folder)

    def _decision_in_hub(self) -> Place:
        return Place("decision:org/name", into_hub(self.hub, "org/name", self.folder))

    def move(self, repo: str, **changes: Any) -> None:
        """Let the branch of a repository point to another revision."""
        there = self.hub / f"models--{repo.replace('/', '--')}"
        copy = self.at / "copy"
        shutil.copytree(there / "snapshots" / OLD, copy)
        flip(next(copy.glob("*.safetensors")))
        for name, said in changes.items():
            change(copy / f"{name}.json", **said)
        into_hub(self.hub, repo, copy, NEW)


def relink(link: Path) -> None:
    other = link.resolve().with_name("other")
    shutil.copy2(link.resolve(), other)
    flip(other)
    link.unlink()
    link.symlink_to(os.path.relpath(other, link.parent))


def rebase(world: World, place: Place) -> None:
    other = Path(shutil.copytree(place.base, world.at / "other"))
    flip(other / "model.safetensors")
    assert place.adapter is not None
    change(place.adapter / "adapter_config.json", base_model_name_or_path=str(other))


def own_tokenizer(place: Place) -> None:
    assert place.adapter is not None
    for file in place.base.glob("tokenizer*"):
        shutil.copy(file, place.adapter)
    known = json.loads((place.adapter / "tokenizer.json").read_text())
    known["model"]["vocab"] |= {"red": known["model"]["vocab"]["blue"], "blue": known["model"]["vocab"]["red"]}
    (place.adapter / "tokenizer.json").write_text(json.dumps(known))
