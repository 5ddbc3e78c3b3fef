"""What asking would cost, told to a session that only plans (`--invariance-plan`), which ends the test there: nothing is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from pytest_llminvariance.checks.run import Run, current_run
from pytest_llminvariance.models.protocol import Request, TextRequest
from pytest_llminvariance.transforms.edits import origin_of

Kind = Literal["search", "comparison", "description"]
"""What comes of what is no check of a property: nothing but BROKEN, a pass or a failure, or numbers alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One check, planned and not asked."""

    title: str
    metric: str
    tolerance: float
    questions: int
    presentations: int
    prompt_tokens: int
    """Of all planned prompts, those of the responsiveness guard among them."""
    sent_tokens: int
    """What the engine would send at most, every shared beginning once a pass: all planned prompts, every foreign stem, and what
    is asked again for noise and drift. Of more than 100 questions so many are counted, and scaled."""
    alpha: float
    method: str
    """`exhaustive`: everything is asked; `sequential`: asking stops when it is decided; else a `Kind`."""
    expected_tokens: Mapping[str, int]
    """By effect: what would be sent on average."""
    trouble: str | None = None
    """Why no verdict can come of it."""
    seconds: float | None = None
    """About how long `sent_tokens` take on this machine; `None` where the model cannot say."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**dataclasses.asdict(self), "expected_tokens": dict(self.expected_tokens)}


def announce(run: Run, found: Estimate) -> NoReturn:
    """Hand the estimate to the session, which ends the test there."""
    assert run.on_plan is not None  # noqa: S101 - the caller looked
    run.on_plan(found.to_json())
    raise AssertionError("on_plan must not return")


def announce_asking(title: str, kind: Kind, *asked: tuple[Any, Sequence[Request]]) -> None:
    """Where the session only plans, tell it what asking each model its requests would cost; else do nothing."""
    run = current_run.get()
    if run.on_plan is None:
        return
    counts = [tokens_of(model, requests) for model, requests in asked]
    seconds = [seconds_of(model, sent) for (model, _), (_, sent) in zip(asked, counts, strict=True)]
    announce(
        run,
        Estimate(
            title=title, metric="", tolerance=0.0, method=kind, alpha=0.0, expected_tokens={},
            questions=len({origin_of(one.presentation.question) for _, requests in asked for one in requests}),
            presentations=sum(len(requests) for _, requests in asked),
            prompt_tokens=sum(prompt for prompt, _ in counts), sent_tokens=sum(sent for _, sent in counts),
            seconds=None if None in seconds else sum(one for one in seconds if one is not None),
        ),
    )  # fmt: skip


def seconds_of(model: Any, tokens: int) -> float | None:
    """Return about how long so many tokens take; `None` where the model cannot say."""
    say = getattr(model, "planned_seconds", None)
    return None if say is None else float(say(tokens))


def tokens_of(model: Any, requests: Sequence[Request]) -> tuple[int, int]:
    """Return tokens of all prompts, and those that would be sent: the model's own count, or words."""
    count = getattr(model, "planned_tokens", None)
    if count is not None:
        prompt, sent = count(requests)
        return int(prompt), int(sent)
    words = sum(len(message.content.split()) for request in requests for message in request.messages)
    words += sum(request.max_new_tokens for request in requests if isinstance(request, TextRequest))
    return words, words
