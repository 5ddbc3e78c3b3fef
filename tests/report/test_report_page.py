"""The HTML page without a browser: what it says, that data stay data, that it needs nothing, and its size."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance.checks.properties.invariance import WORDINGS
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE
from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.report.entries import read_report
from pytest_llminvariance.report.html import charts
from pytest_llminvariance.report.html.page import page
from tests.commands import llminvariance
from tests.run_records import HOSTILE, RUN, answer_rows, bank, finding_row, hostile_bank, measured, write_run

CSS = Path(charts.__file__).parent / "templates" / "page.css"
Colour = tuple[float, ...]


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._open = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self._open == "style" else data


def made(directory: Path) -> str:
    return page(read_report(directory), *readable_answers(directory))


def texts_of(text: str) -> list[str]:
    """The texts in plots, as they stand in the file."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", text)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = [measured("always_first", bank(12)), measured("oracle", bank(12)), measured("uniform", bank(12))]
    checks.append(measured("always_first", bank(12), "labels"))
    return write_run(tmp_path_factory.mktemp("mixed") / "run", checks)


def test_the_page_says_everything_that_it_must(mixed: Path) -> None:
    text = made(mixed)
    seen = Parsed(text)
    for words in (
        "1 of 4 checks is broken", "The answer changed in 216 of 276 other presentations (78%, tolerated 5%).",
        "Smallest counter-example: swap A and B", "answer as shown", "answer as content", "Choices by position",
        "Where changed answers went", "What the answers vary with", "Questions, worst first", "Choices by label",
        "Cost and origin", "tests/test_model.py:12", "0123abc", "12.5 s",
    ):  # fmt: skip
        assert words in seen.text, words
    assert seen.text.index("BROKEN") < seen.text.index("UNDECIDED") < seen.text.index("HOLDS")
    charts = [attrs for tag, attrs in seen.tags if tag == "svg"]
    assert all(attrs["role"] == "img" and attrs["aria-labelledby"] for attrs in charts)
    assert len(charts) == text.count("<title id=") == text.count("<desc id=")
    assert "option order, test_order on always_first BROKEN: 78%, tolerated 5%" in seen.text, "the forest plot in words"
    assert "shown 1st: 100% (even would be 25%); shown 2nd: 0%" in seen.text, "the bars in words"
    assert {
        "shown 1st",
        "100%",
        "order: 100%",
        "wrong to right",
        "option order, test_order on oracle",
        "labelling",
    } <= set(texts_of(text))


def test_the_page_is_the_same_each_time(mixed: Path) -> None:
    assert made(mixed) == made(mixed)


def test_the_page_needs_no_network_and_no_script(mixed: Path) -> None:
    seen = Parsed(made(mixed))
    names = {tag for tag, _ in seen.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "foreignobject"}
    for tag, attrs in seen.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href", "action"):
                assert (value or "").startswith("#"), (tag, name, value)
            assert "url(http" not in (value or "")
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", made(mixed))
    assert set(used) <= set(ids)


def test_hostile_texts_are_text(tmp_path: Path) -> None:
    found = [measured("always_first", hostile_bank())]
    place = dict.fromkeys(("title", "where", "model", "readout", "design", "template"), HOSTILE[1] + HOSTILE[0])
    run = write_run(
        tmp_path / "run", found, places=[place], run={**RUN, "model": HOSTILE[0], "settings": {HOSTILE[1]: HOSTILE[0]}}
    )
    seen = Parsed(made(run))
    assert not {"script", "img", "b1"} & {tag for tag, _ in seen.tags}
    assert all(text in seen.text for text in HOSTILE[:2])
    assert "\x1b" not in seen.text
    assert "{{7*7}}" in seen.text
    plotted = " ".join(texts_of(made(run)))
    assert "&lt;img src=x onerror=alert(1)&gt;&lt;script&gt;" in plotted, "the forest plot names it"


