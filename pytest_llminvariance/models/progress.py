"""A progress bar for a terminal: questions done, tokens a second, tokens saved, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_llminvariance.models.engine import Step


def rate_words(sent_tokens: int, prompt_tokens: int, seconds: float) -> str:
    """Return tokens a second, and the share of prompt tokens that did not have to be sent."""
    words = f"{sent_tokens / max(seconds, 1e-9):,.0f} tokens/s"
    saved = 1 - sent_tokens / prompt_tokens if prompt_tokens else 0.0
    return f"{words}, {saved:.0%} saved" if saved >= 0.005 else words


def progress_bar(title: str) -> Callable[[Step], None] | None:
    """Return a function that shows progress, or `None` where nobody looks."""
    if not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    bar, began = tqdm(desc=title, unit="question", leave=False), time.monotonic()

    def show(step: Step) -> None:
        bar.total = step.questions_total
        bar.set_postfix_str(rate_words(step.sent_tokens, step.prompt_tokens, time.monotonic() - began), refresh=False)
        bar.update(step.questions - bar.n)
        if step.questions >= step.questions_total:
            bar.close()

    return show
