"""Malformed files and model specs: each refused with file, line, field and reason, and nothing half-read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    ModelError,
    Question,
    UsageError,
    assert_order_symmetric,
    load_model,
    load_questionnaire,
    load_questions,
)
from pytest_llminvariance.errors import QuestionError
from tests.questions.bad_input import Misuse, assert_refused, of, write

GOOD = '{"stem": "Who?", "options": ["Ann", "Bob"]}\n'
FIELDS = "stem, options, answer, context, scores, reverse_keyed, id, attributes, decision, descriptions"
KNOWN = (
    "demo, a hub id, a folder, hf:..., replay:..., python:..., control:..., openai:..., vllm:..., "
    "decision:..., decisions:..., systemone:..."
)
PRESENT = (
    "question, under, order, labels, template, system, layout, draw, around, probabilities, logprobs_nats, option_logprobs_nats, "
    "decision_logprobs_nats, text, choice, unparsed, refused, option_tokens, sent_sha256, ran_out, unlisted"
)
WHO = Question("Who?", ["Ann", "Bob"], id="q1")


def questions(id: str, name: str, content: str | bytes, message: str) -> Misuse:
    return Misuse(id, lambda folder: load_questions(write(folder, name, content)), QuestionError, message)


def instrument(id: str, content: dict[str, object], message: str) -> Misuse:
    text = json.dumps(content)
    return Misuse(id, lambda folder: load_questionnaire(write(folder, "mini.json", text)), QuestionError, message)


def replay(id: str, content: str | bytes, message: str, error: type[Exception] = UsageError) -> Misuse:
    return Misuse(id, lambda folder: load_model(f"replay:{write(folder, 'a.jsonl', content)}"), error, message)


def asked(id: str, content: str, message: str) -> Misuse:
    def ask(folder: Path) -> object:
        return assert_order_symmetric(load_model(f"replay:{write(folder, 'a.jsonl', content)}"), WHO)

    return Misuse(id, ask, ModelError, message)


def spec(id: str, text: object, message: str, error: type[Exception] = UsageError, **settings: Any) -> Misuse:
    return Misuse(id, lambda _: load_model(of(text), **settings), error, message)


def from_module(folder: Path, content: str) -> object:
    write(folder, "own_models.py", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        return load_model("python:own_models:make")


def in_home(folder: Path) -> object:
    (folder / "mine").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        return load_model("~/mine", revision="main")


QUESTION_FILES = [
    questions("csv without stem", "a.csv", "id,options\n1,a|b\n",
        "a.csv, line 1: the column 'stem' is missing; there are id, options. Pass fields={'stem': ...} to name the column"),
    questions("csv without options", "a.csv", "id,stem\n1,Who?\n",
        "a.csv, line 1: the column 'options' (or 'option_1', 'option_2', ...) is missing; there are id, stem. Pass fields={'options': ...} to name the column"),
    questions("csv empty", "a.csv", "", "a.csv, line 1: the column 'stem' is missing; there are none. Pass fields={'stem': ...} to name the column"),
    questions("csv row too short", "a.csv", "stem,options\nWho?,a|b\nWhen?\n",
        "a.csv, line 3: has fewer cells than the header. Quote texts that hold a separator"),
    questions("csv row too long", "a.csv", "stem,options\nWho, and when?,a|b\n",
        "a.csv, line 2: has more cells than the header. Quote texts that hold a separator"),
    questions("csv score", "a.csv", "stem,options,scores\nWho?,a|b,1;2\n",
        "a.csv, line 2: the score '1;2' is not a number. Separate scores by '|'"),
    questions("csv key", "a.csv", "stem,options,scores,reverse_keyed\nWho?,a|b,1|2,R\n",
        "a.csv, line 2: reverse_keyed is 'R', but must be true or false"),
    questions("csv quote left open", "a.csv", 'stem,options\n"Who?,a|b\n', "a.csv, line 2: unexpected end of data. Close the quote that opens in this row"),
    questions("csv quote left open after blank lines", "a.csv", 'stem,options\nWho?,a|b\n\n"When?,a|b\nx,y\n',
        "a.csv, line 4: unexpected end of data. Close the quote that opens in this row"),
    questions("csv quote left open in the header", "a.csv", 'stem,"options\nWho?,a|b\n',
        "a.csv, line 1: unexpected end of data. Close the quote that opens in this row"),
    questions("csv row of several lines", "a.csv", 'stem,options\n"Who\ncame?",a\n',
        "a.csv, line 2: question 'Who\\ncame?': 1 option(s) ['a'], but a choice needs at least 2"),
    *(
        questions(f"csv {column}", "a.csv", f"stem,{column},option_1\nWho?,a,b\n",
            f"a.csv, line 1: the column '{column}' must be numbered option_1, option_2, ...")
        for column in ("option_0", "option_²", "option_01", "option_a")
    ),
    questions("csv column twice", "a.csv", "stem,stem,options\nWho?,x,a|b\n", "a.csv, line 1: the column 'stem' comes twice"),
    questions("csv two forms of options", "a.csv", "stem,options,option_1\nWho?,a|b,c\n",
        "a.csv, line 1: has both 'options' and 'option_1', ...; keep one of the two forms"),
    questions("csv answer index", "a.csv", "stem,options,answer\nWho?,a|b,2\n",
        "a.csv, line 2: the answer index 2 is outside 0..1; indices count from 0. Pass answers='one_based' if they count from 1"),
    questions("jsonl endless number", "a.jsonl", f'{{"stem": "Who?", "options": ["a", "b"], "scores": [{"1" * 5000}, 1]}}',
        "a.jsonl, line 1: cannot be read: Exceeds the limit <...>"),
    questions("csv one option", "a.csv", "stem,option_1,option_2\nWho?,Ann,\n",
        "a.csv, line 2: question 'Who?': 1 option(s) ['Ann'], but a choice needs at least 2"),
    questions("csv only a header", "a.csv", "stem,options\n", "a.csv: holds no questions"),
    questions("jsonl bad line", "a.jsonl", f"{GOOD}\n{{'stem'}}\n",
        "a.jsonl, line 3: not JSON (Expecting property name enclosed in double quotes at column 2)"),
    questions("jsonl unknown field", "a.jsonl", '{"stem": "Who?", "options": ["a", "b"], "label": 1}',
        "a.jsonl, line 1: 'label' may stand for 'answer', but is not called so. Rename, or pass fields={'answer': 'label'}; "
        "None in place of a column leaves it an attribute"),
    questions("jsonl another unknown field", "a.jsonl", '{"stem": "Who?", "options": ["a", "b"], "topic": 1}',
        f"a.jsonl, line 1: unknown field 'topic'; the fields are {FIELDS}. Put it under attributes, or pass fields={{'stem': 'stem'}}: "
        "with fields, columns that are no field become attributes"),
    questions("jsonl missing stem", "a.jsonl", '{"options": ["a", "b"]}',
        "a.jsonl, line 1: the field 'stem' is missing; there are options. Pass fields={'stem': ...} to name the column"),
    questions("jsonl no object", "a.jsonl", "[1]", "a.jsonl, line 1: [1] is no object with fields"),
    questions("jsonl bad question", "a.jsonl", f'{GOOD}{{"stem": "When?", "options": ["a", "b"], "answer": 2}}',
        "a.jsonl, line 2: the answer index 2 is outside 0..1; indices count from 0. Pass answers='one_based' if they count from 1"),
    questions("jsonl same question twice", "a.jsonl", GOOD * 2,
        "a.jsonl, line 2: 'Who?' repeats line 1 (same stem, options and context). Remove one"),
    questions("json no list", "a.json", '{"stem": "Who?"}',
        "a.json: must hold a list of questions, or an object with 'questions'"),
    questions("json bad row", "a.json", f'{{"questions": [{GOOD}, 5]}}', "a.json, question 2: 5 is no object with fields"),
    questions("ending", "a.txt", GOOD, "a.txt: the ending '.txt' is not known. Use .jsonl, .json, .csv, .tsv or .parquet"),
    questions("not UTF-8", "a.jsonl", '{"stem": "Qué?"}'.encode("latin-1"),
        "a.jsonl: is not UTF-8 text (byte 12 is 0xe9). Pass encoding='cp1252' if '{\"stem\": \"Qué?\"}' reads right, or save it as UTF-8"),
    questions("jsonl endless list", "a.jsonl", "[" * 100_000, "a.jsonl, line 1: cannot be read: maximum recursion depth exceeded<...>"),
    Misuse("path is a number", lambda _: load_questions(of(5)), QuestionError, "path is 5 (int), but must be the path of a file"),
    Misuse("file is missing", lambda folder: load_questions(folder / "none.jsonl"), QuestionError,
        "'<...>none.jsonl' cannot be read: No such file or directory"),
]  # fmt: skip

SCALE = {"options": ["no", "yes"], "scores": [0, 1]}
INSTRUMENTS = [
    instrument("no scale", {"items": []}, "mini.json: must hold an object with 'scale' and 'items'"),
    instrument("unknown field", {"scale": SCALE, "items": [{"stem": "I plan.", "trait": "order", "key": "+"}]},
        "mini.json, item 1: unknown field 'key'; the fields are stem, trait, reverse_keyed, id"),
    instrument("no trait", {"scale": SCALE, "items": [{"stem": "I plan."}]},
        "mini.json, item 1: needs 'stem' and 'trait'; the fields are stem, trait, reverse_keyed, id"),
    instrument("key", {"scale": SCALE, "items": [{"stem": "I plan.", "trait": "order", "reverse_keyed": "R"}]},
        "mini.json, item 1: reverse_keyed is 'R', but must be true or false"),
    instrument("scale without scores", {"scale": {"options": ["no", "yes"]}, "items": [{"stem": "I", "trait": "t"}]},
        "mini.json: scale must hold 'options' and 'scores': it holds 'options'"),
    instrument("scale is None", {"scale": None, "items": []},
        "mini.json: 'items' must be a list, and 'scale' an object with 'options' and 'scores'"),
    instrument("items is a number", {"scale": SCALE, "items": 5},
        "mini.json: 'items' must be a list, and 'scale' an object with 'options' and 'scores'"),
    instrument("item is a number", {"scale": SCALE, "items": [5]}, "mini.json, item 1: 5 is no object with fields"),
    instrument("trait is a number", {"scale": SCALE, "items": [{"stem": "I plan.", "trait": 5}]},
        "mini.json: mini, item 1: trait is 5, but must be text. Name what the item measures"),
    instrument("stem is a number", {"scale": SCALE, "items": [{"stem": "I", "trait": "t"}, {"stem": 5, "trait": "t"}]},
        "mini.json: mini, item 2: question: stem is 5 (int), but must be text"),
    Misuse("path is None", lambda _: load_questionnaire(of(None)), QuestionError,
        "path is None (NoneType), but must be the path of a file"),
    instrument("options as text", {"scale": {"options": "ab", "scores": [0, 1]}, "items": [{"stem": "I", "trait": "t"}]},
        "mini.json: question 'scale': options is 'ab', but must be a list of two or more texts"),
    instrument("name is a number", {"scale": SCALE, "items": [{"stem": "I", "trait": "t"}], "name": 5},
        "mini.json: questionnaire: name is 5, but must be text"),
]  # fmt: skip

REPLAYS = [
    Misuse("file is missing", lambda _: load_model("replay:/no/such.jsonl"), ModelError,
        "replay: '/no/such.jsonl' cannot be read: No such file or directory. Give a JSONL file of recorded answers"),
    replay("empty", "\n", "a.jsonl holds no answers"),
    replay("bad line", '{"question": "q1", "text": "A"}\nA\n',
        "a.jsonl, line 2: not JSON (Expecting value at column 1)"),
    replay("no question", '{"text": "A"}',
        "a.jsonl, line 1: the field 'question' is missing. Give the question's id, content hash or stem"),
    replay("unknown field", '{"question": "q1", "answer": "A"}',
        f"a.jsonl, line 1: unknown field 'answer'; the fields are {PRESENT}"),
    replay("no answer", '{"question": "q1"}', "a.jsonl, line 1: needs exactly one of probabilities, logprobs_nats, "
        "option_logprobs_nats, decision_logprobs_nats, text, choice, unparsed, refused, but has none"),
    replay("two answers", '{"question": "q1", "text": "A", "probabilities": [1, 0]}', "a.jsonl, line 1: needs exactly "
        "one of probabilities, logprobs_nats, option_logprobs_nats, decision_logprobs_nats, text, choice, unparsed, refused, but has probabilities, text"),
    replay("text is no text", '{"question": "q1", "text": 1}', "a.jsonl, line 1: text is 1, but must be text"),
    replay("no numbers", '{"question": "q1", "probabilities": ["1"]}',
        "a.jsonl, line 1: probabilities is ['1'], but must be a list of numbers, one per position"),
    replay("more than 1", '{"question": "q1", "probabilities": [1, 0.1]}',
        "a.jsonl, line 1: probabilities [1, 0.1] must be at least 0 and sum to at most 1"),
    replay("not UTF-8", '{"question": "q1", "text": "é"}'.encode("latin-1"),
        "a.jsonl: is not UTF-8 text (byte 28). Save it as UTF-8"),
    *(
        replay(f"order {order}", f'{{"question": "q1", "text": "A", "order": {order}}}',
            f"a.jsonl, line 1: order is {shown}, but must list each content index 0, 1, ... once")
        for order, shown in (("5", "5"), ("[]", "[]"), ("[0, 0]", "[0, 0]"), ("[1.0, 0]", "[1.0, 0]"), ("[true, false]", "[True, False]"))
    ),
    replay("labels as text", '{"question": "q1", "text": "A", "labels": "AB"}',
        "a.jsonl, line 1: labels is 'AB', but must be a list of texts"),
    replay("template is null", '{"question": "q1", "text": "A", "template": null}',
        "a.jsonl, line 1: template is None, but must be text"),
    replay("sent_sha256 is a number", '{"question": "q1", "text": "A", "sent_sha256": 5}',
        "a.jsonl, line 1: sent_sha256 is 5, but must be text"),
    replay("system is a number", '{"question": "q1", "text": "A", "system": 5}',
        "a.jsonl, line 1: system is 5, but must be text"),
    replay("layout field", '{"question": "q1", "text": "A", "layout": {"mark": "-"}}', "a.jsonl, line 1: layout is {'mark': '-'}, "
        "but must be an object with fields among enumerator, extra_blank_lines, label_case, separator"),
    replay("layout value", '{"question": "q1", "text": "A", "layout": {"separator": 5}}',
        "a.jsonl, line 1: layout: separator is 5 (int), but must be text"),
    replay("above 0", '{"question": "q1", "logprobs_nats": [0.1, -9]}',
        "a.jsonl, line 1: logprobs_nats [0.1, -9] must be at most 0, as logarithms of probabilities are"),
    replay("sum above 1", '{"question": "q1", "logprobs_nats": [-0.1, -0.1]}',
        "a.jsonl, line 1: the probabilities of logprobs_nats [-0.1, -0.1] sum to more than 1"),
    replay("infinite", '{"question": "q1", "logprobs_nats": [Infinity, -1]}',
        "a.jsonl, line 1: logprobs_nats [inf, -1] must be at most 0, as logarithms of probabilities are"),
    *(
        replay(f"no number {value[:4]}", f'{{"question": "q1", "probabilities": [{value}, 0]}}',
            "a.jsonl, line 1: probabilities is [<...>, 0], but must be a list of numbers, one per position")
        for value in ("NaN", "true", "1" + "0" * 400)
    ),
    *(
        replay(f"option_tokens {tokens}", f'{{"question": "q1", "option_logprobs_nats": [-1, -1], "option_tokens": {tokens}}}',
            f"a.jsonl, line 1: option_tokens is {tokens}, but must hold one whole number from 1 for each position")
        for tokens in ("[1]", "[0, 1]", "[1.0, 1]")
    ),
    replay("choice is null", '{"question": "q1", "choice": null}', "a.jsonl, line 1: choice is None, but must be an option's text, "
        'label or content index. Where there was none, write "unparsed": true or "refused": true'),
    replay("refused is false", '{"question": "q1", "refused": false}',
        "a.jsonl, line 1: refused is False, but must be true. Else leave it out and give the answer"),
    replay("under is a list", '{"question": "q1", "text": "A", "under": []}', "a.jsonl, line 1: under is [], but must be text"),
    asked("choice is no option", '{"question": "q1", "order": [0, 1], "choice": "Cy"}\n{"question": "q1", "order": [1, 0], "choice": 0}',
        "replay:a.jsonl, line 1: choice is 'Cy', which names no option of ['Ann', 'Bob'] with the labels A, B. "
        "Give the option's text or its content index"),
    asked("wrong length", '{"question": "q1", "probabilities": [1, 0, 0]}\n{"question": "q1", "order": [1, 0], "probabilities": [1, 0]}',
        "replay:a.jsonl, line 1: 3 probabilities for a question with 2 options"),
    asked("two lines for one question", '{"question": "q1", "text": "A"}\n{"question": "Who?", "text": "B"}\n',
        "replay:a.jsonl: lines 1 and 2 both answer question 'q1' in the order [0, 1]"),
]  # fmt: skip

SPECS = [
    spec("empty", " ", "the model spec is ' ', but must name a model: demo, a hub id, a folder, or SCHEME:TARGET"),
    spec("scheme unknown", "gguf:x", f"the model spec 'gguf:x' has the unknown scheme 'gguf'. Supported: {KNOWN}"),
    spec("scheme only", "replay:", "the model spec 'replay:' ends after the scheme. Write replay:TARGET"),
    spec("control unknown", "control:orakel", "there is no control 'orakel'; the controls are always_first, <...>"),
    spec("control value", "control:noisy=x",
        "control 'noisy' cannot be made with 'x': could not convert string to float: 'x'"),
    spec("no factory", "python:json", "python:json names no factory. Write python:MODULE:FACTORY"),
    spec("factory empty", "python:json:", "python:json: names no factory. Write python:MODULE:FACTORY"),
    spec("module unknown", "python:no_such_module:make", "python:no_such_module:make: the module 'no_such_module' "
        "cannot be imported: No module named 'no_such_module'", ModelError),
    spec("factory unknown", "python:json:make", "python:json:make: 'json' has no callable 'make'", ModelError),
    spec("factory is no callable", "python:os:sep", "python:os:sep: 'os' has no callable 'sep'", ModelError),
    spec("factory makes no model", "python:uuid:uuid4", "model is a UUID, which is not taken.\n"
        "Give (model, tokenizer) of transformers, its text-generation pipeline, a vllm.LLM, a function messages -> text, or (messages, options) -> "
        "{option: probability}, or load_model(spec)"),
    spec("device", "demo", "device is 'gpu', but must be auto, cpu, cuda, cuda:N or mps", device="gpu"),
    spec("device index", "demo", "device is 'cuda:x', but must be auto, cpu, cuda, cuda:N or mps", device="cuda:x"),
    spec("dtype", "demo", "dtype is 'int8', but must be one of auto, float32, bfloat16, float16", dtype="int8"),
    spec("batch_tokens", "demo", "batch_tokens is 0, but must be a whole number from 1", batch_tokens=0),
    spec("threads", "demo", "threads is 1.5, but must be a whole number from 1", threads=1.5),
    spec("device is None", "demo", "device is None, but must be auto, cpu, cuda, cuda:N or mps", device=None),
    spec("device without index", "demo", "device is 'cuda:', but must be auto, cpu, cuda, cuda:N or mps", device="cuda:"),
    spec("prompt_format", "demo", "prompt_format is 'raw', but must be one of auto, chat, plain", prompt_format="raw"),
    spec("demo with target", "demo:x", "the model spec 'demo:x': demo is the packaged model and takes no target. "
        "Write demo, or ./demo for a folder"),
    *(
        spec(f"no folder {path!r}", path, f"there is no folder {shown} (looked at <...>). Give a folder with config.json, tokenizer and weights, "
            "or a hub id", ModelError)
        for path, shown in (("./nope", "./nope"), ("/no/nope", "/no/nope"), (Path("nope"), "./nope"), (Path("~/nope-"), "~/nope-"))
    ),
    spec("control without value", "control:always_first=3",
        "control 'always_first' takes no value, but was given '3'. Write control:always_first"),
    spec("module without name", "python::f", "python::f: the module '' cannot be imported: Empty module name", ModelError),
    spec("module is relative", "python:.r:f", "python:.r:f: the module '.r' cannot be imported: <...>", ModelError),
    spec("factory with arguments", "python:json:loads",
        "python:json:loads: the factory raised TypeError: loads() missing 1 required positional argument: 's'", ModelError),
    Misuse("module raises", lambda folder: from_module(folder, "1 / 0"), ModelError,
        "python:own_models:make: the module 'own_models' cannot be imported: ZeroDivisionError: division by zero"),
    Misuse("module raises an error of its own", lambda folder: from_module(folder, "raise RuntimeError('no key')"), ModelError,
        "python:own_models:make: the module 'own_models' cannot be imported: RuntimeError: no key"),
    Misuse("revision of a folder at home", in_home, UsageError,
        "revision='main' goes with a hub id, not with '~/mine'"),
    Misuse("revision of a folder", lambda folder: load_model(folder, revision="main"), UsageError,
        "revision='main' goes with a hub id, not with '<...>'"),
    spec("revision", "control:oracle", "revision='main' goes with a hub id, not with 'control:oracle'", revision="main"),
]  # fmt: skip


@pytest.mark.parametrize(
    "misuse",
    [
        pytest.param(misuse, id=f"{kind}: {misuse.id}")
        for kind, misuses in (
            ("file", QUESTION_FILES),
            ("instrument", INSTRUMENTS),
            ("replay", REPLAYS),
            ("spec", SPECS),
        )
        for misuse in misuses
    ],
)
def test_is_refused(misuse: Misuse, tmp_path: Path) -> None:
    assert_refused(misuse, tmp_path)
