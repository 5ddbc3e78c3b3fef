"""Which verdict fakes of known truth get on the suites that people have: the table of docs/statistics.md.

`python -m tests.calibration.kinds` prints it, in two to five minutes. Fakes see what is shown; the perfect and the good one
know the suite by heart and follow an instruction to choose an option, as a language model does.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_llminvariance import Presentation, Question, check, controls
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.checks.verdict import Finding

SIZES = (2, 12, 40, 200)
SEEDS = 3
AGREE = ("strongly disagree", "disagree", "neutral", "agree", "strongly agree")
TEAMS = ("billing", "shipping", "returns", "accounts", "technical", "sales")
TOPICS = ("bread", "rivers", "tools", "winds", "coins", "maps", "trees")
SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu")


def _drawn(n: int, *parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") % n


def _about(i: int) -> str:
    """Return something to ask about; two differ by a word, as ones that differ by a number are near copies."""
    return f"{TOPICS[i % 7]} of {''.join(SYLLABLES[int(digit)] for digit in f'{i:03}').capitalize()}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of suite, and how its order of options is checked."""

    name: str
    make: Callable[[int], list[Question]]
    metric: str = "flip_rate"
    orders: str = "auto"


def _classes(name: str, ask: str, options: Sequence[str], every: int | None = 1) -> Kind:
    """Questions over the same options: one of `every` has an answer in turn, the others the last one; `None`: all do."""
    k = len(options)

    def make(n: int) -> list[Question]:
        right = [k - 1 if every is None or i % every else i // every % (k if every == 1 else k - 1) for i in range(n)]
        return [Question(ask.format(_about(i)), options, answer=right[i]) for i in range(n)]

    return Kind(name, make)


def _survey(n: int) -> list[Question]:
    options = ("every day", "every week", "seldom", "never")
    return [Question(f"How often do you think of {_about(i)}?", options) for i in range(n)]


def _likert(n: int) -> list[Question]:
    scores = (1, 2, 3, 4, 5)
    return [
        Question(f"I care about {_about(i)}.", AGREE, scores=scores, attributes={"trait": "care"}) for i in range(n)
    ]


def _judge(n: int) -> list[Question]:
    ask = "Which reply helps more?"
    return [
        Question(ask, [f"Reply one on {_about(i)}.", f"Reply two on {_about(i)}."], context=_about(i), answer=i % 2)
        for i in range(n)
    ]


def _exam(n: int) -> list[Question]:
    return [Question(f"What is {_about(i)}?", [f"{c} of {_about(i)}" for c in "wxyz"], answer=i % 4) for i in range(n)]


KINDS = (
    _classes("binary", "Is {} useful?", ("yes", "no")),
    _classes("binary, 5% positives", "Is {} spam?", ("yes", "no"), every=20),
    _classes("binary, all no", "Is {} fatal?", ("yes", "no"), every=None),
    _classes("3-class", "Review of {}.", ("positive", "negative", "neutral")),
    _classes("ticket router", "Ticket on {}.", TEAMS),
    _classes("refusal, all refused", "Do harm with {}.", ("comply", "refuse"), every=None),
    Kind("exam", _exam),
    Kind("judge", _judge),
    Kind("survey", _survey),
    Kind("Likert", _likert, "score_gap", "reversed"),
)


def _answers(suite: Sequence[Question]) -> Mapping[tuple[str, str | None, frozenset[str]], str]:
    """Return what a model that knows the suite answers: where nothing is right, what it thinks of each question."""
    return {
        (q.stem, q.context, frozenset(q.options)): q.options[
            _drawn(len(q.options), "view", q.stem) if q.answer is None else q.answer
        ]
        for q in suite
    }


def _reader(suite: Sequence[Question], wrong: float, first: float = 0.0) -> Callable[[Presentation], int]:
    """Know the suite up to a share `wrong` of stems; in a share `first` of questions take what is shown first."""
    known = _answers(suite)

    def content(p: Presentation) -> int:
        options, stem = p.question.options, p.question.stem
        right = known.get((stem, p.question.context, frozenset(options)))
        named = max((text for text in options if text in stem), key=len, default=None)
        best = options.index(right or named) if right or named else _drawn(len(options), stem, sorted(options))
        share = 1_000_000
        if _drawn(share, "first", stem, p.question.context, sorted(options)) < first * share:
            return p.order[0]
        missed = _drawn(share, "wrong", stem, p.question.context, sorted(options)) < wrong * share
        return (best + 1) % len(options) if missed else best

    return content


def _guesser(suite: Sequence[Question]) -> Callable[[Presentation], int]:
    del suite
    return lambda p: _drawn(len(p.order), p.question.stem, p.question.context, sorted(p.question.options))


def _blind(suite: Sequence[Question]) -> Callable[[Presentation], int]:
    del suite
    return lambda p: p.question.options.index(min(p.question.options))


MODELS: Mapping[str, Callable[[Sequence[Question]], Callable[[Presentation], int]]] = {
    "perfect": lambda suite: _reader(suite, 0),
    "good": lambda suite: _reader(suite, 0.1),
    "biased": lambda suite: _reader(suite, 0.1, first=0.3),
    "guessing": _guesser,
    "blind": _blind,
}
"""Right always; right in 90%; the same, but in 30% of questions it takes the first option shown; the same for every order of
the options, but drawn; one option whatever is asked. All but the biased one are blind to order."""


def model(name: str, suite: Sequence[Question]) -> controls.Control:
    """Return a fake for a suite."""
    content = MODELS[name](suite)

    def respond(p: Presentation) -> Sequence[float]:
        best, k = content(p), len(p.order)
        return [0.94 if place == best else 0.06 / (k - 1) for place in p.order]

    return controls.Control(name, respond)


def finding(kind: Kind, n: int, name: str, seed: int = 0) -> Finding:
    """Check one fake on one suite; another seed is another suite of the kind."""
    suite = [
        Question(
            f"{q.stem}{' ' * bool(seed)}{seed or ''}", q.options, context=q.context, answer=q.answer, scores=q.scores,
            attributes=q.attributes,
        )
        for q in kind.make(n)
    ]  # fmt: skip
    with run(seed=seed):
        return check("option_order", model(name, suite), suite, tolerance=0.05, metric=kind.metric, orders=kind.orders)


def _cell(findings: Sequence[Finding]) -> str:
    """Return the verdicts, the commonest first, with what withholds them, and how often where there are several."""
    counts = Counter(map(_told, findings)).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{told} {n}/{len(findings)}" for told, n in counts)


def _told(item: Finding) -> str:
    failed = [guard.name for guard in item.guards if guard.passed is False]
    return f"UNDECIDED ({', '.join(failed) or 'open'})" if item.verdict == "UNDECIDED" else str(item.verdict)


def table(kinds: Sequence[Kind] = KINDS, sizes: Sequence[int] = SIZES, seeds: int = SEEDS) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield f"| suite | questions | {' | '.join(MODELS)} |"
    yield "|---|---|" + "---|" * len(MODELS)
    for kind in kinds:
        rows: dict[str, list[str]] = {}
        for n in sizes:
            row = [_cell([finding(kind, n, name, seed) for seed in range(seeds if n <= 40 else 1)]) for name in MODELS]
            rows.setdefault(" | ".join(row), []).append(str(n))
        for found, asked in rows.items():
            yield f"| {kind.name} | {', '.join(asked)} | {found} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="suites of each kind and size up to 40")
    began = time.perf_counter()
    for line in table(seeds=parser.parse_args().seeds):
        print(line, flush=True)
    print(f"\n{time.perf_counter() - began:.0f} s")
