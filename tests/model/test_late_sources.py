"""Hub ids, adapters, device maps and decision models that were loaded before: nothing is loaded again until it is asked."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import transformers as hf

from pytest_llminvariance import LLMInvarianceError, ModelError, load_model
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local import identity
from tests.model.late_sources import (
    CHAT,
    OLD,
    REQUESTS,
    Place,
    World,
    change,
    flip,
    offline_hub,
    own_tokenizer,
    rebase,
    relink,
)

PEFT = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs the extra peft")
ACCELERATE = pytest.mark.skipif(importlib.util.find_spec("accelerate") is None, reason="needs accelerate")
DECISION = pytest.mark.skipif(
    importlib.util.find_spec("transformers.decision") is None, reason="this transformers has no decision pipeline"
)
SUITE = """
    from pytest_llminvariance import Question, check

    def test_order(invariance_model):
        questions = [Question(f"Which {n} ?", ["red", "green", "blue"], answer=0) for n in range(4)]
        check("option_order", invariance_model, questions, tolerance=0.5)
"""


@pytest.fixture
def world(tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, offline_hub(tmp_path / "hub", monkeypatch))


KINDS = [
    "folder", "hub id", "tag", "commit",
    *(pytest.param(kind, marks=ACCELERATE) for kind in ("map", "map by name", "map to disk")),
    *(pytest.param(kind, marks=PEFT) for kind in ("adapter", "adapter beside", "adapter over hub", "adapter in hub")),
    *(pytest.param(kind, marks=DECISION) for kind in ("decision", "decision in hub")),
]  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded_until_it_is_asked(kind: str, world: World, loads: list[str], hashed: list[str]) -> None:
    place = world.place(kind)
    plain, loads[:] = place.load(), []
    first = place.load(kept=world.kept)
    assert (len(loads), "model.safetensors" in hashed) == (1, True)
    hashed.clear()
    again = place.load(kept=world.kept)
    told = [
        (m.name, m.fingerprint, m.device, m.dtype, m.deterministic, m.cacheable, m.capabilities, m.describe_path(), repr(m))
        for m in (plain, first, again)
    ]  # fmt: skip
    assert told[0] == told[1] == told[2]
    assert (len(loads), hashed) == (1, [])
    usage, asked = again.usage, place.asked
    assert again.answer(asked) == first.answer(asked) == plain.answer(asked)
    assert len(loads) == 2
    assert again.usage is usage
    assert again.describe_path() == first.describe_path()
    assert usage.passes
    assert again.plain.answer(asked)
    again.release()
    again.release()
    with pytest.raises(LLMInvarianceError, match="released"):
        again.answer(asked)
    never = place.load(kept=world.kept)
    never.release()
    never.release()
    with pytest.raises(LLMInvarianceError, match="released"):
        never.answer(asked)
    assert never.fingerprint == first.fingerprint
    assert len(loads) == 2


CHANGES: list[Any] = [
    ("folder", "weights", lambda world, place: flip(place.base / "model.safetensors")),
    ("hub id", "weights in the blob", lambda world, place: flip((place.base / "model.safetensors").resolve())),
    ("hub id", "the branch moved", lambda world, place: world.move("org/name")),
    ("hub id", "a link goes elsewhere", lambda world, place: relink(place.base / "model.safetensors")),
    ("hub id", "the template", lambda world, place: (place.base / "chat_template.jinja").write_text("new " + CHAT)),
    ("hub id", "the tokens that end a text", lambda world, place: change(place.base / "generation_config.json", eos_token_id=[1, 5])),
    pytest.param("map", "weights", lambda world, place: flip(place.base / "model.safetensors"), marks=ACCELERATE),
    *(
        pytest.param(*row, marks=PEFT)
        for row in (
            ("adapter", "its weights", lambda world, place: flip(place.adapter / "adapter_model.safetensors")),
            ("adapter", "its strength", lambda world, place: change(place.adapter / "adapter_config.json", lora_alpha=64)),
            ("adapter", "weights of the base", lambda world, place: flip(place.base / "model.safetensors")),
            ("adapter", "another base", lambda world, place: rebase(world, place)),
            ("adapter", "a tokenizer of its own", lambda world, place: own_tokenizer(place)),
            ("adapter beside", "its weights", lambda world, place: flip(place.adapter / "adapter_model.safetensors")),
            ("adapter beside", "taken out", lambda world, place: (place.adapter / "adapter_config.json").unlink()),
            ("adapter over hub", "the base's branch moved", lambda world, place: world.move("org/name")),
            ("adapter in hub", "its branch moved", lambda world, place: world.move("org/adapter")),
            ("adapter in hub", "the base's branch moved", lambda world, place: world.move("org/name")),
        )
    ),
    *(
        pytest.param(*row, marks=DECISION)
        for row in (
            ("decision", "weights", lambda world, place: flip(place.base / "model.safetensors")),
            ("decision", "what it says of decisions", lambda world, place: change(place.base / "decision.json", temperature={"choice": 4.0})),
            ("decision in hub", "the branch moved", lambda world, place: world.move("org/name")),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "what", "doing"), CHANGES)
def test_what_decides_answers_and_changed_is_loaded_and_another_model(
    kind: str, what: str, doing: Callable[[World, Place], object], world: World, loads: list[str]
) -> None:
    place = world.place(kind)
    before = place.load(kept=world.kept)
    assert place.load(kept=world.kept).fingerprint == before.fingerprint
    loads.clear()
    doing(world, place)
    other = place.load(kept=world.kept)
    assert len(loads) == 1, what
    assert other.fingerprint != before.fingerprint
    assert other.fingerprint == place.load().fingerprint


@pytest.mark.parametrize("kind", ["hub id", pytest.param("adapter in hub", marks=PEFT)])
def test_a_session_of_remembered_answers_loads_nothing(
    kind: str, world: World, loads: list[str], pytester: pytest.Pytester
) -> None:
    place = world.place(kind)
    loads.clear()
    pytester.makepyfile(test_suite=SUITE)
    flags = (f"--invariance-model={place.spec}", "--invariance-device=cpu", f"--invariance-cache={world.at / 'cache'}")
    for _ in range(2):
        pytester.runpytest(*flags).assert_outcomes(passed=1)
        assert len(loads) == 1
    flip((place.base / "model.safetensors").resolve())
    pytester.runpytest(*flags).stdout.re_match_lines([r".*cache: 0 answers remembered, [1-9]\d* asked.*"])
    assert len(loads) == 2


@DECISION
def test_a_rerun_of_decisions_is_no_error(world: World, loads: list[str], pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_suite="""
            from pytest_llminvariance import check
            from tests.served.decision_suite import ANIMALS

            def test_order(invariance_model):
                check("option_order", invariance_model, ANIMALS, tolerance=0.9)
        """
    )
    place = world.place("decision")
    flags = (f"--invariance-model={place.spec}", "--invariance-device=cpu", f"--invariance-cache={world.at / 'cache'}")
    outcomes = [pytester.runpytest(*flags).parseoutcomes() for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert "errors" not in outcomes[0]
    assert len(loads) == 1


# files that change while they are looked at


def test_what_changed_while_it_was_loaded_is_not_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digests were of other weights than those that were loaded, and afterwards all is as it was."""
    weights = world.folder / "model.safetensors"
    right, before = load_model(str(world.folder), device="cpu").fingerprint, hf.PreTrainedModel.from_pretrained.__func__

    def load(kind: Any, *args: Any, **settings: Any) -> Any:
        aside = weights.rename(world.at / "aside")  # what is loaded may be mapped: it stays as it is
        shutil.copy2(aside, weights)
        flip(weights)
        try:
            return before(kind, *args, **settings)
        finally:
            aside.replace(weights)

    with monkeypatch.context() as patched:
        patched.setattr(hf.PreTrainedModel, "from_pretrained", classmethod(load))
        assert load_model(str(world.folder), device="cpu", kept=world.kept).fingerprint != right
    assert load_model(str(world.folder), device="cpu", kept=world.kept).fingerprint == right


