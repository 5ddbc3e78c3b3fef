"""How Hypothesis runs tests that ask a model: no deadline, and the same examples every time in CI.

Called by Hypothesis itself through its entry-point group, at the end of `import hypothesis`.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable
from typing import Any

__all__ = ["PROFILE", "register", "without_deadline"]

PROFILE = "llminvariance"
HYPOTHESIS_DEADLINE = datetime.timedelta(milliseconds=200)
"""What Hypothesis sets where nobody chose."""


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
    """Take the deadline off Hypothesis tests among pytest items, unless the user chose one for the test.

    A model is slow when first asked and instant when it remembers, which a deadline takes for flakiness.
    `@settings(...)` cannot be applied twice, so the settings that `@given` left on the test are replaced.
    A deadline that equals the default counts as not chosen.
    """
    from hypothesis import is_hypothesis_test, settings

    usual = {HYPOTHESIS_DEADLINE, settings.default.deadline if settings.default else None}
    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test):
            function: Any = getattr(test, "__func__", test)
            own = getattr(function, "_hypothesis_internal_use_settings", None)
            if own is not None and own.deadline in usual:
                function._hypothesis_internal_use_settings = settings(own, deadline=None)


def default_without_deadline() -> None:
    """Set the default profile's deadline to none, keeping everything else that is set."""
    from hypothesis import settings

    current = settings.get_current_profile_name()
    if settings.default is not None and settings.default.deadline is not None:
        settings.register_profile(current, parent=settings.default, deadline=None)
        settings.load_profile(current)
