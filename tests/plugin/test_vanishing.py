"""Inside pytest every check belongs to the running test, or is refused: nothing is found and then lost."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_llminvariance import FindingList, files, run
from pytest_llminvariance.checks.holdout import new_holdout
from pytest_llminvariance.checks.run import Run, surrounded
from pytest_llminvariance.records.record import load
from tests.commands import llminvariance

HEAD = """
import asyncio, contextvars, os, threading, unittest
from concurrent.futures import ThreadPoolExecutor
import pytest
from pytest_llminvariance import (
    InvarianceError, ModelError, Presentation, Question, UsageError, assert_order_symmetric, assert_same_answer, check,
    controls, run,
)

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]

def broken():
    return check("option_order", controls.always_first(), BANK, tolerance=0.1)

def holds():
    return check("option_order", controls.oracle(), BANK, tolerance=0.1)
"""


def source(body: str) -> str:
    return HEAD + dedent(body)


def recorded(pytester: pytest.Pytester, directory: str = "rec") -> list[tuple[str, str, str]]:
    """Verdict, place and level of the record's findings."""
    rows = json.loads((pytester.path / directory / "findings.json").read_text())["findings"]
    return sorted((row["verdict"], row["where"], row["level"]) for row in rows)


def run_recorded(pytester: pytest.Pytester, body: str, *flags: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=source(body))
    return pytester.runpytest("--invariance-report=rec", *flags)


def command(*words: str) -> int:
    return int(llminvariance(words).exit_code)


# --- places that know of no context ---

