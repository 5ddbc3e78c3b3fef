"""Texts that somebody met and did not understand, each as it is now."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis.vendor.pretty import pretty

from pytest_llminvariance import (
    DecisionQuestion,
    Layout,
    Presentation,
    Question,
    Reorder,
    Reword,
    Template,
    UsageError,
    check,
    controls,
)
from pytest_llminvariance.checks.properties import full_name
from pytest_llminvariance.gate.decision import decide_gate
from pytest_llminvariance.gate.policy import policy_from
from pytest_llminvariance.models.protocol import MissingReply, Reply, Request, TextReply
from pytest_llminvariance.models.served.faults import ADVICE
from pytest_llminvariance.paraphrases.screens import why_not
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.failure import failure_message
from pytest_llminvariance.report.words import kept_words
from tests.commands import llminvariance
from tests.run_directories import write_run

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcde"], id=f"q{n}", answer=n % 5) for n in range(9)]
TODAY = datetime.date(2026, 3, 1)


def command(*words: str) -> Any:
    return llminvariance(words, env={"COLUMNS": "200"})


# --- names of properties ---


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("prompt wording", "prompt"), ("Prompt Wording", "prompt"), ("prompt_wording", "prompt"), ("prompt", "prompt"),
        ("option order", "option_order"), ("option-order", "option_order"), ("order", "option_order"),
        ("labelling", "labels"), ("layout", "layout"), ("agreement of readouts", "readouts"), ("batch invariance", "batch"),
        ("position", "position"), ("my own property", "my own property"),
    ],
)  # fmt: skip
def test_a_property_goes_by_the_names_that_people_see(given: str, name: str) -> None:
    assert full_name(given) == name


def test_the_same_names_in_a_policy(tmp_path: Path) -> None:
    found = check("option order", controls.always_first(), BANK, tolerance=0.1)
    run = load(write_run(tmp_path / "run", [found], exit=1))
    for name in ("option order", "order", "option_order"):
        waiver = {"property": name, "owner": "kim", "reason": "known", "expires": "2100-01-01"}
        policy = policy_from(
            {"required": [name], "waivers": [waiver], "properties": {name: {"level": "block"}}}, "here"
        )
        assert policy.required == (policy.waivers[0].property,) == ("option_order",)
        assert list(policy.properties) == ["option_order"]
        assert [item.outcome for item in decide_gate([run], policy, TODAY).judged] == ["waived"]
    with pytest.raises(UsageError, match=r"properties has two rules for 'option_order'"):
        policy_from({"properties": {"order": {}, "option order": {}}}, "here")
    for name in ("search", "search: same answer", "same answer", "conversation"):
        assert policy_from({"required": [name]}, "here").required == ("search",)
    assert policy_from({"required": ["tests/order"]}, "here").required == ("tests/order",)


def test_the_same_names_in_judge() -> None:
    changes = parse_changes(["prompt wording=0.2", "order=0.1"], ["option order=tv"])
    assert set(changes.tolerances) == {"prompt", "option_order"}
    assert set(changes.metrics) == {"option_order"}


def test_did_you_mean_wherever_a_property_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no property 'optoin_order'; .* Did you mean 'option_order'\?"):
        check("optoin_order", controls.oracle(), BANK, tolerance=0.1)
    assert (
        "Did you mean 'labels'?"
        in command("audit", "control:oracle", "--properties", "lables", "--out", str(tmp_path / "a")).output
    )
    run = load(write_run(tmp_path / "run", [check("order", controls.oracle(), BANK, tolerance=0.1)]))
    with pytest.raises(UsageError, match=r"Did you mean 'option_order'\?"):
        judge(run, parse_changes(["option_oder=0.2"], []))
    waiver = {"property": "optionorder", "owner": "kim", "reason": "known", "expires": "2100-01-01"}
    notes = decide_gate([run], policy_from({"waivers": [waiver]}, "here"), TODAY).notes
    assert (
        notes[-1]
        == "the waiver of kim for optionorder matches no check: remove it, or mend its name. Did you mean 'option_order'?"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"waiver": []}, "there is no key 'waiver'; .* Did you mean 'waivers'"),
        ({"undecidd": "block"}, "Did you mean 'undecided'"),
        (
            {"properties": {"order": {"tolerence": 0.1}}},
            "here: properties.order: there is no key 'tolerence'; .* Did you mean 'tolerance'",
        ),
        ({"waivers": [{"propety": "order"}]}, "here: waiver 1: there is no key 'propety'; .* Did you mean 'property'"),
    ],
)
def test_a_misspelt_key_of_a_policy(data: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        policy_from(data, "here")


# --- the command line ---


def test_help_of_an_audit_is_plain() -> None:
    said = " ".join(command("audit", "--help").output.split())
    assert "gone on with" not in said
    assert "Directory of the record. An audit that was stopped goes on there." in said


@pytest.mark.parametrize("name", ["gate", "report", "audit", "compare"])
def test_help_says_what_stands_in_brackets(name: str) -> None:
    said = " ".join(command(name, "--help").output.split())
    assert ("[tool.llminvariance.gate]" in said) is (name in ("gate", "report"))
    assert said


def test_a_model_that_cannot_be_loaded_claims_no_directory(tmp_path: Path) -> None:
    out = tmp_path / "record"
    wrong = command("audit", "control:orcale", "--out", str(out))
    assert wrong.exit_code == 2
    assert not out.exists()
    right = command("audit", "control:oracle", "--out", str(out), "--properties", "labels")
    assert right.exit_code == 0, right.output


def test_a_directory_of_something_else_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = command("audit", "control:orcale", "--out", str(tmp_path))
    assert "holds 'notes.txt', which is no part of a record" in result.output


def test_a_ratchet_that_is_not_there_was_not_left_as_it_is(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", [check("order", controls.oracle(), BANK, tolerance=0.1)])
    new = write_run(tmp_path / "new", [check("order", controls.always_first(), BANK, tolerance=0.1)], exit=1)
    ratchet = tmp_path / "ratchet.json"
    words = ("compare", str(old), str(new), "--ratchet", str(ratchet), "--accept")
    assert (
        f"{ratchet} was not made: bests are accepted only where nothing is worse or undecided" in command(*words).output
    )
    assert not ratchet.exists()
    assert command("compare", str(old), str(old), *words[3:]).exit_code == 0
    assert f"{ratchet} was left as it is: bests are accepted only where" in command(*words).output


def test_a_folder_is_the_same_model_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    found = check("order", controls.oracle(), BANK, tolerance=0.1)
    whole = str(tmp_path / "mine")
    runs = [load(write_run(tmp_path / f"run{n}", [found], model=name, fingerprint="control:oracle"))
            for n, name in enumerate(("mine", "./mine", whole, "mine/"))]  # fmt: skip
    for named in ("mine", "./mine", whole, f"..{os.sep}{tmp_path.name}{os.sep}mine"):
        decision = decide_gate(runs, policy_from({"models": [named]}, "here"), TODAY)
        assert decision.distrusted == ()
        assert {item.outcome for item in decision.judged} == {"passes"}
    other = decide_gate(runs, policy_from({"models": ["other"]}, "here"), TODAY)
    assert len(other.distrusted) == 4


# --- counts and causes ---


def test_a_reversal_has_two_directions() -> None:
    templates = ["{stem}\n{options}\nOne:", "{stem}\n{options}\nTwo:", "{stem}\n{options}\nThree:"]
    crossed = Reword(templates) * Reorder("reversed")
    assert crossed.describe(crossed.orbit(BANK[0], None)) == "6 of 6 presentations"
    alone, every = Reorder("reversed"), Reword(templates) * Reorder("all")
    assert alone.describe(alone.orbit(BANK[0], None)) == "2 of 2 directions"
    assert every.describe(every.orbit(BANK[0], None)) == "360 of 360 presentations"
    cyclic = Reorder("cyclic")
    assert cyclic.describe(cyclic.orbit(BANK[0], None)) == "5 of 120 orders"


def test_what_a_reversal_kept_is_said_in_words() -> None:
    assert (
        kept_words({"content": 1, "position": 17, "both": 0, "other": 0})
        == "17 of 18 kept the position, 1 kept the answer"
    )
    assert (
        kept_words({"content": 5, "position": 0, "both": 1, "other": 2})
        == "5 of 8 kept the answer, 2 cannot be told, 1 kept both"
    )


class Failing:
    """Gives no answer to every n-th prompt."""

    name, fingerprint, capabilities = "failing", "f", frozenset({"text"})

    def __init__(self, every: int) -> None:
        self.every, self.asked = every, 0

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        self.asked += 1
        sent = f"{self.asked:064x}"
        if self.asked % self.every == 0:
            return MissingReply("connection refused", sent)
        return TextReply(request.presentation.label_of(0), sent)


def test_missing_answers_name_their_cause() -> None:
    found = check("order", Failing(1), BANK[:3], tolerance=0.1, orders="cyclic")
    assert found.verdict == "UNDECIDED"
    assert found.reasons[0] == "all 15 prompts failed; first: connection refused"
    assert "because: all 15 prompts failed; first: connection refused" in failure_message(found, None)
    some = check("order", Failing(5), BANK[:3], tolerance=0.1, orders="cyclic")
    assert some.verdict == "UNDECIDED"
    assert some.reasons[-1] == "3 of 15 prompts failed; first: connection refused"
    none = check("order", Failing(10**6), BANK[:3], tolerance=0.1, orders="cyclic")
    assert "failed" not in " ".join(none.reasons)


def test_answers_that_name_no_option_are_quoted() -> None:
    def rambling(messages: Any) -> str:
        return "Well,\nthat is a matter of taste."

    found = check("order", rambling, BANK[:3], tolerance=0.1, readout="text", orders="cyclic")
    said = " ".join(found.reasons)
    assert "most answers name no option, such as 'Well, that is a matter of taste.'" in said


# --- what Hypothesis prints of ours ---


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (controls.always_first(), "<control always_first>"),
        (BANK[0], "<Question 'q0', 5 options>"),
        (Presentation(BANK[0]), "<Presentation 'q0'>"),
        (Presentation(BANK[0], order=(1, 0, 2, 3, 4), labels="12345"), "<Presentation 'q0', order=(1, 0, 2, 3, 4), labels='1 2 3 4 5'>"),
        (Template("{stem} {options}", name="short"), "<Template 'short'>"),
        (Layout("({label}) ", "; "), "<Layout '({label}) ' separated by '; '>"),
    ],
)  # fmt: skip
def test_hypothesis_prints_one_line(thing: object, said: str) -> None:
    assert pretty(thing) == said
    assert pretty([thing]) == f"[{said}]"


# --- servers and own objects ---


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("openai:tiny", "the model spec must name a model and a server but is 'tiny'. Write MODEL@http://HOST:PORT"),
        (
            "openai:tiny@127.0.0.1:80",
            "a server, with http:// or https:// before the host. Write MODEL@http://HOST:PORT",
        ),
        ("openai:tiny@user:secret@host", "with http:// or https:// before the host"),
    ],
)
def test_a_server_without_an_address(given: str, said: str) -> None:
    done = command("audit", given)
    assert done.exit_code == 2
    assert said in done.output
    assert "secret" not in done.output


def test_a_key_is_named_in_an_audit_too() -> None:
    assert "--setting key_variable=NAME" in ADVICE[401]
    assert "--setting key_variable=NAME" in ADVICE[403]


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    done = command("gate", str(tmp_path), "--policy", "nowhere.toml")
    assert (done.exit_code, "there is no policy nowhere.toml (looked at " in done.output) == (2, True)


def test_a_screen_names_words_as_they_were_written() -> None:
    grass = Question("What colour is fresh grass?", ["Green", "Black"])
    said = why_not(grass, "What colour is fresh lawn?") or ""
    assert "says lawn for grass: " in said
    assert "gras:" not in said


def test_descriptions_do_not_stop_an_audit() -> None:
    told = {"refund": "Money back", "exchange": "Another item", "advice": None}
    wishes = [DecisionQuestion("What is wanted?", told, answer=name, context=f"I want {name}.") for name in told]
    found = check("tracks", controls.oracle(), wishes, tolerance=0.05)
    assert found.questions_asked