def test_a_part_that_is_missing_is_told_and_nothing_breaks(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text((mixed / "findings.json").read_text())
    seen = Parsed(made(tmp_path))
    assert "There is no run.json" in seen.text
    assert "There are no recorded answers" in seen.text
    assert "Choices by position" in seen.text, "shares by position are in the finding"
    assert "Questions, worst first" not in seen.text


def test_a_run_without_findings_does_not_look_like_success(tmp_path: Path) -> None:
    text = made(write_run(tmp_path / "run", []))
    assert "Nothing was checked" in text
    assert 'class="top UNDECIDED"' in text


def test_a_check_that_did_not_end_is_shown(mixed: Path, tmp_path: Path) -> None:
    stored = json.loads((mixed / "findings.json").read_text())
    stored["unfinished"] = [{"id": "z", "title": "lost check", "where": "t.py::test", "reason": "worker died"}]
    (tmp_path / "findings.json").write_text(json.dumps(stored))
    seen = Parsed(made(tmp_path))
    assert "Undecided because: worker died" in seen.text
    assert "no number" in seen.text


def test_long_suites_are_bounded_and_say_so(tmp_path: Path) -> None:
    check = measured("pair_order_sensitive", bank(14, k=6), orders="all")
    row = finding_row(check.finding)
    tmp_path.joinpath("findings.json").write_text(
        json.dumps({"schema_version": 1, "findings": [{**row, "id": str(n)} for n in range(500)]})
    )
    answers = [json.dumps({**answer, "check": "0"}) for answer in answer_rows("0", check.finding, check.evidence)]
    tmp_path.joinpath("answers.jsonl").write_text("\n".join(answers))
    text = made(tmp_path)
    assert len(text.encode()) < 5_000_000
    seen = Parsed(text).text
    assert "100 more findings are in findings.json" in seen
    assert "The 30 worst of 500 findings are drawn." in seen
    assert "Details are shown of the 20 worst findings; 480 more" in seen
    assert "The 12 worst are shown" in seen
    assert "696 more presentations are in answers.jsonl" in seen


def schemes() -> list[dict[str, str]]:
    """The variables of the light and of the dark page."""
    blocks = re.findall(r":root\{(.*?)\}", CSS.read_text(), flags=re.DOTALL)
    return [dict(re.findall(r"--([\w-]+):([^;]+);", block)) for block in blocks]


def colour(text: str) -> Colour:
    digits = text.removeprefix("#")
    return tuple(int(part, 16) for part in (re.findall("..", digits) if len(digits) == 6 else [c * 2 for c in digits]))


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of two sRGB colours, 1 to 21, as WCAG 2 defines it."""
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def luminance(shade: Colour) -> float:
    linear = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in shade]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_of_words_can_be_read_in_both_schemes() -> None:
    assert len(schemes()) == 2
    for named in schemes():
        shade = {name: colour(text) for name, text in named.items() if text.startswith("#")}
        for ink in ("ink", "muted", "link"):
            for ground in ("card", "paper"):
                assert contrast(shade[ink], shade[ground]) >= 4.5, (ink, ground)
        for verdict in ("BROKEN", "UNDECIDED", "HOLDS"):
            for ground in ("card", f"{verdict}-soft"):
                assert contrast(shade[verdict], shade[ground]) >= 4.5, (verdict, ground)
        for mark in ("bar", "accent", "s1", "s2", "s3", "s4"):
            assert contrast(shade[mark], shade["card"]) >= 3, mark


def test_shares_can_be_read_on_every_shade() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    for named in schemes():
        low, high = colour(named["heat-low"]), colour(named["heat-high"])
        turn = float(named["heat-turn"].removesuffix("%"))
        for share in range(101):
            ground = tuple(a + (b - a) * share / 100 for a, b in zip(low, high, strict=True))
            ink = colour(named["heat-ink-high" if share > turn else "heat-ink-low"])
            assert contrast(ink, ground) >= 4.5, share


def test_a_cell_says_its_share_to_the_style(tmp_path: Path) -> None:
    text = made(write_run(tmp_path / "run", [measured("position_prior", bank(3))]))
    cells = re.findall(r'<td class="heat[^"]*" style="--share:(\d+)%">(\d+) ', text)
    assert len(cells) > 100
    assert all(share == said for share, said in cells)
    assert len({share for share, _ in cells}) > 2


LONG = ("W" * 200, "a long name " * 40, "\u6f22\u5b57" * 80, "<b>&amp;" * 50, "\U0001f469" * 90, "short")


@pytest.mark.parametrize("width", [1040, 340])
def test_plots_are_as_wide_as_they_say_whatever_their_names_are(width: int) -> None:
    rows = [charts.ForestRow(name, 0.0, 1.0, 0.05, "BROKEN", "0% to 100%", name) for name in LONG]
    plot = charts.forest(rows, as_percent=True, width=width, name="f")
    assert plot.width == width
    assert [row.title.endswith("…") for row in plot.rows] == [True] * 5 + [False]  # type: ignore[union-attr]
    ends = [plot.x(value) for value in (0.0, 1.0, *(tick for tick, _ in plot.ticks))]
    assert 0 <= min(ends) < max(ends) <= width
    made = charts.bars([charts.Bar(name, 3.0, f"{10**9:,}") for name in LONG], title="t", name="b")
    assert 0 < made.x.left < made.x.right < made.width == 320
    assert made.x.right - made.x.left > 50, "room for the bar"
    assert LONG[0] in made.said, "in words it is whole"


def test_plots_of_nothing_and_of_negative_effects() -> None:
    row = charts.ForestRow("excess", -0.5, -0.25, 0.01, "HOLDS", "-0.5 to -0.25", "excess HOLDS")
    plot = charts.forest([row], as_percent=False, width=340, name="f")
    assert plot.x.left <= plot.x(-0.5) < plot.x(-0.25) < plot.x(0.0) < plot.x(0.01) < plot.x.right
    assert [said for _, said in plot.ticks] == ["-0.4", "-0.2", "0"]
    none = charts.bars([charts.Bar("to earlier", 0.0, "0")], title="t", name="b")
    assert none.x(0.0) == none.x.left


def test_the_command_writes_the_page_beside_the_record(mixed: Path) -> None:
    result = llminvariance(["report", str(mixed)])
    assert result.exit_code == 0, result.output
    assert (mixed / "report.html").read_text() == made(mixed)
    assert "report.html" in result.stderr


# --- the first screen, for somebody who did not write the test ---


def test_the_first_screen_says_what_was_tested_and_what_becomes_of_it(mixed: Path) -> None:
    top = made(mixed).partition("<header")[2].partition("</header>")[0]
    seen = Parsed(top).text
    for words in (
        "always_first, uniform, oracle", "0123abc", "2026-11-21 10:00", "tests/test_model.py: 4 checks, up to 12 questions each",
        "The gate blocks this release, by the levels of the tests, without a policy.", "1 of 4 checks is broken",
    ):  # fmt: skip
        assert words in seen, words


@pytest.mark.parametrize(
    ("model", "property", "said"),
    [
        (
            "always_first",
            "option_order",
            ("Order-sensitive: the same question gets another answer", "Next: average over"),
        ),
        ("oracle", "option_order", ("Fine: the answers stay the same",)),
        ("stem_blind", "option_order", ("Useless here: it answers these questions no better than guessing", "Next: ")),
        ("prompt_sensitive", "prompt", ("Wording-sensitive: ", "Next: ship with the wording that holds")),
        ("refuser", "option_order", ("Useless here: most of its answers name none of the options", "Next: ")),
    ],
)
def test_each_check_says_in_one_sentence_what_it_means(
    model: str, property: str, said: tuple[str, ...], tmp_path: Path
) -> None:
    more: dict[str, Any] = {"templates": (DEFAULT_TEMPLATE, *WORDINGS)} if property == "prompt" else {}
    seen = Parsed(made(write_run(tmp_path / "run", [measured(model, bank(12), property, **more)]))).text
    assert [words for words in said if words not in seen] == []


def test_accuracy_stands_beside_the_verdict(mixed: Path) -> None:
    verdicts = made(mixed).partition('class="verdicts"')[2].partition("</ul>")[0]
    seen = Parsed(verdicts).text
    assert "Accuracy 0.25: 3 of 12 questions as written (chance 0.25, at least 7): no better than guessing." in seen
    assert "Accuracy 1: 12 of 12 questions as written" in seen


def test_two_checks_of_one_property_are_told_apart(tmp_path: Path) -> None:
    same = [measured("oracle", bank(12))] * 2 + [
        measured("oracle", bank(12), metric="tv"),
        measured("oracle", bank(12), "labels"),
    ]
    places = [{"where": f"tests/test_model.py::test_{name}"} for name in ("easy", "hard", "hard", "hard")]
    titles = re.findall(r'<a href="#finding-\d+"><bdi>([^<]+)', made(write_run(tmp_path / "run", same, places=places)))
    assert sorted(titles) == [
        "labelling",
        "option order, test_easy",
        "option order, test_hard (flip_rate)",
        "option order, test_hard (tv)",
    ]


def test_percent_and_scores_are_on_two_axes(tmp_path: Path) -> None:
    found = [measured("noisy", bank(12)), measured("noisy", bank(12), metric="tv")]
    text = made(write_run(tmp_path / "run", found))
    wide = re.findall(r'<div class="wide">(.*?)</svg>', text, flags=re.DOTALL)
    ticks = [set(re.findall(r'class="tick"[^>]*>([^<]+)', plot)) for plot in wide]
    assert [all(tick.endswith("%") for tick in part) for part in ticks] == [True, False]
    assert len(wide) == 2


def test_the_filter_needs_no_script(mixed: Path) -> None:
    text = made(mixed)
    seen = Parsed(text)
    chosen = [attrs for tag, attrs in seen.tags if tag == "input"]
    assert {attrs["id"] for attrs in chosen} == {
        "show-all", "show-BROKEN", "show-UNDECIDED", "show-HOLDS", "kind-all", "kind-0", "kind-1",
    }  # fmt: skip
    for attrs in chosen:
        rule = f"body:has(#{attrs['id']}:checked)"
        assert (rule in text) is not str(attrs["id"]).endswith("all")
    rows = [attrs for tag, attrs in seen.tags if "data-verdict" in attrs]
    assert len(rows) == 8, "each check in the list and below"


def test_questions_can_be_found(mixed: Path) -> None:
    text = made(mixed)
    listed = text.partition('class="questions"')[2].partition("</ul>")[0]
    places = re.findall(r'href="#([^"]+)"', listed)
    assert len(places) > 12
    assert all(f'id="{place}"' in text for place in places)


def test_raw_answers_and_contexts_stand_with_each_case(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from pytest_llminvariance import Question, assert_order_symmetric
        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", context=f"all about {n}") for n in range(3)]
        def test_it():
            assert_order_symmetric(lambda messages: "The answer is A, <i>surely</i>", BANK, readout="text")
        """
    )
    pytester.runpytest("--invariance-report=rec")
    assert llminvariance(["report", str(pytester.path / "rec")]).exit_code == 0
    seen = Parsed((pytester.path / "rec" / "report.html").read_text()).text
    assert seen.count("The answer is A, <i>surely</i>") >= 2 + 3 * 6, "both sides of the example, and every row"
    assert all(f"all about {n}" in seen for n in range(3))


