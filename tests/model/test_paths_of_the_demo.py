"""The paths that the demo model is meant to take stay open, without a word of deprecation from the library."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from transformers.utils import logging as library

from pytest_llminvariance import Presentation, Question
from pytest_llminvariance.models.local.passes import PaddedPath, PrefixPath
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import LabelRequest, OptionRequest, TextRequest

pytestmark = pytest.mark.real_model


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the library warns of; it says a thing once a process, so its memory of that is emptied first."""
    library.warning_once.cache_clear()
    root = library.get_logger("transformers")
    root.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING, logger="transformers"):
        yield caplog
    root.removeHandler(caplog.handler)


def test_every_path_stays_open(
    demo_model: TransformersModel, facts: tuple[Question, ...], warned: pytest.LogCaptureFixture
) -> None:
    shown = [Presentation(facts[0], order=order) for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 2, 3))]
    scorer = demo_model._scorer
    demo_model.answer([kind(item) for kind in (LabelRequest, OptionRequest) for item in shown])
    asked, sent = demo_model.usage.asked_tokens, demo_model.usage.sent_tokens
    demo_model.answer([TextRequest(item, max_new_tokens=3) for item in shown])
    asked, sent = demo_model.usage.asked_tokens - asked, demo_model.usage.sent_tokens - sent
    assert 0 < sent < asked, "texts share their beginning"
    assert scorer.path.name == "prefix tree"
    assert scorer.closed == []
    for path in (PrefixPath(demo_model._live(), 0), PaddedPath(demo_model._live(), 0)):
        scorer._prove(path)
    said = [record.getMessage() for record in warned.records]
    assert [line for line in said if "deprecat" in line.lower() or "will be removed" in line.lower()] == []
