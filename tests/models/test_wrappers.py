"""What stands around a model passes on what the model says of itself, and takes no object for another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_llminvariance import Presentation, Question, controls
from pytest_llminvariance.checks.subject import debiased, repeated, symmetrized
from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.embedders import as_embedder
from pytest_llminvariance.models.judges import as_judge
from pytest_llminvariance.models.protocol import Capability, LabelReply, LabelRequest, Model, Reply, Request, declared
from pytest_llminvariance.models.sorting_proxy import sorting_proxy

BANK = [Question(f"stem {n}?", ["a", "b"], id=f"q{n}") for n in range(3)]
ASKED = LabelRequest(Presentation(BANK[0]))
WRAPPERS: list[Callable[[Model], Model]] = [
    repeated, symmetrized, sorting_proxy, lambda model: debiased(model, BANK),
]  # fmt: skip


class Listing:
    """A server that lists its likeliest tokens only: .25 of all probability is open."""

    name, fingerprint = "listing", "listing"
    capabilities: frozenset[Capability] = frozenset({"label"})

    def __init__(self, **says: object) -> None:
        vars(self).update(says)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [LabelReply((-1.0, -2.0), "s", unlisted=0.25) for _ in requests]


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_what_a_server_did_not_list_stays_open(wrap: Callable[[Model], Model]) -> None:
    (reply,) = wrap(Listing()).answer([ASKED])
    assert isinstance(reply, LabelReply)
    assert reply.unlisted == pytest.approx(0.25)


@pytest.mark.parametrize("says", [True, False, "rounding"])
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_what_a_model_declares_is_declared(wrap: Callable[[Model], Model], says: object) -> None:
    assert declared(wrap(Listing(deterministic=says))) == says


def test_a_proxy_before_a_model_that_loses_a_reply_names_it() -> None:
    model = Listing()
    model.answer = lambda requests: []  # type: ignore[method-assign] # a model that loses everything
    with pytest.raises(ModelError, match="listing gave 0 answers to 1 requests"):
        sorting_proxy(model).answer([ASKED])


class Many:
    """One object with several methods that can be asked."""

    def first(self, prompt: str, one: str, two: str) -> float:
        return 1.0

    def second(self, prompt: str, one: str, two: str) -> float:
        return 0.0

    def query(self, texts: list[str]) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]

    def document(self, texts: list[str]) -> list[list[float]]:
        return [[0.0, 1.0] for _ in texts]


@pytest.mark.parametrize(("make", "names"), [(as_judge, ("first", "second")), (as_embedder, ("query", "document"))])
def test_methods_and_objects_are_told_apart(make: Callable[[object], Any], names: tuple[str, str]) -> None:
    one, other = Many(), Many()
    made = [make(getattr(holder, name)) for holder in (one, other) for name in names]
    assert len(set(map(id, made))) == 4
    assert make(getattr(one, names[0])) is made[0]


def test_an_error_of_ours_inside_a_judge_stays_as_it_is() -> None:
    def judge(prompt: str, one: str, two: str) -> float:
        raise ModelError("the service is down")

    model: Any = as_judge(judge)
    with pytest.raises(ModelError, match=r"^the service is down$"):
        model.answer([ASKED])


def test_controls_are_what_they_were() -> None:
    assert declared(repeated(controls.oracle())) is True
