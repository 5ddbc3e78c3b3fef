"""A suite that does not use the plugin loads next to nothing through it."""

from __future__ import annotations

import sys

import pytest

LIST_MODULES = """
    import sys

    def pytest_unconfigure():
        with open({name!r}, "w") as file:
            file.write("\\n".join(sys.modules))
"""
LIGHT = {
    f"pytest_llminvariance{name}"
    for name in (
        "",
        ".checks",
        ".checks.run",
        ".errors",
        ".files",
        ".models",
        ".models.load_settings",
        ".plugin",
        ".plugin.options",
        ".plugin.places",
        ".plugin.scopes",
        ".plugin.session",
        ".plugin.written",
        ".records",
        ".records.events",
    )
}
HEAVY = {"numpy", "scipy", "torch", "transformers", "hypothesis", "tqdm", "typer"}


def modules_of(pytester: pytest.Pytester, name: str, *flags: str) -> set[str]:
    pytester.makeconftest(LIST_MODULES.format(name=name))
    pytester.makepyfile(test_nothing="def test_nothing():\n    pass\n")
    # Hypothesis has a plugin of its own; here only ours may bring something
    pytester.runpytest_subprocess("-p", "no:hypothesispytest", *flags).assert_outcomes(passed=1)
    return set((pytester.path / name).read_text().split())


def test_an_unrelated_suite_loads_a_few_light_modules_more(pytester: pytest.Pytester) -> None:
    with_plugin = modules_of(pytester, "with")
    without = modules_of(pytester, "without", "-p", "no:llminvariance")
    assert with_plugin - without == LIGHT
    assert not {name.partition(".")[0] for name in with_plugin} & {"torch", "transformers", "scipy"}


def loaded(pytester: pytest.Pytester, statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    return set(pytester.run(sys.executable, "-c", code).outlines[-1].split())


def test_importing_the_package_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    names = loaded(pytester, "import pytest_llminvariance")
    assert {name for name in names if name.startswith("pytest_llminvariance")} == {"pytest_llminvariance"}
    assert not {name.partition(".")[0] for name in names} & HEAVY


def test_questions_need_nothing_heavy(pytester: pytest.Pytester) -> None:
    names = loaded(pytester, "from pytest_llminvariance import Question, Presentation, controls, load_questions")
    assert not {name.partition(".")[0] for name in names} & HEAVY


def test_importing_hypothesis_brings_two_light_modules(pytester: pytest.Pytester) -> None:
    names = loaded(pytester, "import hypothesis")
    assert {name for name in names if name.startswith("pytest_llminvariance")} == {
        "pytest_llminvariance",
        "pytest_llminvariance.hypothesis_profile",
    }
    assert not {name.partition(".")[0] for name in names} & {"torch", "transformers", "scipy"}
