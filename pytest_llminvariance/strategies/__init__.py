"""Hypothesis strategies for presentations and questions; all shrink, part by part, towards the question as written.

Knows how to draw; asks nothing. Importing it takes the deadline off Hypothesis' current profile: a model answers
slowly the first time and at once when it remembers, which a deadline reports as flaky.
"""

from __future__ import annotations

from pytest_llminvariance.hypothesis_profile import default_without_deadline
from pytest_llminvariance.strategies.banks import instances, questions
from pytest_llminvariance.strategies.parts import labels, layouts, option_orders, output_formats, templates
from pytest_llminvariance.strategies.product import presentations
from pytest_llminvariance.strategies.texts import (
    distractors,
    few_shot_orders,
    groups,
    languages,
    paraphrases,
    surface_noise,
    user_opinions,
)

__all__ = [
    "distractors",
    "few_shot_orders",
    "groups",
    "instances",
    "labels",
    "languages",
    "layouts",
    "option_orders",
    "output_formats",
    "paraphrases",
    "presentations",
    "questions",
    "surface_noise",
    "templates",
    "user_opinions",
]

default_without_deadline()
