"""Findings of reruns, of fixtures of wider scope, of several workers, and their ids."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from textwrap import dedent

import pytest

HEAD = """
import pytest
from pytest_llminvariance import ModelError, Question, assert_order_symmetric, check, controls

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]

class Gone:
    name, fingerprint, capabilities = "gone", "gone", frozenset({"label"})

    def answer(self, requests):
        raise ModelError("gone")
"""
KINDS = ("HOLDS ", "BROKEN ", "UNDECIDED ", "SEARCHED ", "ERROR  ")


def source(body: str) -> str:
    return HEAD + dedent(body)


def section(result: pytest.RunResult) -> list[str]:
    """Verdict and place of each line of the section."""
    lines = [line for line in result.outlines if line.startswith(KINDS) and line.endswith("]")]
    return sorted(f"{line.split()[0]} {line.rpartition('  [')[2][:-1]}" for line in lines)


def test_ids_are_unique_and_stable(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_runtest_logreport(report):
            if report.when == "call":
                for name, value in report.user_properties:
                    if name == "invariance_finding":
                        print("\\nFOUND", report.nodeid, __import__("json").loads(value)["id"])
        """
    )
    pytester.makepyfile(
        test_it=source(
            """
            @pytest.mark.parametrize("n", [1, 2])
            def test_order(n):
                for model in (controls.oracle(), controls.always_first(), controls.oracle()):
                    check("option_order", model, BANK, tolerance=0.1)
            """
        )
    )
    seen = []
    for flags in ([], [], ["-k", "2"]):
        lines = [line.split() for line in pytester.runpytest("-s", *flags).outlines if line.startswith("FOUND")]
        seen.append({tuple(line[1:]) for line in lines})
    assert len(seen[0]) == len({number for _, number in seen[0]}) == 6
    assert seen[1] == seen[0]
    assert seen[2] == {pair for pair in seen[0] if "[2]" in pair[0]}


def test_without_findings_nothing_is_written(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    pytester.makeconftest(
        """
        from pathlib import Path
        import tempfile

        def pytest_unconfigure():
            print("WRITTEN", list(Path(tempfile.gettempdir()).glob("pytest-llminvariance-*")))
        """
    )
    pytester.makepyfile("def test_nothing():\n    pass\n")
    pytester.runpytest_subprocess("-s", "--invariance-model=control:oracle").stdout.fnmatch_lines(["*WRITTEN [[]]"])


@pytest.mark.parametrize("flags", [[], ["-n2"]], ids=["alone", "two workers"])
@pytest.mark.parametrize(
    "end", ["os._exit(0)", "raise KeyboardInterrupt", "pytest.exit('enough')", "raise SystemExit(0)"]
)
def test_no_run_directory_is_left_and_no_session_is_green(
    end: str, flags: list[str], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    if end.startswith("os") and not flags:
        pytest.skip("nothing runs after os._exit in the only process")
    folder = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    text = source(
        """
        class Ends(Gone):
            def answer(self, requests):
                import os
                END

        def test_ends():
            check("option_order", controls.always_first(), BANK, tolerance=0.1)
            check("option_order", Ends(), BANK, tolerance=0.1)
        """
    )
    pytester.makepyfile(test_it=text.replace("END", end))
    result = pytester.runpytest_subprocess(*flags, "-p", "no:rerunfailures")
    assert result.ret not in (0, pytest.ExitCode.INTERNAL_ERROR)
    assert "BROKEN test_it.py::test_ends" in section(result)
    assert list(folder.glob("pytest-llminvariance-*")) == []


def test_a_rerun_that_breaks_is_broken(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=rerun("controls.oracle(), BANK); assert False", "controls.always_first(), BANK)"))
    assert section(pytester.runpytest("--reruns=1")) == ["BROKEN test_it.py::test_order"]


def test_an_error_of_an_earlier_attempt_is_not_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=rerun("Gone(), BANK)", "controls.oracle(), BANK)"))
    result = pytester.runpytest("--reruns=1")
    result.assert_outcomes(passed=1)
    assert section(result) == ["HOLDS test_it.py::test_order"]


def test_a_finding_of_an_earlier_attempt_is_not_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=rerun("controls.always_first(), BANK)", "Gone(), BANK)"))
    assert section(pytester.runpytest("--reruns=1")) == ["ERROR test_it.py::test_order"]


def rerun(first: str, second: str) -> str:
    return source(
        f"""
        attempts = []

        def test_order():
            attempts.append(1)
            if len(attempts) == 1:
                assert_order_symmetric({first}
            else:
                assert_order_symmetric({second}
        """
    )


def test_a_rerun_in_one_module_keeps_what_a_fixture_found_in_another(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        source(
            """
            models = [controls.oracle(), controls.always_first(), controls.oracle()]

            @pytest.fixture(scope="module")
            def finding():
                return assert_order_symmetric(models.pop(0), BANK)
            """
        )
    )
    pytester.makepyfile(test_a="def test_a(finding):\n    pass\n", test_b="def test_b(finding):\n    pass\n")
    result = pytester.runpytest("--reruns=1")
    result.assert_outcomes(passed=2)
    assert [line.split()[0] for line in section(result)] == ["HOLDS", "HOLDS"]


