"""Simulated respondents of surveys with a planted truth: acquiescence, and priors of position and label on a grid."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from pytest_llminvariance import Item, Questionnaire, Scale, instrument
from pytest_llminvariance.checks.check import check
from pytest_llminvariance.checks.properties.places import PLACE_SETS
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question

FIVE = Scale(("strongly disagree", "disagree", "neutral", "agree", "strongly agree"), (1, 2, 3, 4, 5))
AGREEING = (0.0, 0.1, 0.25, 0.5)
PRIORS = (0.0, 0.25, 0.5, 1.0, 2.0)
"""Nats for the first position, or the first label."""
LIKED = 1.0
"""Standard deviation in nats of what a respondent likes of the options of a question."""

Numbers = tuple[float, float, float, float]
"""Truth, low, high, value."""


def acquiescence(seed: int) -> Numbers:
    """Each item is answered by content (trait level and noise, to whole points) or, with chance a, by the most agreeing option."""
    draw, a = random.Random(f"acquiescence {seed}"), AGREEING[seed % len(AGREEING)]
    items = tuple(
        Item(f"Statement {n}.", f"trait {n % 4}", reverse_keyed=n // 4 % 2 == 1, id=f"s{n}") for n in range(80)
    )
    level = [draw.uniform(2, 4) for _ in range(4)]
    said: dict[str, int] = {}
    truth = {True: 0.0, False: 0.0}
    for n, item in enumerate(items):
        centre = 6 - level[n % 4] if item.reverse_keyed else level[n % 4]
        by_content = [_near(centre, point) for point in range(1, 6)]
        chances = [(1 - a) * p + a * (place == 4) for place, p in enumerate(by_content)]
        said[item.stem] = draw.choices(range(5), chances)[0]
        mean = math.fsum(p * (place + 1) for place, p in enumerate(chances))
        truth[item.reverse_keyed] += (6 - mean if item.reverse_keyed else mean) / 40
    respondent = Control("respondent", lambda p: [float(content == said[p.question.stem]) for content in p.order])
    questionnaire = Questionnaire(items, FIVE, "made up")
    made = instrument(respondent, questionnaire, administrations=questionnaire.administrations()[:1], readout="text")
    row = made.rows("acceptance")[0]
    return truth[False] - truth[True], row["low"], row["high"], row["acquiescence"]


def _near(centre: float, point: int) -> float:
    """Chance that a normal score around `centre` is rounded to `point` of 1 to 5."""
    low, high = (-math.inf if point == 1 else point - 0.5), (math.inf if point == 5 else point + 0.5)
    return (math.erf((high - centre) / math.sqrt(2)) - math.erf((low - centre) / math.sqrt(2))) / 2


def position_prior(seed: int) -> Numbers:
    """The share of choices at the first position, of a respondent that adds b nats there."""
    return _places(seed, "position 1", lambda shown, b: [b * (place == 0) for place in range(3)])


def label_prior(seed: int) -> Numbers:
    """The share of choices under A, of a respondent that adds b nats to it."""
    return _places(seed, "label A (ABC)", lambda shown, b: [b * (label == "A") for label in shown.labels])


def _places(seed: int, name: str, bonus: Callable[[Presentation, float], Sequence[float]]) -> Numbers:
    """Ask 60 questions of three options; utilities are normal, so the truth is the chance that the favoured option is the best."""
    draw, b = random.Random(f"{name} {seed}"), PRIORS[seed % len(PRIORS)]
    questions = [Question(f"Question {n}?", [f"{letter}{n}" for letter in "abc"]) for n in range(60)]
    likes = {question.stem: [draw.gauss(0, LIKED) for _ in range(3)] for question in questions}

    def respond(shown: Presentation) -> Sequence[float]:
        liked = likes.get(shown.question.stem, [0.0, 0.0, 0.0])
        extra = bonus(shown, b)
        weights = [math.exp(liked[content] + more) for content, more in zip(shown.order, extra, strict=True)]
        return [weight / math.fsum(weights) for weight in weights]

    model = Control("respondent", respond)
    found = check("position_and_label", model, questions, tolerance=0.1, label_sets=PLACE_SETS[::2])
    row = found.details["estimates"][name]
    return first_wins(b), row["low"], row["high"], row["value"]


def first_wins(b: float) -> float:
    """Return the chance that the first of three normal utilities is the largest once b nats are added to it."""
    steps = 4_000
    total = 0.0
    for step in range(steps):
        x = -8 + 16 * (step + 0.5) / steps
        below = (1 + math.erf((x + b / LIKED) / math.sqrt(2))) / 2
        total += math.exp(-x * x / 2) / math.sqrt(2 * math.pi) * below**2 * 16 / steps
    return total
