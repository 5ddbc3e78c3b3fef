"""Hypothesis strategies for presentations and questions; all shrink towards the question as written.

Importing this module takes the deadline off Hypothesis' current profile: a model answers slowly the first
time and at once when it remembers, which a deadline reports as flaky.

What is drawn shrinks part by part. A part that need not be changed goes back to what is written, and an order goes
back by adjacent swaps. That ends in the least change for one fault at a time; where several faults are in
reach, `find_counterexample` searches in order of size and Hypothesis does not.
"""

from __future__ import annotations

from pytest_llminvariance.hypothesis_profile import default_without_deadline
from pytest_llminvariance.strategies.banks import instances, questions
from pytest_llminvariance.strategies.parts import labels, layouts, option_orders, templates
from pytest_llminvariance.strategies.product import presentations
from pytest_llminvariance.strategies.texts import (
    distractors,
    few_shot_orders,
    groups,
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
    "layouts",
    "option_orders",
    "paraphrases",
    "presentations",
    "questions",
    "surface_noise",
    "templates",
    "user_opinions",
]

default_without_deadline()