def with_session_fixture(pytester: pytest.Pytester, *, teardown: bool) -> None:
    check_line = 'check("option_order", controls.always_first(), BANK, tolerance=0.1)'
    pytester.makeconftest(
        source(
            f"""
            @pytest.fixture(scope="session")
            def finding():
                {"yield" if teardown else check_line}
                {check_line if teardown else "yield"}
            """
        )
    )
    pytester.makepyfile("def test_one(finding):\n    pass\n\ndef test_two(finding):\n    pass\n")


IN_FIXTURE = ["BROKEN .::finding (session fixture)"]


def test_a_check_in_a_session_fixture_is_in_no_test_of_junit(pytester: pytest.Pytester) -> None:
    with_session_fixture(pytester, teardown=False)
    assert section(pytester.runpytest("--junitxml=out.xml")) == IN_FIXTURE
    assert list(ET.parse(pytester.path / "out.xml").getroot().iter("property")) == []


def test_a_check_in_a_session_fixtures_teardown_belongs_to_the_fixture(pytester: pytest.Pytester) -> None:
    with_session_fixture(pytester, teardown=True)
    assert section(pytester.runpytest("--junitxml=out.xml")) == IN_FIXTURE
    assert list(ET.parse(pytester.path / "out.xml").getroot().iter("property")) == []


def test_a_check_in_a_session_fixture_is_listed_once_with_two_workers(pytester: pytest.Pytester) -> None:
    with_session_fixture(pytester, teardown=False)
    assert section(pytester.runpytest_subprocess("-n2")) == IN_FIXTURE


INDIRECT = """
@pytest.fixture(scope="module")
def finding(request):
    return check("option_order", controls.control(request.param), BANK, tolerance=0.1)
"""


@pytest.mark.parametrize("names", [("always_first", "oracle"), ("oracle", "always_first")])
def test_indirect_parameters_have_findings_of_their_own(names: tuple[str, str], pytester: pytest.Pytester) -> None:
    pytester.makeconftest(source(INDIRECT))
    tests = [
        f"@pytest.mark.parametrize('finding', ['{name}'], indirect=True)\ndef test_{n}(finding):\n    pass\n"
        for n, name in enumerate(names)
    ]
    pytester.makepyfile("import pytest\n\n" + "\n".join(tests))
    assert [line.split()[0] for line in section(pytester.runpytest())] == ["BROKEN", "HOLDS"]


PARAMETERS = """
@pytest.fixture(scope="session", params=["always_first", "oracle"])
def finding(request):
    check("option_order", controls.control(request.param), BANK, tolerance=0.1)
"""
MODULES = """
@pytest.fixture(scope="module")
def finding(request):
    name = {"test_a": "always_first", "test_b": "oracle"}[request.node.path.stem]
    check("option_order", controls.control(name), BANK, tolerance=0.1)
"""


@pytest.mark.parametrize(("fixture", "files"), [(PARAMETERS, "a"), (MODULES, "ab")], ids=["parameters", "modules"])
def test_different_findings_of_a_fixture_in_two_workers_are_all_kept(
    fixture: str, files: str, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(source(fixture))
    for name in files:
        pytester.makepyfile(**{f"test_{name}": "def test_one(finding):\n    pass\n"})
    dist = "load" if files == "a" else "loadfile"
    assert [line.split()[0] for line in section(pytester.runpytest())] == ["BROKEN", "HOLDS"]
    both = section(pytester.runpytest_subprocess("-n2", f"--dist={dist}"))
    assert [line.split()[0] for line in both] == ["BROKEN", "HOLDS"]


@pytest.mark.parametrize("broken", ["gw0", "gw1"])
def test_where_workers_differ_in_one_fixture_the_worse_counts(broken: str, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        source(
            f"""
            import os

            @pytest.fixture(scope="session")
            def finding():
                name = "always_first" if os.environ["PYTEST_XDIST_WORKER"] == "{broken}" else "oracle"
                check("option_order", controls.control(name), BANK, tolerance=0.1)
            """
        )
    )
    pytester.makepyfile("def test_one(finding):\n    pass\n\ndef test_two(finding):\n    pass\n")
    assert section(pytester.runpytest_subprocess("-n2")) == IN_FIXTURE


def test_a_check_that_ends_in_an_error_is_no_lost_check(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=source(
            """
            def test_expected():
                with pytest.raises(ModelError):
                    check("option_order", Gone(), BANK, tolerance=0.1)
            """
        )
    )
    result = pytester.runpytest()
    assert result.ret == 0
    assert section(result) == ["ERROR test_it.py::test_expected"]
    assert "did not finish" not in result.stdout.str()


def test_the_line_of_an_error_names_the_property(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=source("def test_it():\n    assert_order_symmetric(Gone(), BANK)\n"))
    pytester.runpytest().stdout.fnmatch_lines(["ERROR     option order: ModelError: gone  [[]test_it.py::test_it]"])
