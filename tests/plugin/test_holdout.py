"""Questions that are set aside stay out until they are asked for, and every opening is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_llminvariance import Question, UsageError
from pytest_llminvariance.checks.holdout import new_holdout, read_holdout

SUITE = """
    from pytest_llminvariance import Question, check

    BANK = [Question(f"Which is number {i}?", [f"a{i}", f"b{i}"], answer=i % 2) for i in range(200)]

    def test_it(invariance_model):
        found = check("option_order", invariance_model, BANK, tolerance=0.05)
        print("ASKED", sorted(int(part.question.split()[-1][:-1]) for part in found.per_question))

    def test_small(invariance_model):
        found = check("option_order", invariance_model, BANK[:19], tolerance=0.05)
        print("SMALL", found.questions_asked)
"""
MODEL = "--invariance-model=control:oracle"


def asked(result: pytest.RunResult) -> set[int]:
    line = next(line for line in result.outlines if "ASKED" in line)
    return set(json.loads(line[line.index("[") :]))


def test_the_slice_stays_out_until_it_is_opened(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    made = pytester.run("llminvariance", "holdout", "--share", "0.3")
    assert made.ret == 0
    closed = pytester.runpytest(MODEL, "-s")
    closed.stdout.fnmatch_lines(
        ["*SMALL 19*", "hold-out: 30% of the questions of larger suites are left out (opened 0 times so far)"]
    )
    opened = pytester.runpytest(MODEL, "-s", "--invariance-holdout")
    opened.stdout.fnmatch_lines(["hold-out: open, once so far; commit invariance-holdout.json"])
    assert asked(closed) | asked(opened) == set(range(200))
    assert not asked(closed) & asked(opened)
    assert 35 <= len(asked(opened)) <= 85
    pytester.runpytest(MODEL, "--invariance-holdout").stdout.fnmatch_lines(["hold-out: open, 2 times so far*"])
    openings = json.loads((pytester.path / "invariance-holdout.json").read_text())["openings"]
    assert [entry["fingerprint"] for entry in openings] == ["control:oracle"] * 2


def test_workers_count_one_opening(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE, test_other=SUITE)
    pytester.run("llminvariance", "holdout")
    pytester.runpytest_subprocess(MODEL, "--invariance-holdout", "-n2").stdout.fnmatch_lines(
        ["hold-out: open, once so far*"]
    )


def test_there_is_only_one_file_and_it_is_not_overwritten(pytester: pytest.Pytester) -> None:
    assert pytester.run("llminvariance", "holdout").ret == 0
    again = pytester.run("llminvariance", "holdout")
    assert again.ret == 2
    assert "its openings count" in again.stderr.str()


def test_clusters_go_together(tmp_path: Path) -> None:
    held = new_holdout(tmp_path / "h.json", 0.5, "salt")
    bank = [Question(f"Q{i}?", ["a", "b"], attributes={"cluster": i // 5}) for i in range(100)]
    for start in range(0, 100, 5):
        assert len({held.holds(question) for question in bank[start : start + 5]}) == 1
    assert 20 < sum(map(held.holds, bank)) < 80


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "schema_version must be 1"),
        ('{"schema_version": 1, "share": 2, "salt": "x", "openings": []}', "must be between 0 and 1"),
        ('{"schema_version": 1, "share": 0.2, "salt": "", "openings": []}', "needs a salt"),
    ],
)
def test_a_bad_file_is_named(pytester: pytest.Pytester, text: str, words: str) -> None:
    pytester.makepyfile(test_it=SUITE)
    (pytester.path / "invariance-holdout.json").write_text(text)
    result = pytester.runpytest(MODEL)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in "\n".join(result.outlines + result.errlines)


def test_opening_without_a_file_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    result = pytester.runpytest(MODEL, "--invariance-holdout")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_an_empty_slice_is_an_error(tmp_path: Path) -> None:
    new_holdout(tmp_path / "h.json", 1e-9, "salt")
    held = read_holdout(tmp_path / "h.json", is_open=True, session="s", today="2026-01-01")
    with pytest.raises(UsageError, match="none of 20 questions is in the hold-out"):
        held.select([Question(f"Q{i}?", ["a", "b"]) for i in range(20)], "f")