def test_layouts_are_named_in_words(tmp_path: Path) -> None:
    seen = Parsed(made(write_run(tmp_path / "run", [measured("label_prior=2", bank(12), "layout")]))).text
    assert '"enumerator"' not in seen
    assert "lay out as" in seen


def test_wordings_and_orders_are_a_matrix(tmp_path: Path) -> None:
    found = [measured("prompt_sensitive", bank(12), "prompt", templates=WORDINGS, orders="reversed")]
    text = made(write_run(tmp_path / "run", found))
    assert "Wordings and orders" in text
    head = text.partition("Wordings and orders")[2].partition("<thead>")[2].partition("</thead>")[0]
    assert re.findall(r">([\d ]+)</th>", head) == ["1 2 3 4", "4 3 2 1"]
    plain = made(write_run(tmp_path / "plain", [measured("always_first", bank(3))]))
    assert "Wordings and orders" not in plain


def test_history_draws_effects_over_runs(tmp_path: Path) -> None:
    for n, model in enumerate(("always_first", "noisy=0.2", "oracle")):
        facts = {**RUN, "exit": None if n == 3 else int(n < 2), "started": f"2026-0{n + 1}-01T00:00:00+00:00"}
        write_run(tmp_path / "runs" / str(n), [measured(model, bank(12))], run=facts)
    last, runs = tmp_path / "runs" / "2", tmp_path / "runs"
    result = llminvariance(["report", str(last), "--history", str(runs)])
    assert result.exit_code == 0, result.output
    text = (last / "report.html").read_text()
    plot = text.partition("Over the runs")[2].partition("</svg>")[0]
    assert re.findall(r">(2026-\d\d-\d\d)<", plot) == ["2026-01-01", "2026-02-01", "2026-03-01"]
    assert re.findall(r'<g class="([A-Z]+)"', plot) == ["BROKEN", "BROKEN", "HOLDS"]
    assert "2026-01-01 00:00 BROKEN: 78%, tolerated 5%" in plot
    named = llminvariance(["report", str(last), "--history", str(runs / "0"), "--history", str(runs / "1")])
    assert named.exit_code == 0
    assert (last / "report.html").read_text() == text
    assert "Over the runs" not in made(last)
    wrong = llminvariance(["report", str(last), "--history", str(tmp_path / "nothing")])
    assert wrong.exit_code == 2
    assert "holds no run" in wrong.output
