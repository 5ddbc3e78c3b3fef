"""How Hypothesis runs tests that ask a model: no deadline, and the same examples every time in CI.

Called by Hypothesis itself through its entry-point group, at the end of `import hypothesis`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

__all__ = ["PROFILE", "register", "without_deadline"]

PROFILE = "llminvariance"


def register() -> None:
    """Register the profile `llminvariance`: `--hypothesis-profile=llminvariance` or `settings.load_profile`."""
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        PROFILE,
        deadline=None,
        derandomize=bool(os.environ.get("CI")),
        suppress_health_check=[HealthCheck.too_slow],
    )


def without_deadline(items: Iterable[Any]) -> None:
    """Take the deadline off Hypothesis tests among pytest items that have no settings of their own.

    A model is slow when first asked and instant when it remembers, which a deadline takes for flakiness.
    Tests with `@settings(...)` of their own take it from the default profile, which `strategies` changes.
    """
    from hypothesis import is_hypothesis_test, settings

    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test) and not hasattr(test, "_hypothesis_internal_use_settings"):
            settings(deadline=None)(test)


def default_without_deadline() -> None:
    """Set the default profile's deadline to none, keeping everything else that is set."""
    from hypothesis import settings

    current = settings.get_current_profile_name()
    if settings.default is not None and settings.default.deadline is not None:
        settings.register_profile(current, parent=settings.default, deadline=None)
        settings.load_profile(current)
