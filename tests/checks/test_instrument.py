"""The tables of a Likert instrument against plain numpy and scipy, cell by cell, on answers made for the test."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pytest_llminvariance import Item, Questionnaire, Scale, UsageError, Verdict, controls, instrument, run
from pytest_llminvariance.measures.paired_tests import benjamini_hochberg, holm, permutation_p, rank_p
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.report.instrument import Instrument

FIVE = Scale(("very inaccurate", "inaccurate", "neither", "accurate", "very accurate"), (1, 2, 3, 4, 5))
WAYS = ("letters with text", "digits with a legend", "bare digits with end words")
DIRECTIONS = ("as written", "reversed")
TRAITS = ("openness", "order", "talk", "warmth", "worry")


def big(n: int, traits: Sequence[str] = TRAITS) -> Questionnaire:
    items = [
        Item(f"I do thing number {i}.", traits[i % len(traits)], reverse_keyed=i // len(traits) % 2 == 1, id=f"i{i}")
        for i in range(n)
    ]
    return Questionnaire(tuple(items), FIVE, "made up")


def planted(q: Questionnaire, seed: int, unparsed: float = 0.04) -> np.ndarray:
    """Scores as printed by way, direction and item, NaN where unparsed: traits, acquiescence and a pull of each condition."""
    rng = np.random.default_rng(seed)
    level = dict(zip(q.traits, rng.uniform(1.8, 4.2, len(q.traits)), strict=True))
    keyed = np.array([level[item.trait] for item in q.items])
    minus = np.array([item.reverse_keyed for item in q.items])
    content = np.where(minus, 6 - keyed, keyed)
    pull = rng.normal(0, 0.5, (3, 2, 1))
    raw = np.clip(np.rint(content + pull + rng.normal(0, 0.8, (3, 2, len(q)))), 1, 5)
    raw[rng.random(raw.shape) < unparsed] = np.nan
    return raw


def written(q: Questionnaire, raw: np.ndarray, path: Path) -> Path:
    """Write the answers as a run would have recorded them: letters, digits in sentences, garbage where unparsed."""
    lines = []
    for (w, way), (d, _), (i, item) in itertools.product(enumerate(WAYS), enumerate(DIRECTIONS), enumerate(q.items)):
        score = raw[w, d, i]
        place = None if np.isnan(score) else int(score) - 1 if d == 0 else 5 - int(score)
        text = (
            "I would rather talk of the weather"
            if place is None
            else "ABCDE"[place]
            if w == 0
            else f"Answer: {place + 1}"
        )
        order = [0, 1, 2, 3, 4] if d == 0 else [4, 3, 2, 1, 0]
        lines.append(json.dumps({"question": item.id, "template": way, "order": order, "text": text}))
    path.write_text("\n".join(lines))
    return path


def plain_cells(q: Questionnaire, raw: np.ndarray, margin: float) -> list[dict[str, Any]]:
    """The cells by numpy and scipy alone."""
    minus = np.array([item.reverse_keyed for item in q.items])
    keyed = np.where(minus, 6 - raw, raw)
    low, high = np.nan_to_num(keyed, nan=1), np.nan_to_num(keyed, nan=5)
    found = []
    for trait in q.traits:
        mask = np.array([item.trait == trait for item in q.items])
        pairs = [("order", (w, 0), (w, 1)) for w in range(3)]
        pairs += [("prompt", (a, d), (b, d)) for a, b in itertools.combinations(range(3), 2) for d in range(2)]
        for kind, a, b in pairs:
            x, y = keyed[a][mask], keyed[b][mask]
            d = (y - x)[~np.isnan(y - x)]
            ends = (low[b][mask] - high[a][mask]).mean(), (high[b][mask] - low[a][mask]).mean()
            verdict = (
                "BROKEN" if ends[0] > margin or ends[1] < -margin
                else "HOLDS" if -margin <= ends[0] and ends[1] <= margin else "UNDECIDED"
            )  # fmt: skip
            rank = 1.0 if not d.any() else stats.wilcoxon(d).pvalue
            found.append(
                {"kind": kind, "trait": trait, "effect": d.mean(), "low": ends[0], "high": ends[1], "pairs": len(d),
                 "verdict": verdict, "p_permutation": signs_p(d), "p_rank": rank}
            )  # fmt: skip
    for name in ("p_permutation", "p_rank"):
        p = np.array([cell[name] for cell in found])
        order = np.argsort(p, kind="stable")
        stepped = np.minimum(1, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
        back = np.empty(len(p))
        back[order] = stepped
        for cell, one, other in zip(found, back, stats.false_discovery_control(p), strict=True):
            cell[f"{name}_holm"], cell[f"{name}_bh"] = one, other
    return found


def signs_p(d: np.ndarray) -> float:
    """The exact distribution of the sum under random signs, as a product of polynomials."""
    product = np.array([1.0])
    for size in np.abs(d[d != 0]).astype(int):
        factor = np.zeros(2 * size + 1)
        factor[[0, -1]] = 0.5
        product = np.convolve(product, factor)
    sums = np.arange(len(product)) - len(product) // 2
    return float(min(1, product[np.abs(sums) >= abs(d.sum()) - 1e-9].sum()))


def same(ours: Any, theirs: Any) -> bool:
    return bool(ours == (theirs if isinstance(theirs, str) else pytest.approx(theirs, abs=1e-9)))


def test_300_items_in_3_administrations_and_2_directions_equal_plain_numpy_and_scipy(tmp_path: Path) -> None:
    q = big(300)
    raw = planted(q, 1)
    made = instrument(written(q, raw, tmp_path / "a.jsonl"), q, margin=0.3)
    assert made.prompts == 1_800
    rows, plain = made.rows(), plain_cells(q, raw, 0.3)
    assert len(rows) == len(plain) == 5 * (3 + 3 * 2)
    wrong = [
        (row["cell"], name)
        for row, cell in zip(rows, plain, strict=True)
        for name in cell
        if not same(row[name], cell[name])
    ]
    assert not wrong
    assert {row["verdict"] for row in rows} == set(Verdict)
    minus = np.array([item.reverse_keyed for item in q.items])
    keyed = np.where(minus, 6 - raw, raw)
    for row in made.rows("table"):
        part = keyed[WAYS.index(row["administration"]), DIRECTIONS.index(row["direction"])]
        part = part[[item.trait == row["trait"] for item in q.items]]
        known = part[~np.isnan(part)]
        assert (row["n"], row["unparsed"]) == (len(known), len(part) - len(known))
        assert row["mean"] == pytest.approx(known.mean())
        assert row["sd"] == pytest.approx(known.std(ddof=1))
        assert (row["low"], row["high"]) == pytest.approx(
            (np.nan_to_num(part, nan=1).mean(), np.nan_to_num(part, nan=5).mean())
        )


def test_acceptance_equals_plain_numpy(tmp_path: Path) -> None:
    q = big(300)
    raw = planted(q, 2)
    minus = np.array([item.reverse_keyed for item in q.items])
    rows = instrument(written(q, raw, tmp_path / "a.jsonl"), q).rows("acceptance")
    for row in rows:
        w = WAYS.index(row["administration"])
        one = raw[w, DIRECTIONS.index(row["direction"])]
        plus, mirrored = one[~minus & ~np.isnan(one)], 6 - one[minus & ~np.isnan(one)]
        assert row["acquiescence"] == pytest.approx(plus.mean() - mirrored.mean())
        welch = stats.ttest_ind(plus, mirrored, equal_var=False).confidence_interval(0.99)
        assert row["low"] < welch.low < welch.high < row["high"], "open answers widen it"
        a, b = raw[w]
        known = ~np.isnan(a + b)
        both = known & (a == 3) & (b == 3)
        assert row["kept_both"] == both.sum()
        assert row["kept_content"] == (known & (a == b)).sum() - both.sum()
        assert row["kept_position"] == (known & (a == 6 - b)).sum() - both.sum()
        assert sum(row[f"kept_{name}"] for name in ("content", "position", "both", "other")) == 300


def test_welch_interval_and_alpha_without_open_answers(tmp_path: Path) -> None:
    q = big(60)
    sheets = [planted(q, seed, unparsed=0) for seed in range(4)]
    made = instrument([written(q, raw, tmp_path / f"{n}.jsonl") for n, raw in enumerate(sheets)], q)
    minus = np.array([item.reverse_keyed for item in q.items])
    row = made.rows("acceptance")[0]
    plus, mirrored = sheets[0][0, 0][~minus], 6 - sheets[0][0, 0][minus]
    welch = stats.ttest_ind(plus, mirrored, equal_var=False).confidence_interval(0.99)
    assert (row["low"], row["high"]) == pytest.approx((welch.low, welch.high))
    people = np.concatenate([raw.reshape(6, 60) for raw in sheets])
    for found in made.rows("consistency"):
        mask = np.array([item.trait == found["trait"] for item in q.items])
        for name, scores in (("before", people[:, mask]), ("after", np.where(minus, 6 - people, people)[:, mask])):
            k = scores.shape[1]
            alpha = k / (k - 1) * (1 - scores.var(axis=0, ddof=1).sum() / scores.sum(axis=1).var(ddof=1))
            assert found[name] == pytest.approx(alpha)
        assert (found["items"], found["rows"]) == (12, 24)
        assert found["after"] > found["before"]
    assert len({row["model"] for row in made.rows()}) == 4


def test_7200_recorded_answers_take_less_than_20_seconds(tmp_path: Path) -> None:
    q = big(300)
    files = [written(q, planted(q, seed), tmp_path / f"{seed}.jsonl") for seed in range(4)]
    began = time.process_time()
    made = instrument(files, q)
    assert made.prompts == 7_200
    assert time.process_time() - began < 20


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12])
def test_the_permutation_test_is_scipys_where_that_is_exact(n: int) -> None:
    rng = np.random.default_rng(n)
    for values in (rng.integers(-4, 5, n).astype(float), rng.integers(-800, 801, n) * 0.004):
        theirs = stats.permutation_test(
            (values, np.zeros(n)), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
            vectorized=True, n_resamples=np.inf,
        ).pvalue if n > 1 else 1.0  # fmt: skip
        assert permutation_p(values.tolist(), 1, 4) == pytest.approx(theirs)


def test_p_values_of_nothing() -> None:
    assert permutation_p([], 1, 4) is rank_p([]) is None
    assert permutation_p([0.0, 0.0], 1, 4) == rank_p([0.0, 0.0]) == 1
    assert holm([None, 0.5, 0.01]) == [None, 0.5, 0.02]
    assert benjamini_hochberg([0.04, None, 0.01]) == [0.04, None, 0.02]


SMALL = big(40)


@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("oracle", Verdict.HOLDS, ""),
        ("acquiescent=0.8", Verdict.HOLDS, ""),
        ("prompt_sensitive", Verdict.BROKEN, ""),
        ("noisy=0.9", Verdict.BROKEN, ""),
        ("refuser", Verdict.UNDECIDED, "open answers leave it between -4 and +4"),
        ("stem_blind", Verdict.UNDECIDED, "the answers hardly depend on the item"),
        ("uniform", Verdict.UNDECIDED, "the answers hardly depend on the item"),
        ("always_first", Verdict.UNDECIDED, "the answers hardly depend on the item"),
        (
            "position_prior=2",
            Verdict.UNDECIDED,
            "a reversal leaves more positions than contents in place, and items keyed both ways hide that",
        ),
    ],
)
def test_controls(name: str, verdict: Verdict, reason: str) -> None:
    made = instrument(f"control:{name}", SMALL)
    assert made.verdict is verdict
    assert not reason or reason in {cell.reason for cell in made.cells}
    if verdict is Verdict.UNDECIDED:
        assert Verdict.HOLDS not in {cell.verdict for cell in made.cells}


def test_items_keyed_one_way_show_an_answer_by_place() -> None:
    items = tuple(Item(f"I like {n}.", "taste") for n in range(12))
    made = instrument(controls.always_first(), Questionnaire(items, FIVE, "one way"))
    assert {cell.verdict for cell in made.cells if cell.more["kind"] == "order"} == {Verdict.BROKEN}


def test_open_answers_widen_by_what_they_may_have_been_and_no_more(tmp_path: Path) -> None:
    q = big(40)
    raw = planted(q, 3, unparsed=0)
    raw[0, 1, 0] = np.nan
    rows = {row["cell"]: row for row in instrument(written(q, raw, tmp_path / "a.jsonl"), q).rows()}
    hit = rows["order: openness, letters with text"]
    assert hit["high"] - hit["low"] == pytest.approx(4 / 8)
    assert sum(row["high"] > row["low"] for row in rows.values()) == 3


def test_keys_that_look_mistyped_are_named_and_agreeing_is_no_wrong_key() -> None:
    def respond(shown: Presentation) -> Sequence[float]:
        number = int(re.findall(r"\d+", shown.question.stem)[0])
        return [0.96 if content == (0 if number // 5 % 2 else 4) else 0.01 for content in shown.order]

    mine = Control("keyed", respond)
    assert not instrument(mine, SMALL).warnings
    items = list(SMALL.items)
    items[7] = Item(items[7].stem, items[7].trait, reverse_keyed=not items[7].reverse_keyed, id="i7")
    typo = Questionnaire(tuple(items), FIVE, "typo")
    assert [line.partition("(")[0] for line in instrument(mine, typo).warnings] == ["keys look mis-typed: 'i7' "]
    assert not instrument(controls.acquiescent(1.0), typo).warnings
    lost = Questionnaire(tuple(Item(item.stem, item.trait, id=item.id) for item in SMALL.items[:35]), FIVE, "keys lost")
    said = instrument(mine, lost).warnings
    assert len(said) == 5, "no item is re-keyed"
    assert all("with key + are answered at both ends of the scale (1.1 and 4.9)" in line for line in said)
    one = Questionnaire((*SMALL.items, Item("I hum.", "hum")), FIVE, "one key")
    assert any("hum: all items have one key" in line for line in instrument(controls.oracle(), one).warnings)


def test_every_format_names_the_cells(tmp_path: Path) -> None:
    made = instrument([controls.oracle(), controls.noisy(0.9)], SMALL)
    names = {cell.name for cell in made.cells}
    text, page = str(made), made.to_html(tmp_path / "page.html")
    read = list(csv.DictReader(io.StringIO(made.to_csv(tmp_path / "cells.csv"))))
    assert {row["cell"] for row in read} == names
    assert len(read) == len(made.cells) == 2 * 45
    assert (tmp_path / "cells.csv").read_text() == made.to_csv()
    assert (tmp_path / "page.html").read_text() == page
    escaped = page.replace("&gt;", ">")
    assert all(name in text and name in escaped for name in names)
    assert text.splitlines()[0].startswith("made up: ")
    assert "<script" not in page
    with pytest.raises(UsageError, match=r"^part is 'sums', but must be one of cells, table"):
        made.rows("sums")  # type: ignore[arg-type]


def test_a_data_frame_where_pandas_is_there() -> None:
    pytest.importorskip("pandas")
    frame = instrument(controls.oracle(), SMALL).to_pandas("table")
    assert list(frame.columns[:4]) == ["model", "trait", "administration", "direction"]
    assert len(frame) == 5 * 6


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: instrument(controls.oracle(), SMALL, margin=4), "margin is 4, but must be a number of points from 0 to below 4"),
        (lambda: instrument(controls.oracle(), list(SMALL)), "must be a Questionnaire"),  # type: ignore[arg-type]
        (lambda: instrument([], SMALL), "model is an empty list"),
        (lambda: instrument(controls.oracle(), SMALL, administrations=[]), "must hold one or more templates"),
        (lambda: instrument(controls.oracle(), SMALL, administrations=SMALL.administrations()[:1] * 2), "different names"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_before_anything_is_asked(call: Any, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        call()


def test_recorded_answers_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    q = big(10)
    file = written(q, planted(q, 4), tmp_path / "a.jsonl")
    file.write_text(file.read_text().replace("digits with a legend", "digits"))
    with pytest.raises(UsageError, match="rows answer nothing that is asked"):
        instrument(file, q)


def test_what_was_asked_is_remembered_in_a_run() -> None:
    asked: list[int] = []

    def respond(shown: Presentation) -> Sequence[float]:
        asked.append(1)
        return controls.oracle().respond(shown)

    model = Control("counting", respond)
    with run():
        first: Instrument = instrument(model, SMALL)
        assert instrument(model, SMALL).rows() == first.rows()
    assert first.prompts == 240
    assert len(asked) == 243, "three prompts are asked again at the end, to see whether answers drift"