@pytest.mark.parametrize("kind", ["folder", "hub id", pytest.param("adapter", marks=PEFT)])
def test_a_file_that_changes_before_the_tokenizer_is_read_makes_another_model(
    kind: str, world: World, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world.place(kind)
    before = place.load(kept=world.kept)
    known = identity.Identity.known

    def and_changes(self: Any) -> Any:
        (place.base / "chat_template.jinja").write_text("new " + CHAT)
        return known(self)

    monkeypatch.setattr(identity.Identity, "known", and_changes)
    loads.clear()
    other = place.load(kept=world.kept)
    assert other.fingerprint == place.load().fingerprint != before.fingerprint
    assert loads


def test_a_branch_that_moves_before_the_weights_are_loaded_changes_nothing(world: World, loads: list[str]) -> None:
    """What was looked at is loaded: the revision, not the branch."""
    place = world.place("hub id")
    wanted = place.load(kept=world.kept).answer(REQUESTS)
    again = place.load(kept=world.kept)
    world.move("org/name")
    assert again.answer(REQUESTS) == wanted


@PEFT
@pytest.mark.parametrize("kind", ["adapter", "adapter over hub"])
def test_a_base_that_changes_before_it_is_loaded_is_an_error(kind: str, world: World) -> None:
    place = world.place(kind)
    place.load(kept=world.kept)
    again = place.load(kept=world.kept)
    if kind == "adapter":
        flip(place.base / "model.safetensors")
    else:
        world.move("org/name")
    with pytest.raises(ModelError, match=r"changed since the session began.*Run again"):
        again.answer(REQUESTS)
    assert place.load(kept=world.kept).answer(REQUESTS)


@pytest.mark.parametrize("kind", KINDS[:5])
def test_weights_that_are_gone_are_told_as_ever(kind: str, world: World) -> None:
    place = world.place(kind)
    place.load(kept=world.kept)
    again = place.load(kept=world.kept)
    (place.base / "model.safetensors").rename(world.at / "away")
    with pytest.raises(ModelError) as now:
        place.load()
    with pytest.raises(ModelError) as later:
        again.answer(REQUESTS)
    assert str(now.value).replace("main", OLD) == str(later.value).replace("main", OLD)
    assert "cannot be loaded" in str(later.value)
    (world.at / "away").rename(place.base / "model.safetensors")
    assert again.answer(REQUESTS)


def test_files_that_are_downloaded_while_a_hub_id_is_loaded_are_part_of_it(
    world: World, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world.place("hub id")
    weights = place.base / "model.safetensors"
    blob = os.readlink(weights)
    weights.unlink()
    before = hf.PreTrainedModel.from_pretrained.__func__

    def load(kind: Any, *args: Any, **settings: Any) -> Any:
        if not weights.exists():
            weights.symlink_to(blob)
        return before(kind, *args, **settings)

    monkeypatch.setattr(hf.PreTrainedModel, "from_pretrained", classmethod(load))
    first = place.load(kept=world.kept)
    loads.clear()
    assert place.load(kept=world.kept).fingerprint == first.fingerprint
    assert loads == []


# what lies about, and where nothing can be kept


def test_what_lies_about_in_a_folder_is_no_error(world: World, loads: list[str]) -> None:
    (world.folder / "gone").symlink_to("nowhere")
    (world.folder / "round").symlink_to(world.folder)
    (world.folder / "round again").symlink_to(".")
    os.mkfifo(world.folder / "pipe")
    (world.folder / ".git").mkdir()
    for n in range(2):
        (world.folder / ".git" / "index").write_text(str(n))  # as git status does
        load_model(str(world.folder), device="cpu", kept=world.kept)
    assert len(loads) == 1


@pytest.mark.parametrize("how", ["a file", "read only", "of anything"])
def test_where_nothing_can_be_kept_all_is_loaded(how: str, world: World, loads: list[str]) -> None:
    kept = Path(world.kept)
    right = load_model(str(world.folder), device="cpu").fingerprint
    if how == "a file":
        kept.write_text("")
    elif how == "read only":
        kept.mkdir()
        if os.access(kept, os.W_OK) and os.getuid() == 0:
            kept.rmdir()
            kept.symlink_to("/proc/self")  # nobody writes there
        kept.chmod(0o500) if not kept.is_symlink() else None
    for _ in range(2):
        assert load_model(str(world.folder), device="cpu", kept=world.kept).fingerprint == right
        for file in kept.glob("*.json") if how == "of anything" else ():
            file.write_text('{"fingerprint": 5, "deterministic": 1, "device": [], "dtype": {}, "notes": "ab"}')
    assert len(loads) == 3


def test_weights_elsewhere_are_loaded_at_once(world: World, loads: list[str]) -> None:
    """An index may name files that lie outside of the folder."""
    from safetensors import safe_open

    (world.folder / "model.safetensors").rename(world.at / "away.safetensors")
    with safe_open(world.at / "away.safetensors", "pt") as stored:
        names = list(stored.keys())
    change(
        world.folder / "model.safetensors.index.json",
        metadata={}, weight_map=dict.fromkeys(names, "../away.safetensors"),
    )  # fmt: skip
    before = load_model(str(world.folder), device="cpu", kept=world.kept).fingerprint
    flip(world.at / "away.safetensors")
    assert load_model(str(world.folder), device="cpu", kept=world.kept).fingerprint != before
    assert len(loads) == 2


def test_an_index_of_files_that_were_never_taken_is_no_hindrance(world: World, loads: list[str]) -> None:
    """As where only safetensors were downloaded, but every index."""
    index = {"metadata": {}, "weight_map": {"model.embed_tokens.weight": "pytorch_model-00001-of-00002.bin"}}
    (world.folder / "onnx").mkdir()
    for name in ("pytorch_model.bin.index.json", "onnx/model.index.json"):
        change(world.folder / name, **index)
    for _ in range(2):
        load_model(str(world.folder), device="cpu", kept=world.kept)
    assert len(loads) == 1


def test_code_that_is_trusted_is_run_at_once(world: World, loads: list[str]) -> None:
    for n in (1, 1):
        load_model(str(world.folder), device="cpu", kept=world.kept, trust_remote_code=True)
        assert len(loads) == n, "it brings none"
    (world.folder / "own.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n\n\n"
        "class Own(LlamaConfig):\n    model_type = 'own'\n\n\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = Own\n"
    )
    change(
        world.folder / "config.json", model_type="own",
        auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"},
    )  # fmt: skip
    told = []
    for n in (2, 3):
        told.append(load_model(str(world.folder), device="cpu", kept=world.kept, trust_remote_code=True).fingerprint)
        assert len(loads) == n
    moved = shutil.copytree(world.folder, world.at / "moved")
    told.append(load_model(str(moved), device="cpu", trust_remote_code=True).fingerprint)
    assert len(set(told)) == 1
    with (moved / "own.py").open("a") as code:
        code.write("\n\nOwn.anything = 1\n")
    assert load_model(str(moved), device="cpu", trust_remote_code=True).fingerprint != told[0], "code decides answers"


def test_a_store_with_the_digests_of_nonsense_is_not_believed(
    world: World, loads: list[str], hashed: list[str]
) -> None:
    load_model(str(world.folder), device="cpu", kept=world.kept)
    for file in Path(world.kept).glob("files-*.json"):
        file.write_text(json.dumps({"model.safetensors": [1, 2, 3, 4, "0" * 64], "config.json": None, "x": [], "y": 3}))
    hashed.clear()
    load_model(str(world.folder), device="cpu", kept=world.kept)
    assert "model.safetensors" in hashed
    assert len(loads) == 1


def test_two_who_keep_at_once_read_all_or_nothing(world: World) -> None:
    found = identity.Known("f" * 64, True, "cpu", "float32", ("note",))
    settings = LoadSettings(device="cpu")

    def keep_and_read(n: int) -> identity.Known | None:
        mine = identity.Identity(str(world.folder), "causal", "name", settings, Path(world.kept))
        if n % 3:
            mine.keep(found)
        else:
            mine.forget()
        return mine.known()

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(keep_and_read, range(60))) <= {None, found}
    assert keep_and_read(1) == found
    assert len(list(Path(world.kept).iterdir())) == 2, "nothing half written is left"
