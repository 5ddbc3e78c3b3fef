"""How Hypothesis runs tests that ask a model: no deadline, and the same examples every time in CI.

Called by Hypothesis itself through its entry-point group, at the end of `import hypothesis`.
"""

from __future__ import annotations

import datetime
import inspect
import os
from collections.abc import Collection, Iterable
from typing import Any

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


def fit_settings(items: Iterable[Any], fixtures: Collection[str]) -> None:
    """Take the deadline and the check for slow draws off Hypothesis tests among pytest items.

    A model is slow when first asked and instant when it remembers, which a deadline takes for flakiness. A deadline
    that the user chose for the test stays; one that equals the default counts as not chosen. `@settings(...)` cannot
    be applied twice, so the settings that `@given` left on the test are replaced.

    A function-scoped fixture that only passes on one of `fixtures` is as good as theirs, which live as long as the
    session; Hypothesis' check for others stays.
    """
    from hypothesis import HealthCheck, is_hypothesis_test, settings

    usual = {HYPOTHESIS_DEADLINE, settings.default.deadline if settings.default else None}
    for item in items:
        test = getattr(item, "obj", None)
        if not is_hypothesis_test(test):
            continue
        function: Any = getattr(test, "__func__", test)
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if own is not None:
            harmless = {HealthCheck.too_slow}
            if _only_passes_on(item, fixtures):
                harmless.add(HealthCheck.function_scoped_fixture)
            function._hypothesis_internal_use_settings = settings(
                own,
                deadline=None if own.deadline in usual else own.deadline,
                suppress_health_check=[*{*own.suppress_health_check, *harmless}],
            )


def _only_passes_on(item: Any, fixtures: Collection[str]) -> bool:
    """Return whether every function-scoped fixture that the test names is another name for one of `fixtures`."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})

    def is_alias(name: str, above: tuple[str, ...] = ()) -> bool:
        if name in fixtures:
            return True
        if name in above or not known.get(name):
            return False
        fixture = known[name][-1]
        needs = fixture.argnames
        plain = not inspect.isgeneratorfunction(fixture.func) and not fixture.params
        return plain and bool(needs) and all(is_alias(need, (*above, name)) for need in needs)

    named = inspect.signature(item.obj).parameters
    return all(is_alias(name) for name in named if name in known and known[name][-1].scope == "function")


def default_without_deadline() -> None:
    """Set the default profile's deadline to none, keeping everything else that is set."""
    from hypothesis import settings

    current = settings.get_current_profile_name()
    if settings.default is not None and settings.default.deadline is not None:
        settings.register_profile(current, parent=settings.default, deadline=None)
        settings.load_profile(current)
