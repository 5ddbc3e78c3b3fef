"""A model on several devices: what its layers need lies where they are. No GPU is here, so devices are played.

Two devices that refuse to meet (`two_devices`), and accelerate's own hooks with weights on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as Folder
from typing import Any

import pytest
import torch

from pytest_llminvariance import Presentation, Question, load_model
from pytest_llminvariance.models.local import passes
from pytest_llminvariance.models.local.flex import Flex
from pytest_llminvariance.models.local.passes import FlexPath, PaddedPath, PrefixPath, TreePath
from pytest_llminvariance.models.local.scoring import Scorer
from pytest_llminvariance.models.protocol import LabelRequest, Request, TextRequest
from tests.model.test_tree_models import PROMPTS, by_hand, network_of, read_everything
from tests.model.tiny_configs import TREE
from tests.model.two_devices import Devices, split

FIRST, SECOND = "xpu:0", "xpu:1"
SOME = [PROMPTS[0], PROMPTS[5], PROMPTS[30]]


@pytest.mark.parametrize("name", ["llama", "mistral with a window"])
@pytest.mark.parametrize("path", [TreePath, FlexPath, PrefixPath, PaddedPath])
def test_every_path_gives_the_numbers_of_one_device(path: Any, name: str) -> None:
    network, fresh = split(network_of(TREE[name]()), FIRST, SECOND), network_of(TREE[name]())
    made = path(network) if issubclass(path, TreePath) else path(network, 0)
    if path is FlexPath:  # its kernel is no operation of torch's own, so it is asked for the same of one device
        made.attention = lambda tree, place: OnlyMade(Flex(tree, place), TreePath(network).attention(tree, place))
    with Devices():
        values = made.send(read_everything(SOME)).values
    for prompt, found in zip(SOME, values, strict=True):
        assert torch.allclose(torch.tensor(found), by_hand(fresh, prompt)[[len(prompt) // 2, -1]].float(), atol=1e-4)


class OnlyMade:
    """FlexAttention's tensors are made where the layer is; blocks compute."""

    def __init__(self, flex: Flex, blocks: Any) -> None:
        self.flex, self.blocks = flex, blocks

    def attend(self, query: Any, *args: Any) -> Any:
        assert self.flex.end.device == self.flex.depth.device == query.device
        return self.blocks.attend(query, *args)


def test_rows_on_the_first_device_would_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what a crash on two GPUs is, is an error here."""
    network = split(network_of(TREE["llama"]()), FIRST, SECOND)
    monkeypatch.setattr(passes, "rows_at", lambda network, rows: torch.tensor(rows, device=FIRST))
    with Devices(), pytest.raises(RuntimeError, match="expected all tensors on one device"):
        TreePath(network).send(read_everything(SOME))


def test_a_whole_run_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = split(network_of(TREE["llama"]()), FIRST, SECOND)
    plain = Scorer(network_of(TREE["llama"]()), pad=0, batch_tokens=300)
    expected = {item.index: item.values for batch in plain.score(read_everything(PROMPTS[::6])) for item in batch}
    with Devices():
        scorer = Scorer(network, pad=0, batch_tokens=300)
        found = {item.index: item.values for batch in scorer.score(read_everything(PROMPTS[::6])) for item in batch}
        assert scorer.path.name == "prefix tree", scorer.describe()
    assert found == expected


MAPS = [
    {"model.embed_tokens": "cpu", "model.layers.0": "disk", "model.layers.1": "cpu", "model.layers.2": "disk"},
    {"model.embed_tokens": "disk", "model.layers": "cpu"},
]


@pytest.mark.parametrize("places", MAPS, ids=["layers on disk", "embedding on disk"])
def test_weights_on_disk_through_the_hooks_of_accelerate(
    places: dict[str, str], tiny_folder: Callable[[Any], Folder], tmp_path: Folder
) -> None:
    accelerate = pytest.importorskip("accelerate")
    folder = tiny_folder(TREE["llama"]())
    whole, spread = (load_model(folder, device="cpu", dtype="float32") for _ in range(2))
    rest = {"model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    network: Any = spread._network  # type: ignore[attr-defined]
    accelerate.dispatch_model(network, {**places, **rest}, main_device="cpu", offload_dir=str(tmp_path / "away"))
    assert any(weight.device.type == "meta" for weight in network.parameters())
    question = Question("Which?", ["red", "green", "blue"])
    shown = [Presentation(question, order=order) for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0))]
    asked: list[Request] = [LabelRequest(each) for each in shown]
    asked += [TextRequest(each, max_new_tokens=4) for each in shown]
    assert spread.answer(asked) == whole.answer(asked)
