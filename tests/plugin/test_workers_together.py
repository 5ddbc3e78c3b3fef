"""Two workers of one session never ask the same, with kept answers or without; what cannot be shared is asked by each."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest

from pytest_llminvariance.models.cache_file import Claims

MODEL = """
    import os, time
    from pytest_llminvariance import controls
    from pytest_llminvariance.models.protocol import sent_digest

    class Counting:
        name, fingerprint, capabilities = "counting", "weights-1", frozenset({"label"})
        cacheable = os.environ.get("CACHEABLE") != "no"
        deterministic = True

        def __init__(self):
            self.inner = controls.oracle()

        def answer(self, requests):
            time.sleep(0.05)  # so that both are at it at once
            with open(os.environ["COUNTED"], "a") as file:
                file.write("".join(f"{sent_digest(r.messages)} {os.getpid()}\\n" for r in requests))
            if os.environ.get("BREAKS") and os.environ["PYTEST_XDIST_WORKER"] == "gw0":
                os._exit(3) if os.environ["BREAKS"] == "dies" else 1 / 0
            return self.inner.answer(requests)
"""
SUITE = """
    import pytest
    from pytest_llminvariance import Question, assert_order_symmetric

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(8)]

    @pytest.mark.parametrize("part", range(4))
    def test_order(invariance_model, part):
        assert_order_symmetric(invariance_model, BANK[part:] + BANK[:part])
"""


@pytest.fixture
def counted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("COUNTED", str(pytester.path / "counted"))
    monkeypatch.setenv("TMPDIR", str(pytester.mkdir("tmp")))
    monkeypatch.setattr(tempfile, "tempdir", None)
    pytester.makepyfile(counting=MODEL, test_suite=SUITE)
    return pytester


def asked(pytester: pytest.Pytester, *flags: str) -> tuple[pytest.RunResult, Counter[str], set[str]]:
    result = pytester.runpytest_subprocess("-n2", "--invariance-model=python:counting:Counting", *flags)
    rows = [line.split() for line in (pytester.path / "counted").read_text().splitlines()]
    return result, Counter(digest for digest, _ in rows), {pid for _, pid in rows}


@pytest.mark.parametrize("cache", ["off", "kept"])
def test_no_prompt_is_asked_by_both(cache: str, counted: pytest.Pytester) -> None:
    result, prompts, workers = asked(counted, f"--invariance-cache={cache}")
    result.assert_outcomes(passed=4)
    again = sum(count - 1 for count in prompts.values())
    assert len(prompts) >= 8 * 24
    assert again <= 4 * 3, "only the three prompts that a check asks again at its end"
    assert workers
    assert any(line.startswith("cache:") for line in result.outlines) is (cache == "kept")
    assert list((counted.path / "tmp").glob("pytest-llminvariance-*")) == []


def test_models_that_do_not_say_what_determines_them_share_nothing(
    counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHEABLE", "no")
    result, prompts, workers = asked(counted, "--invariance-cache=off")
    result.assert_outcomes(passed=4)
    assert len(workers) == 2
    assert sum(count > 1 for count in prompts.values()) >= 8 * 24


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_what_a_worker_leaves_open_is_asked_by_the_other(
    how: str, counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREAKS", how)
    result, _, _ = asked(counted, "--invariance-cache=off", "--max-worker-restart=0")
    told = result.parseoutcomes()
    assert told["passed"] >= 1, told
    assert told["failed"] >= 1, told


def test_claims_of_one_process_are_no_others(tmp_path: Path) -> None:
    one, other = Claims(tmp_path), Claims(tmp_path)
    assert one.take([b"a", b"b"]) == {b"a", b"b"}
    assert other.take([b"b", b"c"]) == {b"c"}
    one.drop([b"b", b"c"])
    assert other.take([b"a", b"b", b"c"]) == {b"b", b"c"}
    one._alive.release()
    assert other.take([b"a"]) == {b"a"}
