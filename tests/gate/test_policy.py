"""Policies: every key is known, every value checked, and the message names file, key and rule."""

from __future__ import annotations

import datetime
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_llminvariance import UsageError
from pytest_llminvariance.gate.policy import Policy, Rule, read_policy

FULL = """
risk_limit = 0.1
undecided = "warn"
required = ["option_order", "tests/test_a.py::test_prompt"]

[properties.option_order]
level = "block"
tolerance = 0.1
undecided = "block"
min_questions = 40

[markers.experimental]
level = "warn"

[[waivers]]
property = "labels"
where = "tests/test_a.py::test_labels"
owner = "ana@example.org"
reason = "fixed by the next fine-tune"
expires = 2026-03-31
up_to = 0.2
"""


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(FULL)
    policy = read_policy(file, tmp_path)
    assert policy.source == str(file)
    assert policy.risk_limit == Fraction(1, 10)
    assert policy.undecided == "warn"
    assert policy.required == ("option_order", "tests/test_a.py::test_prompt")
    assert policy.properties == {"option_order": Rule("block", Fraction(1, 10), "block", 40)}
    assert policy.markers == {"experimental": Rule("warn")}
    (waiver,) = policy.waivers
    assert waiver.owner == "ana@example.org"
    assert waiver.expires == datetime.date(2026, 3, 31)
    assert waiver.up_to == Fraction(1, 5)
    assert waiver.covers("labels", "tests/test_a.py::test_labels[x]")
    assert not waiver.covers("labels", "tests/test_a.py::test_labels_too")
    assert not waiver.covers("prompt", "tests/test_a.py::test_labels")


def test_where_a_policy_is_looked_for(tmp_path: Path) -> None:
    assert read_policy(None, tmp_path) == Policy()
    project = tmp_path / "pyproject.toml"
    project.write_text("[project]\nname = 'x'\n")
    assert read_policy(None, tmp_path) == Policy()
    with pytest.raises(UsageError, match=r"pyproject.toml holds no \[tool.llminvariance.gate\]"):
        read_policy(project, tmp_path)
    project.write_text("[tool.llminvariance.gate]\nrequired = ['prompt']\n")
    assert read_policy(None, tmp_path).required == read_policy(project, tmp_path).required == ("prompt",)
    with pytest.raises(UsageError, match=r"there is no policy .*nothing.toml"):
        read_policy(tmp_path / "nothing.toml", tmp_path)


WAIVER = "[[waivers]]\nproperty='labels'\nowner='a'\nreason='b'\nexpires='2026-01-01'\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("risk_limits = 0.1", "there is no key 'risk_limits'; .* Did you mean 'risk_limit'?"),
        ("risk_limit = 1", "risk_limit is 1, but must be a number from 0 to below 1"),
        ("risk_limit = true", "risk_limit is True, but must be a number"),
        ("risk_limit = nan", "risk_limit is nan, but must be a number"),
        ("undecided = 'pass'", "undecided is 'pass', but must be one of block, insufficient, warn, ignore"),
        ("required = 'prompt'", "required is 'prompt', but must be a list"),
        ("required = ['prompt', 'prompt']", "required names 'prompt' twice"),
        ("required = [1]", "required is 1, but must be text"),
        ("properties = []", r"properties is \[\], but must be a table"),
        (
            "[properties.prompt]\nlevels='warn'",
            r"properties.prompt: there is no key 'levels'; .* Did you mean 'level'?",
        ),
        (
            "[properties.prompt]\nlevel='error'",
            "properties.prompt.level is 'error', but must be one of block, warn, ignore",
        ),
        ("[properties.prompt]\ntolerance='5%'", "properties.prompt.tolerance is '5%', but must be a number"),
        (
            "[properties.prompt]\nmin_questions=0",
            "properties.prompt.min_questions is 0, but must be a whole number from 1",
        ),
        ("[markers.slow]\nlevel=['warn']", r"markers.slow.level is \['warn'\], but must be one of"),
        ("[waivers]\nowner='a'", "waivers is .*, but must be a list of tables"),
        (WAIVER.replace("owner='a'\n", ""), "waiver 1 has no owner, but a waiver needs"),
        (WAIVER.replace("reason='b'\n", ""), "waiver 1 has no reason, but a waiver needs"),
        (WAIVER.replace("expires='2026-01-01'\n", ""), "waiver 1 has no expires, but a waiver needs"),
        (WAIVER.replace("property='labels'\n", ""), "waiver 1 names no check. Give property, or where"),
        (WAIVER.replace("'b'", "' '"), "waiver 1: reason is ' ', but must be text"),
        (WAIVER.replace("2026-01-01", "soon"), "waiver 1: expires is soon, but must be a day such as 2026-03-31"),
        (WAIVER.replace("'2026-01-01'", "2026-01-01T00:00:00"), "waiver 1: expires is .*, but must be a day"),
        (WAIVER + "until=1", "waiver 1: there is no key 'until'"),
        (WAIVER + "up_to=1", "waiver 1: up_to is 1, but must be a number from 0 to below 1"),
    ],
)
def test_errors_name_file_key_and_rule(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "gate.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=rf"gate\.toml: {says}"):
        read_policy(file, tmp_path)


def test_the_nearest_pyproject_above_is_read_and_its_keys_are_known(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.llminvariance.gate]\nrequired = ['labels']\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert read_policy(None, tmp_path / "a" / "b").required == ("labels",)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert read_policy(None, tmp_path / "a" / "b").required == ()
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.llminvariance.gates]\nrequired = ['labels']\n")
    with pytest.raises(UsageError, match=r"there is no key 'gates'.* Did you mean 'gate'\?"):
        read_policy(None, tmp_path / "a" / "b")
