"""Simulated respondents with a planted truth: how often a check's interval holds it. `python -m tests.calibration.planted`."""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.checks.check import check
from pytest_llminvariance.checks.properties.evidence_order import CHUNKS
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.checks.verdict import Finding
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.conversation import Said
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from tests.calibration import planted_surveys

NEEDED = 0.95
"""Share of respondents whose truth must lie within its interval; the intervals say 99%."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One simulated respondent: what the check found of it, and the truth."""

    truth: float
    low: float
    high: float
    value: float

    @property
    def is_covered(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.truth <= self.high


def _planted(truth: float, finding: Finding, name: str) -> Planted:
    row = finding.details["estimates"][name]
    return Planted(truth, row["low"], row["high"], row["value"])


def _yes(share: Callable[[Presentation], float], name: str) -> Control:
    def respond(p: Presentation) -> Sequence[float]:
        value = min(1.0, max(0.0, share(p)))
        return [value if content == 0 else 1 - value for content in p.order]

    return Control(name, respond)


def dispersion_slope(seed: int) -> Planted:
    """q is 0.5 plus or minus d over even and odd orders of n pieces, with d = a + b ln n and noise that grows with n."""
    draw = random.Random(seed)
    a, b = draw.uniform(0.03, 0.08), draw.uniform(0.0, 0.1)
    rows, gaps = [], {}
    for number in range(45):
        n = 2 + number % 3
        chunks = [f"{number}.{piece}" for piece in range(n)]
        rows.append(Question(f"Claim {number}?", ("yes", "no"), id=str(number), attributes={CHUNKS: chunks}))
        gaps[f"Claim {number}?"] = a + b * math.log(n) + draw.uniform(-0.01, 0.01) * n

    def share(p: Presentation) -> float:
        pieces = (p.question.context or "").split("\n")
        odd = sum(one > two for at, one in enumerate(pieces) for two in pieces[at + 1 :]) % 2
        return 0.5 + gaps.get(p.question.stem, 0.1) * (1 - 2 * odd)

    found = check("evidence_order", _yes(share, f"slope-{seed}"), rows, tolerance=0.05)
    return _planted(b, found, "b (a + b ln n)")


def length_bias(seed: int) -> Planted:
    """P(first) is a half plus quality, and a shift towards the longer one that differs by pair around its mean."""
    draw = random.Random(seed)
    mean = draw.uniform(-0.1, 0.2)
    pairs = [(f"Request {number}", f"Answer one of {number}.", f"Answer two of {number}.") for number in range(30)]
    shifts = {prompt: mean + draw.gauss(0, 0.05) for prompt, *_ in pairs}
    worth = {prompt: draw.uniform(-0.1, 0.1) for prompt, *_ in pairs}

    def judge(prompt: str, first: str, second: str) -> float:
        longer = ("In other words" in first) - ("In other words" in second)
        return min(1.0, max(0.0, 0.5 + worth[prompt] * (1 if "one" in first else -1) + shifts[prompt] * longer))

    return _planted(mean, check("judge", judge, pairs, tolerance=0.05), "length")


def group_gap(seed: int) -> Planted:
    """The logit of yes has an effect of the template, of the scenario and of the second group; the last differs by template."""
    draw = random.Random(seed)
    mean = draw.uniform(-0.5, 0.5)
    templates = [(draw.gauss(0, 1), mean + draw.gauss(0, 0.2)) for _ in range(15)]
    rows = [
        Question(f"Anna, case {t}-{n}?", ("yes", "no"), id=f"{t}-{n}", attributes={"cluster": str(t)})
        for t in range(len(templates))
        for n in range(4)
    ]
    noise = {f"{t}-{n}": draw.gauss(0, 0.1) for t in range(len(templates)) for n in range(4)}

    def share(p: Presentation) -> float:
        case = p.question.stem.partition("case ")[2].removesuffix("?")
        base, gap = templates[int(case.partition("-")[0])] if case else (0.0, 0.0)
        return 1 / (1 + math.exp(-base - ("Bela" in p.question.stem) * (gap + noise.get(case, 0.0))))

    found = check("groups", _yes(share, f"groups-{seed}"), rows, tolerance=0.05, groups=("Anna", "Bela"))
    return _planted(mean, found, "Bela over Anna")


def firmness(seed: int) -> Planted:
    """A right answer falls in each round with a fixed chance, question by question, for good."""
    draw = random.Random(seed)
    hazard = draw.uniform(0.05, 0.6)
    rows = [Question(f"Number {number}?", ("a", "b", "c"), id=str(number), answer=number % 3) for number in range(60)]
    falls = {}
    for question in rows:
        falls[question.stem] = next((r for r in (1, 2, 3) if draw.random() < hazard), 4)

    def respond(p: Presentation) -> Sequence[float]:
        said = [turn for turn in p.turns if isinstance(turn, Said)]
        fell = bool(said) and said[0].content == p.question.answer and len(said) >= falls[p.question.stem]
        best = (p.question.answer or 0) if not fell else ((p.question.answer or 0) + 1) % 3
        return [0.9 if content == best else 0.05 for content in p.order]

    weights = (1.0, 0.5, 0.25)
    truth = sum((1 - (1 - hazard) ** (r + 1)) * w for r, w in enumerate(weights)) / sum(weights)
    return _planted(truth, check("firmness", Control(f"falls-{seed}", respond), rows, tolerance=0.05), "giving in")


RESPONDENTS: dict[str, Callable[[int], Planted]] = {
    "dispersion slope b": dispersion_slope,
    "length bias of a judge": length_bias,
    "group gap in nats": group_gap,
    "giving in under challenge": firmness,
    "acquiescence in points": lambda seed: Planted(*planted_surveys.acquiescence(seed)),
    "position prior": lambda seed: Planted(*planted_surveys.position_prior(seed)),
    "label prior": lambda seed: Planted(*planted_surveys.label_prior(seed)),
}


def simulate(name: str, n: int) -> list[Planted]:
    """Return what was found of `n` respondents."""
    with run():
        return [RESPONDENTS[name](seed) for seed in range(n)]


def main(arguments: Any = None) -> int:
    """Print coverage, mean error and width; fail where the truth is held too rarely."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--respondents", type=int, default=200)
    parser.add_argument("--only", default="", help="those whose name holds this word")
    told = parser.parse_args(arguments)
    n, good = told.respondents, True
    print(f"{'planted':<28}{'held':>12}{'mean error':>12}{'mean width':>12}{'seconds':>9}")
    for name in (name for name in RESPONDENTS if told.only in name):
        began = time.perf_counter()
        found = simulate(name, n)
        held = sum(one.is_covered for one in found)
        error = sum(one.value - one.truth for one in found) / n
        width = sum(one.high - one.low for one in found) / n
        good &= held >= NEEDED * n
        print(f"{name:<28}{f'{held} of {n}':>12}{error:>12.4f}{width:>12.3f}{time.perf_counter() - began:>9.0f}")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
