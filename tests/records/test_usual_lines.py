"""Lines that are read without JSON: they say what JSON and the schema say of them, and no other line is taken for one."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Question
from pytest_llminvariance.cli.auditing import AuditPlan, run_audit
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.files import json_line
from pytest_llminvariance.models.protocol import LabelReply
from pytest_llminvariance.records import directory, lines
from pytest_llminvariance.records.judge import judge
from pytest_llminvariance.records.lines import DECODER
from pytest_llminvariance.records.record import load
from pytest_llminvariance.records.shapes import check_shape, with_defaults
from pytest_llminvariance.records.sheets import reply_data, reply_from
from pytest_llminvariance.records.usual_lines import usual_place, usual_reply, usual_row

SHA = "0123456789abcdef" * 4
LABEL = (
    f'{{"check": "c1", "role": "planned", "index": [3, 17], "prompt_sha256": "{SHA}", "request_sha256": null, '
    '"reply": {"kind": "label", "logprobs_nats": [-0.5, -1.25e-05, "-inf"]}, "tokens": 12, "sent_tokens": 40}\n'
)
OPTION = (
    f'{{"check": "c1", "role": "foreign", "index": [0, 1], "prompt_sha256": null, "request_sha256": "{SHA}", '
    '"reply": {"kind": "option", "logprobs_nats": [-3.5, -2.0], "option_tokens": [1, 2]}, "tokens": 0, "remembered": true}\n'
)


def read_by_json(text: bytes) -> dict[str, Any] | None:
    """Return what a line says by its schema; `None` where that refuses it."""
    try:
        row = DECODER.decode(text.decode("utf-8", "surrogatepass"))
        check_shape("answer", row, "here")
    except (ValueError, RecordError):
        return None
    return with_defaults("answer", row)


def agree(text: bytes) -> bool:
    """Return whether a line is usual, and hold that it then says what JSON says of it."""
    row = usual_row(text)
    assert (row is None) == (usual_reply(text) is None) == (usual_place(text) is None)
    if row is None:
        return False
    assert repr(row) == repr(read_by_json(text)), text
    assert repr(usual_reply(text)) == repr(reply_from(row["reply"], row["prompt_sha256"], row["tokens"]))
    place = usual_place(text)
    assert place == (row["check"], row["role"], *row["index"], len(row["reply"]["logprobs_nats"]))
    return True


@pytest.mark.parametrize(
    ("readout", "is_usual"), [("label", True), ("option", True), ("text", False)], ids=["label", "option", "text"]
)
def test_what_is_written_is_read_as_json_reads_it(tmp_path: Path, readout: str, *, is_usual: bool) -> None:
    questions = tuple(Question(f"Which is {n}?", [f"{c}{n}" for c in "abc"], answer=n % 3) for n in range(4))
    run_audit(
        AuditPlan(spec="control:noisy=0.3", questions=questions, properties=("order",), readout=readout), tmp_path
    )
    texts = (tmp_path / "answers.jsonl").read_bytes().splitlines(keepends=True)
    counts = Counter(map(agree, texts))
    assert counts[is_usual] >= 24, counts


@pytest.mark.parametrize("text", [LABEL, OPTION])
def test_no_line_with_another_byte_is_taken_for_what_json_does_not_read(text: str) -> None:
    """Whatever single byte is lost, doubled or changed: both say the same, or only JSON and the schema speak."""
    data, chance = text.encode(), random.Random(7)
    assert agree(data)
    usual = 0
    for place in range(len(data)):
        others = [bytes([code]) for code in (*b'0123456789-+.eE",:[]{} \\\n', chance.randrange(256))]
        for instead in (b"", 2 * data[place : place + 1], *others):
            usual += agree(data[:place] + instead + data[place + 1 :])
    assert usual > 900, "digits, and letters of names, may be others"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-0.5", "NaN"), ("-0.5", "-Infinity"), ("-0.5", "1e999"), ("-0.5", "-00.5"), ("-0.5", ".5"), ("-0.5", "true"), ("-0.5", '"-inf'),
        ("[3, 17]", "[-3, 17]"), ("[3, 17]", "[3.0, 17]"), ("[3, 17]", "[3]"), ("[3, 17]", "[03, 17]"), ("planned", "search"),
        ("label", "option"), ("label", "text"), ('"-inf"]', '"-inf"], "option_tokens": [1, 2, 3]'), ("12,", "-12,"), ("null", '"abc"'),
        (', "-inf"', ""), (', -1.25e-05, "-inf"', ""), ("c1", "c\\u0031"), ("c1", "é"), ("c1", "\t"), ("}\n", "}"), ('"tokens"', '"token"'),
    ],
)  # fmt: skip
def test_what_a_schema_refuses_or_json_alone_can_read_is_not_usual(old: str, new: str) -> None:
    assert LABEL.count(old) == 1
    text = LABEL.replace(old, new).encode()
    assert agree(text) == (old == ', "-inf"'), "with one value less it is an answer to another question"


def test_a_judge_unpacks_each_block_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To find its lines, to read what was planned, and what came under foreign stems.

    These stand in no order among the others where questions have the same options, as each is a prompt of another question.
    """
    monkeypatch.setattr(directory, "PACK_FROM", 1)
    monkeypatch.setattr(lines, "BLOCK", 3_000)
    monkeypatch.setattr(lines, "N_BLOCKS", 1)
    questions = tuple(Question(f"Which is {n}?", list("abc"), answer=n % 3) for n in range(40))
    run_audit(AuditPlan(spec="control:oracle", questions=questions, properties=("order",)), tmp_path)
    file, record = tmp_path / "answers.jsonl.gz", load(tmp_path)
    n_blocks, unpacked = len(list(lines._blocks(file))), Counter[tuple[Path, int]]()
    kept = lines._block_at

    def counted(file: Path, start: int) -> tuple[bytes, int] | None:
        unpacked[file, start] += 1
        return kept(file, start)

    monkeypatch.setattr(lines, "_block_at", counted)
    (item,) = judge(record)
    assert item.row == item.stored
    assert n_blocks > 20
    assert max(n for (one, _), n in unpacked.items() if one == file) <= 3


def test_what_a_server_did_not_tell_is_read_back() -> None:
    reply = LabelReply((-0.5, -2.5), SHA, 12, 0.25)
    row: dict[str, Any] = {
        "check": "c1",
        "role": "planned",
        "index": [0, 0],
        "prompt_sha256": SHA,
        "tokens": 12,
        "reply": reply_data(reply),
    }
    read = read_by_json(json_line(row))
    assert read is not None
    assert reply_from(read["reply"], read["prompt_sha256"], read["tokens"]) == reply
    assert read_by_json(json_line({**row, "reply": {**row["reply"], "unlisted": 1.5}})) is None
