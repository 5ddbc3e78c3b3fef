"""Recorded answers: what is recorded can be judged again, and what is missing is never guessed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    Finding,
    Layout,
    Model,
    ModelError,
    Presentation,
    Question,
    Relabel,
    Reword,
    Template,
    Transform,
    UndecidedError,
    UsageError,
    Verdict,
    assert_order_symmetric,
    check,
    controls,
    load_model,
    run,
    symmetrized,
)
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, MissingReply, TextReply, TextRequest
from pytest_llminvariance.models.replay import AnswerWriter
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE
from tests.questions.bad_input import write

WHO = Question("Who?", ["Ann", "Bob", "Cy"], id="q1", answer="Bob")
SUITE = (
    WHO,
    Question("When?", ["now", "then", "never"], answer="never"),
    Question("Where?", ["here", "there", "away", "up"], context="Look:"),
)
WAYS = Reword(
    (
        Template("{context}{stem}\n\n{options}\n\nAnswer:", name="short"),
        Template("{context}{stem}\n\n{options}\n\nAnswer with one of {labels}.", name="long", labels=tuple("1234")),
    )
)
CONTROLS: Mapping[str, Callable[[], Model]] = {
    "oracle": controls.oracle,
    "always_first": controls.always_first,
    "noisy": controls.noisy,
    "tie_maker": controls.tie_maker,
    "refuser": controls.refuser,
    "position_prior": lambda: controls.position_prior(3),
    "prompt_sensitive": controls.prompt_sensitive,
}
DIFFERENT: Mapping[str, Any] = {"model": "", "fingerprint": "", "tokens": 0}


def judged(model: Model, under: str | Transform, readout: str) -> Finding:
    with run():  # a memory of its own: the session's would answer in the place of a recorder
        finding = check(under, model, SUITE, tolerance=0.1, readout=readout)
    return dataclasses.replace(finding, **DIFFERENT)


def recorded(model: Model, file: Path, under: str | Transform, readout: str) -> Finding:
    return judged(AnswerWriter(model, file), under, readout)


@pytest.mark.parametrize("readout", ["label", "option", "option_sum", "text"])
@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("under", ["option_order", Relabel(), WAYS], ids=["orders", "labels", "prompts"])
def test_recorded_answers_give_the_same_finding(tmp_path: Path, under: Any, name: str, readout: str) -> None:
    if (name, readout[:6]) == ("refuser", "option"):
        pytest.skip("this control gives no answer at all here, and nothing is recorded")
    file = tmp_path / "answers.jsonl"
    direct = recorded(CONTROLS[name](), file, under, readout)
    assert judged(load_model(f"replay:{file}"), under, readout) == direct


def test_a_recording_can_be_replayed_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    direct = recorded(controls.oracle(), file, "option_order", "label")
    assert judged(load_model(f"replay:{file}"), "option_order", "label") == direct


def test_recording_changes_nothing(tmp_path: Path) -> None:
    direct = judged(controls.noisy(), "option_order", "label")
    assert recorded(controls.noisy(), tmp_path / "answers.jsonl", "option_order", "label") == direct


def test_recorder_has_the_models_name_and_a_fingerprint_of_its_own(tmp_path: Path) -> None:
    model = AnswerWriter(controls.oracle(), tmp_path / "a.jsonl")
    assert (model.name, model.fingerprint) == ("oracle", "recorded(control:oracle)")
    assert model.capabilities == controls.oracle().capabilities


def test_a_recorder_keeps_the_frame_of_its_model(tmp_path: Path) -> None:
    model = AnswerWriter(symmetrized(controls.oracle(), "reversed"), tmp_path / "a.jsonl")
    assert model.frame_orders(3) == ((0, 1, 2), (2, 1, 0))
    assert not hasattr(AnswerWriter(controls.oracle(), tmp_path / "b.jsonl"), "frame_orders")


def test_what_a_replay_cannot_tell_apart_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    model = AnswerWriter(controls.oracle(), file)
    assert file.read_text() == ""
    shown, renamed = Presentation(WHO), Presentation(Question("Who?", WHO.options, id="q2", answer="Bob"))
    model.answer([TextRequest(shown), TextRequest(shown), LabelRequest(shown)])
    model.answer([TextRequest(shown), TextRequest(shown, 64), TextRequest(renamed)])
    assert len(file.read_text().splitlines()) == 2
    (reply,) = load_model(f"replay:{file}").answer([TextRequest(shown)])
    assert reply == dataclasses.replace(model.inner.answer([TextRequest(shown)])[0], n_tokens=0)


@pytest.mark.parametrize(
    "templates",
    [
        (Template("{stem} {options} 1", name="same"), Template("{stem} {options} 2", name="same")),
        (Template("{stem} {options} with a long end 1"), Template("{stem} {options} with a long end 2")),
        (Template("{stem} {options}", system="Be kind."), Template("{stem} {options}", system="Be brief.")),
        (Template("{stem} {options}", system="Be kind."), Template("{stem} {options}")),
    ],
    ids=["name", "beginning", "text", "system or none"],
)
def test_templates_that_share_something_are_told_apart(tmp_path: Path, templates: tuple[Template, ...]) -> None:
    requests = [TextRequest(Presentation(WHO, template=template)) for template in templates]
    direct = AnswerWriter(controls.oracle(), tmp_path / "a.jsonl").answer(requests)
    replayed = load_model(f"replay:{tmp_path / 'a.jsonl'}").answer(requests)
    assert [reply.sent_sha256 for reply in replayed] == [reply.sent_sha256 for reply in direct]


def test_recorder_refuses_a_file_that_it_cannot_begin(tmp_path: Path) -> None:
    used = write(tmp_path, "used.jsonl", "{}\n")
    with pytest.raises(UsageError, match=r"used\.jsonl' already holds answers\. Name a new file, or remove it$"):
        AnswerWriter(controls.oracle(), used)
    for path in (tmp_path, tmp_path / "none" / "a.jsonl"):
        with pytest.raises(UsageError, match=r"cannot be written: .*\. Name a file in a folder$"):
            AnswerWriter(controls.oracle(), path)


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": "q1", "text": "B\u2028\u0085!"}\n')
    (reply,) = load_model(f"replay:{file}").answer([TextRequest(Presentation(WHO))])
    assert isinstance(reply, TextReply)
    assert reply.text == "B\u2028\u0085!"


def test_an_id_that_is_the_stem_matches_a_row_once(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": "Who?", "layout": {"separator": "\\n"}, "text": "B"}')
    same = Question("Who?", WHO.options, id="Who?")
    (reply,) = load_model(f"replay:{file}").answer([TextRequest(Presentation(same))])
    assert isinstance(reply, TextReply)


def test_probabilities_of_zero_can_be_recorded(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": "q1", "logprobs_nats": [-Infinity, 0.0000001, -Infinity]}')
    (reply,) = load_model(f"replay:{file}").answer([LabelRequest(Presentation(WHO))])
    assert isinstance(reply, LabelReply)


def partly_recorded(folder: Path, keep: Callable[[list[int]], bool]) -> Finding:
    """Judge a recording of which only some orders are kept."""
    file = folder / "answers.jsonl"
    recorded(controls.oracle(), file, "option_order", "label")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    kept = [row for row in rows if keep(row["order"])]
    assert 0 < len(kept) < len(rows)
    file.write_text("\n".join(map(json.dumps, kept)))
    return judged(load_model(f"replay:{file}"), "option_order", "label")


def test_answers_that_were_not_recorded_leave_the_verdict_open(tmp_path: Path) -> None:
    finding = partly_recorded(tmp_path, lambda order: order[:2] == [0, 1] or order[:2] == [1, 0])
    assert finding.verdict is Verdict.UNDECIDED
    assert any("missing" in reason for reason in finding.reasons)
    assert finding.effect.low == 0
    assert 0.5 < finding.effect.high < 1


def test_one_recorded_answer_per_question_is_called_missing_not_unreached(tmp_path: Path) -> None:
    finding = partly_recorded(tmp_path, lambda order: order == sorted(order))
    assert finding.verdict is Verdict.UNDECIDED
    assert any("missing" in reason for reason in finding.reasons)
    assert not any("did not reach" in reason for reason in finding.reasons)


def test_missing_answers_are_named_in_the_message(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": "q1", "order": [0, 1, 2], "text": "B"}')
    with pytest.raises(UndecidedError, match=r"option order is undecided(.|\n)*missing"):
        assert_order_symmetric(load_model(f"replay:{file}"), WHO)


@pytest.mark.parametrize("key", ["q1", "Who?", WHO.content_hash], ids=["id", "stem", "content hash"])
def test_question_is_found_by_id_stem_or_hash(tmp_path: Path, key: str) -> None:
    rows = [
        {"question": key, "order": list(order), "text": "ABC"[order.index(1)]}
        for order in [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    ]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    finding = check("option_order", load_model(f"replay:{file}"), WHO, tolerance=0.1, orders="cyclic")
    assert (finding.effect.low, finding.effect.high) == (0, 0)


ORDERS = ([0, 1, 2], [2, 1, 0])


def replayed(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Finding:
    file = write(folder, "a.jsonl", "\n".join(map(json.dumps, rows)))
    settings = {"orders": "reversed", "readout": "text", **settings}
    with run():
        return check("option_order", load_model(f"replay:{file}"), WHO, tolerance=0.1, **settings)


def test_a_row_without_order_labels_template_and_layout_is_the_presentation_as_written(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": "q1", "text": "A"}')
    model = load_model(f"replay:{file}")
    others = [
        Presentation(WHO, order=[1, 0, 2]),
        Presentation(WHO, labels="123"),
        Presentation(WHO, template="{stem} {options}"),
        Presentation(WHO, layout=Layout(separator="; ")),
        Presentation(WHO, template=Template(DEFAULT_TEMPLATE.text, name="default", system="Be kind.")),
    ]
    written, *rest = model.answer([TextRequest(p) for p in (Presentation(WHO), *others)])
    assert isinstance(written, TextReply)
    assert rest == [MissingReply("not recorded")] * len(others)


def test_a_named_template_brings_its_own_labels_layout_and_direction(tmp_path: Path) -> None:
    way = Template("{stem} {options}", name="own", labels=tuple("xyz"), layout=Layout(separator="; "), reverse=True)
    model = load_model(
        f"replay:{write(tmp_path, 'a.jsonl', json.dumps({'question': 'q1', 'template': 'own', 'text': 'x'}))}"
    )
    (reply,) = model.answer([TextRequest(Presentation(WHO, template=way))])
    assert isinstance(reply, TextReply)


@pytest.mark.parametrize(
    ("first", "second", "flips"),
    [
        ("Ann", "Ann", 0),
        ("A", "C", 0),
        (0, 0, 0),
        ("A", "A", 1),
        ("Ann", "Bob", 1),
        (1, 2, 1),
        (" Ann\u00a0", "Ann", 0),
    ],
)
def test_a_row_may_say_what_was_chosen(tmp_path: Path, first: Any, second: Any, flips: int) -> None:
    rows = [
        {"question": "q1", "order": order, "choice": told} for order, told in zip(ORDERS, (first, second), strict=True)
    ]
    finding = replayed(tmp_path, rows)
    assert (finding.effect.low, finding.effect.high) == (flips, flips)


@pytest.mark.parametrize(("told", "verdict"), [("refused", Verdict.BROKEN), ("unparsed", Verdict.UNDECIDED)])
def test_a_row_may_say_that_nothing_was_chosen(tmp_path: Path, told: str, verdict: Verdict) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "q1", "order": ORDERS[0], "choice": "Ann"},
        {"question": "q1", "order": ORDERS[1], told: True},
    ]
    assert replayed(tmp_path, rows).verdict is verdict, "a refusal is an answer of its own"


def test_a_choice_that_is_a_label_and_another_options_text_is_refused(tmp_path: Path) -> None:
    asked = Question("Which?", ["B", "A", "C"], id="q1")
    for told, ok in (("A", False), (1, True), ("C", True)):
        file = write(tmp_path, "a.jsonl", json.dumps({"question": "q1", "choice": told}))
        model = load_model(f"replay:{file}")
        if ok:
            (reply,) = model.answer([TextRequest(Presentation(asked))])
            assert isinstance(reply, TextReply)
        else:
            with pytest.raises(ModelError, match="names more than one option, by text and by label"):
                model.answer([TextRequest(Presentation(asked))])


def test_rows_by_id_answer_under_other_stems_too(tmp_path: Path) -> None:
    other = Question("Where?", ["here", "there", "away"], id="q2")
    rows = [
        {"question": "q1", "choice": "Bob"},
        {"question": "q1", "under": "q2", "choice": "Cy"},
        {"question": "Where?", "choice": "away"},
    ]
    model = load_model(f"replay:{write(tmp_path, 'a.jsonl', chr(10).join(map(json.dumps, rows)))}")
    asked = [WHO, WHO.under(other), other, other.under(WHO)]
    texts = [getattr(reply, "text", None) for reply in model.answer([TextRequest(Presentation(q)) for q in asked])]
    assert texts == ["B", "C", "C", None], "no row is taken for the options of another question"


def test_number_ids_are_found(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"question": 17, "choice": "b"}')
    model = load_model(f"replay:{file}")
    (reply,) = model.answer([TextRequest(Presentation(Question("Who?", ["a", "b"], id="17")))])
    assert isinstance(reply, TextReply)


def test_rows_that_answer_nothing_while_answers_are_missing_are_an_error_that_lists_both(tmp_path: Path) -> None:
    rows = [{"question": "q1", "template": "v1", "order": order, "text": "A"} for order in ORDERS]
    with pytest.raises(UsageError) as caught:
        replayed(tmp_path, rows)
    assert str(caught.value) == (
        "replay:a.jsonl: 2 presentations have no answer, while 2 rows answer nothing that is asked.\n"
        "  rows: line 1: question 'q1', template 'v1', order [0, 1, 2]; line 2: question 'q1', template 'v1', order [2, 1, 0]\n"
        "  asked: question 'q1', template 'default', order [0, 1, 2]; question 'q1', template 'default', order [2, 1, 0]\n"
        "  templates: the rows have 'v1', asked are 'default'\n"
        "Correct question, template, order, labels or layout of the rows, or give each check a file of its own"
    )


def test_rows_that_an_earlier_check_used_are_no_error(tmp_path: Path) -> None:
    rows = [{"question": "q1", "order": order, "text": "A"} for order in ORDERS]
    model = load_model(f"replay:{write(tmp_path, 'a.jsonl', chr(10).join(map(json.dumps, rows)))}")
    with run():
        check("option_order", model, WHO, tolerance=0.1, orders="reversed")
        assert check("labels", model, WHO, tolerance=0.1).verdict is Verdict.UNDECIDED


def test_probabilities_stand_by_position_as_shown(tmp_path: Path) -> None:
    rows = [
        {"question": "q1", "order": [0, 1, 2], "probabilities": [0.1, 0.7, 0.2]},
        {"question": "q1", "order": [2, 1, 0], "probabilities": [0.2, 0.7, 0.1]},
    ]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    finding = check("option_order", load_model(f"replay:{file}"), WHO, tolerance=0.1, orders="reversed", metric="tv")
    assert finding.effect.low == 0
    assert finding.effect.high < 1e-3


def test_capabilities_are_what_was_recorded(tmp_path: Path) -> None:
    rows = '{"question": "q1", "text": "A"}\n{"question": "q1", "option_logprobs_nats": [-1, -2, -3]}\n'
    assert load_model(f"replay:{write(tmp_path, 'a.jsonl', rows)}").capabilities == {"text", "option"}


def test_fingerprint_follows_the_bytes(tmp_path: Path) -> None:
    rows = {"a.jsonl": "A", "b.jsonl": "A", "c.jsonl": "B"}
    files = [write(tmp_path, name, json.dumps({"question": "q1", "text": text})) for name, text in rows.items()]
    one, same, other = (load_model(f"replay:{file}").fingerprint for file in files)
    assert one == same != other