WAYS = {
    "a thread": """
        def test_it():
            thread = threading.Thread(target=broken)
            thread.start()
            thread.join()
        """,
    "an executor": """
        def test_it():
            with ThreadPoolExecutor() as pool:
                pool.submit(broken).result()
        """,
    "an executor that an earlier test began": """
        pool = ThreadPoolExecutor(1)

        def test_earlier():
            pool.submit(contextvars.copy_context().run, int).result()

        def test_it():
            pool.submit(broken).result()
        """,
    "the context of an earlier test": """
        kept = []

        def test_earlier():
            kept.append(contextvars.copy_context())

        def test_it():
            kept[0].run(broken)
        """,
    "an empty context": """
        def test_it():
            contextvars.Context().run(broken)
        """,
    "the default executor of a loop": """
        def test_it():
            async def main():
                await asyncio.get_running_loop().run_in_executor(None, broken)
            asyncio.run(main())
        """,
    "a loop that an earlier test made": """
        @pytest.fixture(scope="module")
        def runner():
            with asyncio.Runner() as runner:
                runner.get_loop()
                yield runner

        def test_earlier(runner):
            pass

        def test_it(runner):
            async def main():
                broken()
            runner.run(main())
        """,
    "a callback of a loop": """
        def test_it():
            loop = asyncio.new_event_loop()
            loop.call_soon(broken, context=contextvars.Context())
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()
        """,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_check_of_a_test_is_recorded_wherever_it_runs(way: str, pytester: pytest.Pytester) -> None:
    result = run_recorded(pytester, WAYS[way])
    assert result.ret == 0
    assert recorded(pytester) == [("BROKEN", "test_it.py::test_it", "block")]
    result.stdout.fnmatch_lines(["BROKEN*option order*test_it.py::test_it]"])


def test_an_asynchronous_test_case_of_the_standard_library(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        """
        class TestIt(unittest.IsolatedAsyncioTestCase):
            @classmethod
            def setUpClass(cls):
                holds()

            async def asyncSetUp(self):
                broken()

            async def test_it(self):
                broken()
                await asyncio.to_thread(broken)
                await asyncio.gather(asyncio.to_thread(broken), asyncio.create_task(self.later()))

            async def later(self):
                holds()

            async def asyncTearDown(self):
                broken()

            @pytest.mark.invariance(level="warn")
            async def test_warns(self):
                assert_order_symmetric(controls.always_first(), BANK)

            async def test_blocks(self):
                assert_order_symmetric(controls.always_first(), BANK)
        """,
        "--invariance-seed=7",
    )
    result.assert_outcomes(passed=2, failed=1)
    found = recorded(pytester)
    places = [where.partition("TestIt::")[2] for verdict, where, _ in found if verdict == "BROKEN"]
    assert places.count("test_it") == 5
    assert places.count("test_warns") == 3
    assert ("BROKEN", "test_it.py::TestIt::test_warns", "warn") in found
    assert sum(verdict == "HOLDS" and "fixture" in where for verdict, where, _ in found) == 1
    result.stdout.fnmatch_lines(["*replay: *pytest test_it.py::TestIt::test_blocks --invariance-seed=7"])


ANYIO = """
@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"

@pytest.fixture(scope="module")
async def wide():
    holds()
    yield
    holds()

@pytest.mark.anyio
async def test_earlier(wide):
    broken()

@pytest.mark.anyio
async def test_later(wide):
    broken()
    await asyncio.to_thread(broken)
"""


@pytest.mark.skipif(importlib.util.find_spec("anyio") is None, reason="anyio is not installed")
def test_fixtures_of_a_module_in_anyio(pytester: pytest.Pytester) -> None:
    run_recorded(pytester, ANYIO).assert_outcomes(passed=2)
    fixture = "test_it.py::wide (module fixture)"
    tests = [("BROKEN", f"test_it.py::test_{name}", "block") for name in ("earlier", "later", "later")]
    assert recorded(pytester) == [*tests, ("HOLDS", fixture, "block"), ("HOLDS", fixture, "block")]


@pytest.mark.skipif(importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed")
def test_fixtures_of_a_module_in_pytest_asyncio(pytester: pytest.Pytester) -> None:
    body = ANYIO.partition('@pytest.fixture(scope="module")\nasync')[2]
    body = '@pytest_asyncio.fixture(scope="module", loop_scope="module")\nasync' + body
    body = body.replace("@pytest.mark.anyio", '@pytest.mark.asyncio(loop_scope="module")')
    run_recorded(pytester, "import pytest_asyncio\n" + body).assert_outcomes(passed=2)
    fixture = "test_it.py::wide (module fixture)"
    tests = [("BROKEN", f"test_it.py::test_{name}", "block") for name in ("earlier", "later", "later")]
    assert recorded(pytester) == [*tests, ("HOLDS", fixture, "block"), ("HOLDS", fixture, "block")]


def test_settings_reach_threads(pytester: pytest.Pytester) -> None:
    new_holdout(pytester.path / "invariance-holdout.json", 0.3, "salt")
    result = run_recorded(
        pytester,
        """
        MANY = [Question(f"Which is number {i}?", [f"a{i}", f"b{i}"], answer=i % 2) for i in range(40)]

        def test_it():
            with ThreadPoolExecutor() as pool:
                found = pool.submit(check, "option_order", controls.oracle(), MANY, tolerance=0.1).result()
            assert found.seed == 7
            assert found.questions_planned < 40
        """,
        "--invariance-seed=7",
    )
    result.assert_outcomes(passed=1)


def test_a_plan_asks_nothing_in_threads_either(pytester: pytest.Pytester) -> None:
    result = run_recorded(pytester, WAYS["an executor"], "--invariance-plan")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["option order*yes*test_it.py::test_it]"])


def test_many_threads_of_one_test_lose_nothing(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        """
        def test_it():
            with ThreadPoolExecutor(6) as pool:
                for done in [pool.submit(broken if n % 2 else holds) for n in range(12)]:
                    done.result()
        """,
    )
    result.assert_outcomes(passed=1)
    rows = json.loads((pytester.path / "rec" / "findings.json").read_text())["findings"]
    assert len({row["id"] for row in rows}) == 12
    assert {row["check"] for row in load(pytester.path / "rec").answer_rows()} == {row["id"] for row in rows}
    assert command("judge", "rec") in (0, 1)


PARALLEL = """
    import threading
    import pytest
    from concurrent.futures import ThreadPoolExecutor

    both = threading.Barrier(2)

    def pytest_runtestloop(session):
        with ThreadPoolExecutor(2) as pool:
            hook = session.config.hook.pytest_runtest_protocol
            list(pool.map(lambda item: hook(item=item, nextitem=None), session.items))
        return True

    def pytest_runtest_protocol(item):
        both.wait(20)
        try:
            item.obj()
        except Exception as error:
            print("SAID", type(error).__name__, error)
        finally:
            both.wait(20)
        return True
"""


def test_tests_that_run_at_once_have_findings_of_their_own(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(PARALLEL)
    body = """
    def test_a():
        broken()
        with ThreadPoolExecutor() as pool:
            pool.submit(contextvars.copy_context().run, broken).result()

    @pytest.mark.invariance(level="warn")
    def test_b():
        holds()
        asyncio.run(asyncio.to_thread(holds))
    """
    run_recorded(pytester, body, "-s").stdout.no_fnmatch_line("*SAID*")
    mine, other = ("BROKEN", "test_it.py::test_a", "block"), ("HOLDS", "test_it.py::test_b", "warn")
    assert recorded(pytester) == [mine, mine, other, other]


def test_a_thread_of_one_of_several_tests_must_say_of_which(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(PARALLEL)
    body = """
    def test_a():
        with ThreadPoolExecutor() as pool:
            pool.submit(broken).result()

    def test_b():
        pass
    """
    result = run_recorded(pytester, body, "-s")
    result.stdout.fnmatch_lines(["SAID UsageError several tests run at once*contextvars.copy_context().run*"])


# --- outside of every test ---

REFUSED = "*UsageError: *outside of every test*"
OUTSIDE = {
    "a test module": ("found = broken()\ndef test_it():\n    pass", ""),
    "a search in a test module": (
        "assert_same_answer(controls.oracle(), Presentation(BANK[0]), Presentation(BANK[0]))\ndef test_it():\n    pass",
        "",
    ),
    "a conftest": ("def test_it():\n    pass", "broken()"),
    "a hook of collection": ("def test_it():\n    pass", "def pytest_generate_tests():\n    broken()"),
}


@pytest.mark.parametrize("place", OUTSIDE)
def test_a_check_outside_of_tests_is_refused(place: str, pytester: pytest.Pytester) -> None:
    body, conftest = OUTSIDE[place]
    pytester.makeconftest(source(conftest))
    pytester.makepyfile(test_it=source(body))
    result = pytester.runpytest()
    assert result.ret != 0
    lines = result.outlines + result.errlines
    assert any("UsageError" in line and "outside of every test" in line for line in lines), lines


def test_a_check_that_says_that_it_stands_alone_is_let(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester, "with run():\n    found = broken()\ndef test_it():\n    assert found.verdict == 'BROKEN'"
    )
    result.assert_outcomes(passed=1)
    assert recorded(pytester) == []


def test_a_run_inside_a_test_hides_nothing_unless_it_names_a_recorder(pytester: pytest.Pytester) -> None:
    body = """
        from pytest_llminvariance import FindingList
        def test_it(invariance_model):
            with run():
                assert broken().id
            with run(recorder=(own := FindingList())), run(seed=3):
                broken()
            assert len(own.findings) == 1
        def test_thread(invariance_model):
            def work():
                with run(risk_limit=0.05):
                    broken()
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    """
    run_recorded(pytester, body, "--invariance-model=control:always_first").assert_outcomes(passed=2)
    assert recorded(pytester) == [("BROKEN", f"test_it.py::{name}", "block") for name in ("test_it", "test_thread")]
    assert command("gate", str(pytester.path / "rec")) == 1
    assert command("judge", str(pytester.path / "rec")) == 1  # the answers are there too


def test_a_run_inside_another_changes_only_what_it_says() -> None:
    kept = {"holdout": object(), "on_plan": print, "level": "warn", "baseline": Path("b"), "wrap": print, "say": print}
    around = Run(seed=3, undecided="skip", recorder=FindingList(), **kept)  # type: ignore[arg-type]
    with surrounded(around), run(seed=5) as inside:
        assert {name: getattr(inside, name) for name in kept} == kept
        assert (inside.seed, inside.undecided, inside.recorder) == (5, "fail", around.recorder)
    with surrounded(around), run(seed=5, recorder=FindingList()) as alone:
        assert {name: getattr(alone, name) for name in kept} == {**kept, "level": "block"}
        assert alone.recorder is not around.recorder


def test_a_check_in_another_process_is_recorded_or_refused(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        def test_forked():
            with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
                pool.submit(broken).result()
            broken()

        def test_fork():
            if (child := os.fork()) == 0:
                try:
                    broken()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            holds()

        def test_spawned():
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                with pytest.raises(UsageError, match="another process than its test"):
                    pool.submit(broken).result()
        """,
        "-W", "default",
    )  # fmt: skip
    result.assert_outcomes(passed=3)
    two = ("BROKEN", "test_it.py::test_forked", "block")
    assert recorded(pytester) == [
        ("BROKEN", "test_it.py::test_fork", "block"), two, two, ("HOLDS", "test_it.py::test_fork", "block")
    ]  # fmt: skip


def test_fixtures_that_are_torn_down_when_a_session_is_cut_short(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        """
        @pytest.fixture(scope="session")
        def wide():
            yield
            broken()

        def test_fails(wide):
            assert False

        def test_never(wide):
            pass
        """,
        "-x",
    )
    result.stdout.fnmatch_lines(["BROKEN*test_it.py::wide (session fixture)]"])
    assert recorded(pytester) == [("BROKEN", "test_it.py::wide (session fixture)", "block")]


# --- faked and broken file systems ---

HIDING = {
    "open": 'monkeypatch.setattr("builtins.open", None); monkeypatch.setattr("io.open", None)',
    "os": 'monkeypatch.setattr("os.open", None); monkeypatch.setattr("os.write", None); monkeypatch.setattr("os.makedirs", None)',
    "pathlib": 'monkeypatch.setattr("pathlib.Path.open", None); monkeypatch.setattr("pathlib.Path.mkdir", None)',
    "the folder": "monkeypatch.chdir(tmp_path)",
    "the environment": "monkeypatch.setattr(os, 'environ', {})",
}


@pytest.mark.parametrize("what", HIDING)
def test_what_a_test_puts_in_the_place_of_files_hides_no_finding(what: str, pytester: pytest.Pytester) -> None:
    body = f"def test_it(monkeypatch, tmp_path):\n    holds()  # with all its imports\n    {HIDING[what]}\n    broken()"
    run_recorded(pytester, body, "--invariance-cache=off").assert_outcomes(passed=1)
    place = ("test_it.py::test_it", "block")
    assert recorded(pytester) == [("BROKEN", *place), ("HOLDS", *place)]
    assert (pytester.path / "rec" / "answers.jsonl").is_file()


@pytest.mark.skipif(importlib.util.find_spec("pyfakefs") is None, reason="pyfakefs is not installed")
@pytest.mark.parametrize("flags", [["--invariance-report=rec"], []], ids=["record", "none"])
def test_a_faked_file_system_hides_no_finding(flags: list[str], pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=source("def test_it(fs):\n    broken()"))
    result = pytester.runpytest_subprocess(*flags)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["BROKEN*test_it.py::test_it]"])


def test_half_a_surrogate_pair_loses_nothing(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        r"""
        class Odd:
            name, fingerprint, capabilities = "odd \ud800", "odd", frozenset({"label"})

            def answer(self, requests):
                raise ModelError("half a pair: \udcff")

        def test_it():
            broken()
            with pytest.raises(ModelError):
                check("option_order", Odd(), BANK, tolerance=0.1)

        class Named:
            name, fingerprint, capabilities = "odd \ud800", "odd", frozenset({"label"})

            def answer(self, requests):
                return controls.always_first().answer(requests)

        def test_name():
            check("option_order", Named(), BANK, tolerance=0.1)
        """,
        "--junitxml=out.xml",
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["ERROR*half a pair: \\udcff*"])
    rows = json.loads((pytester.path / "rec" / "findings.json").read_text(encoding="utf-8"))
    assert [row["verdict"] for row in rows["findings"]] == ["BROKEN", "BROKEN"]
    assert rows["unfinished"][0]["reason"] == "ModelError: half a pair: \udcff"
    for form in ("html", "markdown"):
        assert command("report", "rec", "--format", form, "--out", f"out.{form}") == 0
    assert command("judge", "rec") == 3  # a check with an error is too thin


def test_a_path_that_is_no_text(pytester: pytest.Pytester) -> None:
    name = b"test_\xff.py".decode("utf-8", "surrogateescape")
    try:
        (pytester.path / name).write_text(source("def test_it():\n    broken()\n"))
    except OSError:
        pytest.skip("this file system takes text only")
    result = pytester.runpytest("--invariance-report=rec", name)
    assert result.ret == 0, result.outlines
    rows = json.loads((pytester.path / "rec" / "findings.json").read_text(encoding="utf-8"))["findings"]
    assert [row["verdict"] for row in rows] == ["BROKEN"]


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


MEMORY = [
    "*findings of this session were kept in memory only: *No space left on device*",
    "BROKEN*test_it.py::test_it]",
]


@pytest.mark.parametrize("wanted", [False, True], ids=["no record", "a record"])
def test_a_full_disk_loses_no_finding(wanted: bool, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DISK", files.DISK._replace(write=full))
    pytester.makepyfile(test_it=source("def test_it():\n    broken()"))
    result = pytester.runpytest(*(["--invariance-report=rec"] if wanted else []))
    result.assert_outcomes(passed=1)
    assert result.ret == int(wanted)
    result.stdout.fnmatch_lines(
        [MEMORY[1], "invariance: the record in *rec* is not whole: *No space left on device*"] if wanted else MEMORY
    )


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENAMETOOLONG, errno.EIO])
def test_whatever_a_file_system_refuses_loses_no_finding(
    code: int, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, "DISK", files.DISK._replace(write=refused))
    pytester.makepyfile(test_it=source("def test_it():\n    broken()"))
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*were kept in memory only: *{os.strerror(code)}*", MEMORY[1]])


def test_a_full_disk_of_a_worker_loses_no_finding(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        "import os\nfrom pytest_llminvariance import files\n"
        "def full(*_): raise OSError(28, os.strerror(28))\nfiles.DISK = files.DISK._replace(write=full)\n"
    )
    pytester.makepyfile(test_it=source("def test_it():\n    broken()"))
    result = pytester.runpytest_subprocess("-n1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(MEMORY)


def test_a_record_that_a_test_removed(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        """
        import shutil

        def test_it(request):
            broken()
            shutil.rmtree(request.config.rootpath / "rec")
        """,
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["invariance: the record in *rec* is not whole: *"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_no_home_no_temporary_folder_and_another_drive(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import os, tempfile
        from pathlib import Path

        def never(*given, **more):
            raise RuntimeError("Could not determine home directory.")

        def other_drive(*given):
            raise ValueError("path is on mount 'D:', start on mount 'C:'")

        def nowhere():
            raise FileNotFoundError(2, "No usable temporary directory found")

        def pytest_configure():
            for name in ("LLMINVARIANCE_ANSWERS", "LLMINVARIANCE_CACHE", "XDG_CACHE_HOME"):
                os.environ.pop(name, None)
            Path.home = classmethod(never)
            os.path.relpath = other_drive
            tempfile.gettempdir = nowhere
        """
    )
    pytester.makepyfile(
        test_it=source(
            "def test_it():\n    broken()\n\ndef test_fails():\n    assert_order_symmetric(controls.always_first(), BANK)"
        )
    )
    result = pytester.runpytest_subprocess("-n1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["BROKEN*test_it.py::test_it]"])
    result.stdout.fnmatch_lines(["*replay: *test_it.py::test_fails*"])


def test_an_unrelated_suite_does_not_notice(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import os, tempfile

        def refused(*given, **more):
            raise AssertionError("called")

        os.path.relpath = refused
        tempfile.gettempdir = refused
        tempfile.mkdtemp = refused
        """
    )
    pytester.makepyfile("def test_it():\n    pass\n\nclass TestIt:\n    def test_it(self):\n        pass\n")
    result = pytester.runpytest_subprocess("-p", "no:tmpdir", "-p", "no:pytester")
    assert result.ret == 0, result.outlines


# --- sessions that run nothing ---


@pytest.mark.parametrize(
    "flag",
    ["--fixtures", "--fixtures-per-test", "--setup-plan", "--setup-only", "--cache-show", "--collect-only"],
)  # fmt: skip
def test_a_session_that_runs_no_test_leaves_the_record_alone(flag: str, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ninvariance_report = rec\naddopts = -p no:cov\n")
    body = """
    @pytest.fixture
    def found():
        return broken()

    def test_it(found):
        pass
    """
    pytester.makepyfile(test_it=source(body))
    pytester.runpytest()
    before = {path: path.read_bytes() for path in (pytester.path / "rec").rglob("*") if path.is_file()}
    assert before
    assert pytester.runpytest(flag).ret == 0
    assert {path: path.read_bytes() for path in (pytester.path / "rec").rglob("*") if path.is_file()} == before


# --- settings of the session, whatever the suite calls its model ---

OWN_MODEL = """
MANY = [Question(f"Which is number {i}?", [f"a{i}", f"b{i}"], answer=i % 2) for i in range(200)]

@pytest.fixture
def llm():
    return controls.oracle()

def test_it(llm):
    found = check("option_order", llm, MANY, tolerance=0.2)
    print("ASKED", found.questions_planned, found.questions_asked, found.risk_limit)
"""


def printed(result: pytest.RunResult) -> list[str]:
    return next(line for line in result.outlines if "ASKED" in line).split("ASKED ")[1].split()


def test_the_hold_out_and_the_risk_limit_hold_for_a_model_of_the_suites_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=source(OWN_MODEL))
    planned, asked, limit = printed(pytester.runpytest("-s"))
    assert (planned, asked, limit) == ("200", "200", "None")
    planned, asked, limit = printed(pytester.runpytest("-s", "--invariance-risk-limit=0.05"))
    assert (planned, limit) == ("200", "0.05")
    assert int(asked) < 200
    new_holdout(pytester.path / "invariance-holdout.json", 0.3, "salt")
    closed = int(printed(pytester.runpytest("-s"))[0])
    for times in (1, 2):  # a session counts once, whether or not it is recorded
        opened = pytester.runpytest("-s", "--invariance-holdout", "--invariance-report=rec")
        assert closed + int(printed(opened)[0]) == 200
        openings = json.loads((pytester.path / "invariance-holdout.json").read_text())["openings"]
        assert len(openings) == times


# --- levels, groups, places ---


def test_a_marker_that_is_added_while_a_test_runs_counts(pytester: pytest.Pytester) -> None:
    result = run_recorded(
        pytester,
        """
        @pytest.fixture
        def warned(request):
            request.node.add_marker(pytest.mark.invariance(level="warn"))

        def test_fixture(warned):
            assert_order_symmetric(controls.always_first(), BANK)

        def test_body(request):
            broken()
            request.node.add_marker(pytest.mark.invariance(level="ignore"))
            assert_order_symmetric(controls.always_first(), BANK)

        def test_bad(request):
            request.node.add_marker(pytest.mark.invariance(level="loud"))
            broken()
        """,
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_bad: the marker is invariance(level='loud')*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    assert recorded(pytester) == [
        ("BROKEN", "test_it.py::test_body", "block"),
        ("BROKEN", "test_it.py::test_body", "ignore"),
        ("BROKEN", "test_it.py::test_fixture", "warn"),
    ]


def test_a_group_of_xdist_is_no_part_of_a_node_id(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=source(
            """
            @pytest.mark.xdist_group("gpu")
            def test_it():
                broken()

            @pytest.mark.xdist_group("a::b")
            @pytest.mark.parametrize("n", ["x@gpu"])
            def test_fails(n):
                assert_order_symmetric(controls.always_first(), BANK)

            class TestIt:
                @pytest.mark.xdist_group("gpu")
                def test_it(self):
                    assert False
            """
        )
    )
    flags = ["--invariance-report=rec", "-n1", "--dist=loadgroup", "--invariance-risk-limit=0.05"]
    pytester.runpytest_subprocess(*flags).assert_outcomes(passed=1, failed=2)
    both = ["test_it.py::test_fails[x@gpu]", "test_it.py::test_it"]
    assert [where for _, where, _ in recorded(pytester)] == both
    facts = json.loads((pytester.path / "rec" / "run.json").read_text())
    assert facts["failed"] == ["test_it.py::TestIt::test_it", both[0]]
    rows = json.loads((pytester.path / "rec" / "findings.json").read_text())["findings"]
    assert [row["risk_limit"] for row in rows] == [0.05, 0.05]  # the shares are by plain node id too


def in_a_folder(pytester: pytest.Pytester, ini: str) -> Path:
    folder = pytester.mkdir("suite")
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (folder / "test_it.py").write_text(source("def test_it(invariance_model):\n    pass"))
    return folder


def test_places_of_the_ini_file_are_beside_it(pytester: pytest.Pytester) -> None:
    lines = "invariance_report = rec\ninvariance_manifest = shares.json\ninvariance_risk_limit = 0.1"
    folder = in_a_folder(pytester, lines)
    (folder / "shares.json").write_text('{"schema_version": 1, "weights": {"suite/test_it.py::test_it": 1.0}}')
    (folder / "test_it.py").write_text(source("def test_it():\n    broken()"))
    result = pytester.runpytest("-c", str(folder / "pytest.ini"), f"--rootdir={pytester.path}", str(folder))
    result.assert_outcomes(passed=1)
    assert (folder / "rec" / "findings.json").is_file()


def test_a_folder_beside_the_ini_file_is_no_hub_id(pytester: pytest.Pytester) -> None:
    folder = in_a_folder(pytester, "invariance_model = models/tiny")
    (folder / "models" / "tiny").mkdir(parents=True)
    (folder / "models" / "tiny" / "config.json").write_text('{"model_type": "no-such-kind"}')
    result = pytester.runpytest("-c", str(folder / "pytest.ini"), str(folder))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"ModelError: *{folder}/models/tiny*no-such-kind*"])


@pytest.mark.parametrize("spec", ["replay:answers.jsonl", "python:made:make"])
def test_files_of_a_model_are_beside_the_ini_file(spec: str, pytester: pytest.Pytester) -> None:
    folder = in_a_folder(pytester, f"invariance_model = {spec}")
    answer = {"question": "q1", "text": "A"}
    (folder / "answers.jsonl").write_text(json.dumps(answer) + "\n")
    (folder / "made.py").write_text("from pytest_llminvariance import controls\nmake = controls.oracle\n")
    result = pytester.runpytest("-c", str(folder / "pytest.ini"), str(folder), "-W", "ignore")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("spec", ["models/tiny", "./models/tiny", "replay:nothing.jsonl"])
def test_the_folder_where_pytest_was_started_counts_for_the_command_line(
    spec: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = in_a_folder(pytester, "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (folder / "conftest.py").write_text("import os\ndef pytest_sessionstart():\n    os.chdir('suite')\n")
    result = pytester.runpytest(f"--invariance-model={spec}", str(folder))
    monkeypatch.chdir(pytester.path)
    result.assert_outcomes(errors=1)
    looked = pytester.path / spec.removeprefix("replay:")
    result.stdout.fnmatch_lines([f"ModelError: *{looked}*"])


# --- other ways of running tests ---

MODES: dict[str, tuple[str, list[str]]] = {
    "subtests": (
        "def test_it(subtests):\n    with subtests.test('one'):\n        broken()",
        [],
    ),
    "a subtest of unittest": (
        "class TestIt(unittest.TestCase):\n    def test_it(self):\n        with self.subTest():\n            broken()",
        [],
    ),
    "no terminal": ("def test_it():\n    broken()", ["-p", "no:terminal"]),
    "no capture": ("def test_it():\n    broken()", ["--capture=no"]),
    "an exit in a test": ("def test_it():\n    broken()\n    raise SystemExit(0)", []),
    "an interrupted fixture": (
        "@pytest.fixture\ndef wide():\n    broken()\n    raise KeyboardInterrupt\n\ndef test_it(wide):\n    pass",
        [],
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes(mode: str, pytester: pytest.Pytester) -> None:
    if mode == "subtests" and pytest.version_tuple < (9,):
        pytest.skip("subtests came with pytest 9")
    body, flags = MODES[mode]
    pytester.makepyfile(test_it=source(body))
    made = pytester.runpytest_subprocess if "interrupted" in mode or "exit" in mode else pytester.runpytest
    made("--invariance-report=rec", *flags)
    assert [verdict for verdict, _, _ in recorded(pytester)] == ["BROKEN"]


def test_a_check_in_a_docstring(pytester: pytest.Pytester) -> None:
    text = source('def shown():\n    """\n    >>> broken().verdict.value\n    \'BROKEN\'\n    """\n')
    pytester.makepyfile(shown=text)
    pytester.runpytest("--doctest-modules", "--invariance-report=rec", "shown.py").assert_outcomes(passed=1)
    assert recorded(pytester) == [("BROKEN", "shown.py::shown.shown", "block")]
