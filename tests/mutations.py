"""Put known errors in, one at a time, and see the tests fail: `python -m tests.mutations [WORD]`.

With a word, only mutations whose name holds it.

Each mutation is made in a copy of the package and the tests; the table names the test that caught it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BOOKS, VACUOUS, METRICS = "test_bookkeeping.py", "test_vacuous_passes.py", "test_metrics.py"
BETTING, EARLY, SAMPLES = "test_betting.py", "test_early_stopping.py", "test_samples.py"
CACHE, AUDIT, SEARCH = "test_cache.py", "test_audit.py", "test_search.py"
READER = "test_record_reader.py"
LARGE, PAIRS = "test_large_records.py", "test_pairs.py"
READ = ("test_texts.py",)
CASES = "test_question_cases.py"
REPLIES, REACHED, ACCURACY, SCORES = "test_replies.py", "test_reached.py", "test_accuracy.py", "test_open_scores.py"
OBJECTS, FUNCTIONS = "test_objects.py", "test_functions.py"
TALK, TEXTS, STRATEGIES = "test_conversation.py", "test_transforms_text.py", "test_strategies.py"


@dataclass(frozen=True)
class Mutation:
    """An error: what is replaced where, and the test files that must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation("the page does not escape", "report/html/page.py", "autoescape=True", "autoescape=False", ("test_report_page.py",)),
    Mutation("a plot's words are not escaped", "report/html/templates/frame.svg.j2",
             "{{ plot.said }}", "{{ plot.said|safe }}", ("test_report_page.py",)),
    Mutation("names in plots are not cut", "report/html/charts.py",
             "if _width(text) <= room:", "if room:", ("test_report_page.py",)),
    Mutation("control characters in a failure's message", "report/failure.py",
             '"\\n".join(map(visible, lines))', '"\\n".join(lines)', ("test_report_words.py",)),
    Mutation("percent signs not escaped in annotations", "report/github.py",
             '.replace("%", "%25")', "", ("test_report_formats.py",)),
    Mutation("earlier and later changed places", "report/patterns.py",
             "row.order.index(row.outcomes[0]) < row", "row.order.index(row.outcomes[0]) > row", ("test_report_patterns.py",)),
    Mutation("our old numbers stay in a card", "report/card.py",
             "item.dataset_type != DATASET_TYPE", "True", ("test_report_formats.py",)),
    Mutation("permutation in the place of its inverse", "measures/distribution.py",
             "contents[content] = float(shown[position])", "contents[position] = float(shown[content])", (BOOKS,)),
    Mutation("text answers not taken back to content", "measures/reading.py",
             "AnswerDistribution.chosen(presentation.order[parsed.position], k, parsed.reading)",
             "AnswerDistribution.chosen(parsed.position, k, parsed.reading)", (BOOKS,)),
    Mutation("composition the wrong way round", "questions/orders.py",
             "return tuple(first[index] for index in then)", "return tuple(then[index] for index in first)", (BOOKS,)),
    Mutation("reverse-keyed items never re-keyed", "questions/questionnaire.py",
             "self._mirrored(score) if item.reverse_keyed else score", "score", (BOOKS,)),
    Mutation("keyed scores not mirrored", "questions/question.py",
             "tuple(total - score for score in self.scores)", "tuple(score for score in self.scores)", (BOOKS,)),
    Mutation("the middle of a scale counted as content", "checks/finding.py",
             'return "both" if content and position else', "return", (BOOKS,)),
    Mutation("as written counted among the others", "measures/metrics.py",
             "flip(answers[0], answer, delta_nats) for answer in answers[1:]]",
             "flip(answers[0], answer, delta_nats) for answer in answers]", (BOOKS,)),
    Mutation("as written not asked first", "transforms/designs.py",
             "return (written, *(row for row in rows if row != written))", "return tuple(rows)", (BOOKS,)),
    Mutation("one shuffle for all questions", "transforms/designs.py",
             'draw_order(k, PLAN_SALT, content_hash, "balanced", attempt)', 'draw_order(k, PLAN_SALT, "balanced", attempt)',
             (BOOKS,)),
    Mutation("balanced is only cyclic", "transforms/designs.py",
             "template, written = williams_rows(k), identity(k)", "template, written = cyclic_orders(k), identity(k)",
             (BOOKS,)),
    Mutation("a Williams design without mirrored rows", "transforms/designs.py", "    if k % 2:\n        rows +=",
             "    if False:\n        rows +=", (BOOKS,)),
    Mutation("labels not cut to the options", "questions/presentation.py", "return chosen[:k]", "return chosen", (BOOKS,)),
    Mutation("memory without the model's identity", "models/keys.py",
             "Key(name, fingerprint, request, _digest(rendered(model, request)), owner)",
             'Key("", "", request, _digest(rendered(model, request)))', (BOOKS,)),
    Mutation("models of one name share answers", "models/keys.py",
             'None if getattr(model, "cacheable", False) else Owner(model)', "None", (CACHE,)),
    Mutation("kept answers without what is sent", "models/cache_rows.py", '"prompt": prompt or [', '"prompt": [', (CACHE,)),
    Mutation("an object that was trained keeps its answers", "models/kept.py",
             "if key not in entries or entries[key].state != state:", "if key not in entries:", (OBJECTS,)),
    Mutation("an object asked with its dropout", "models/local/objects.py", "training = [module for module in network.modules() if module.training]",
             "training: list[Any] = []", (OBJECTS,)),
    Mutation("settings of the session not given to objects", "plugin/own_models.py", "{**self._settings, **(settings or {})}",
             "settings or {}", ("test_own_models.py",)),
    Mutation("probabilities of a function read by place", "models/functions.py",
             "values = [given[option] for option in options]", "values = list(given.values())", (FUNCTIONS,)),
    Mutation("scores taken for log-probabilities", "models/replies.py", "if max(values) > SLACK:", "if False:", (REPLIES,)),
    Mutation("labels that sum above 1 believed", "models/replies.py", "> 1 + SLACK", "> math.inf", (REPLIES,)),
    Mutation("NaN believed", "models/replies.py", "if any(math.isnan(value) for value in values):", "if False:", (REPLIES,)),
    Mutation("an answer that does not say what was sent", "checks/guards.py", "silent = sum(not digest for digest in known)",
             "silent = 0", (REPLIES,)),
    Mutation("unparsed taken for a refusal", "measures/reading.py",
             'Outcome.UNPARSED: "unparsed"', 'Outcome.UNPARSED: "refused"', (BOOKS,)),
    Mutation("distance counts arbitrary swaps", "questions/orders.py",
             "return sum(a > b for a, b in itertools.combinations(ranks, 2))",
             "return sum(rank != position for position, rank in enumerate(ranks)) // 2", (BOOKS, VACUOUS)),
    Mutation("ties counted as flips", "measures/metrics.py", "UNKNOWN if a & b else DIFFERENT", "DIFFERENT",
             (METRICS, VACUOUS)),
    Mutation("ties counted as flips of pairs", "measures/metrics.py", "if not one & other", "if one != other", (PAIRS,)),
    Mutation("ties counted as agreement", "measures/metrics.py", "UNKNOWN if a & b else DIFFERENT",
             "SAME if a & b else DIFFERENT", (METRICS, VACUOUS)),
    Mutation("missing answers are no flips", "measures/distribution.py",
             "return self.status not in UNKNOWN_STATUSES", 'return self.status != "unparsed"', (METRICS,)),
    Mutation("what did not reach the model counts", "checks/evidence.py",
             'return "same" if told else "untold"', 'return "untold"', (VACUOUS,)),
    Mutation("any two prompts show that every part was sent", "checks/evidence.py",
             "groups.setdefault((*place[:axis], *place[axis + 1 :]), [])", "groups.setdefault((), [])", (REACHED,)),
    Mutation("the same bytes counted again", "checks/evidence.py",
             "again = bool(digest) and not lost and", "again = False and", (REACHED,)),
    Mutation("a variant told by its number", "transforms/base.py",
             'found.append(("question", told or (edited.stem, edited.context, edited.options)))',
             'found.append(("question", bool(told)))', (REACHED,)),
    Mutation("parts of a product not in the record", "records/sheets.py", '"parts": list(plan.parts),', "", (REACHED,)),
    Mutation("an average believed outside its frame", "checks/sheet.py",
             "inside = set(frame(len(first.order)))", "inside = {first.order, *(other.order for other in others)}",
             ("test_symmetrized.py", VACUOUS)),
    Mutation("HOLDS without a responsive model", "checks/guards.py", "passed=moved > bound)", "passed=True)",
             (VACUOUS,)),
    Mutation("ties count as movement", "checks/guards.py", "mean_interval(answers.moves).low", "mean_interval(answers.moves).high",
             (VACUOUS,)),
    Mutation("mass on options ignored", "checks/guards.py", "passed=mean >= MIN_MASS", "passed=True", (VACUOUS,)),
    Mutation("low mass still lets BROKEN through", "checks/guards.py",
             'text=says if mean >= MIN_MASS else bad, blocks="both"', "text=says if mean >= MIN_MASS else bad", (VACUOUS,)),
    Mutation("no preference passes", "checks/guards.py", "passed=decided > 0", "passed=True", (VACUOUS,)),
    Mutation("guessing passes for knowing", "checks/guards.py", "passed = right >= needed",
             "passed = right > chance", (VACUOUS,)),
    Mutation("accuracy counts answers of one cluster", "checks/guards.py", "question.answer is not None and name not in hits",
             "question.answer is not None", (ACCURACY,)),
    Mutation("stopping before accuracy can be judged", "checks/stopping.py",
             "or (self.n_known >= MIN_KNOWN > self._known())", "", (ACCURACY,)),
    Mutation("an edit shown in its own order", "checks/properties/tracks.py", "Presentation(after, template=template)",
             "Presentation(after, order=tuple(question.options.index(o) for o in edited.options), template=template)", (ACCURACY,)),
    Mutation("no probability at all taken for an answer", "measures/distribution.py",
             "if not all(map(_is_known, weights)) or top == -math.inf:", "if not all(map(_is_known, weights)):", (SCORES,)),
    Mutation("an open score may lie anywhere in the middle", "measures/metrics.py",
             "return (min(scores), max(scores)) if value is None", "return (min(scores), min(scores)) if value is None", (SCORES,)),
    Mutation("one open value at both ends of a range", "measures/metrics.py",
             "return low, max(one[1] - least, most - one[0])",
             "return low, max(high for _, high in ends) - min(low for low, _ in ends)", (SCORES,)),
    Mutation("a baseline's template compared by name", "gate/negative_flips.py", '"shown_sha256": sent_digest(shown.render()),', "",
             ("test_negative_flips.py",)),
    Mutation("drift ignored", "checks/asking.py", "passed = drift <= MAX_DRIFT_NATS", "passed = True", (VACUOUS,)),
    Mutation("HOLDS on the lower end", "checks/verdict.py", "or effect.high <= tolerance:", "or effect.low <= tolerance:",
             (METRICS,)),
    Mutation("BROKEN at the tolerance", "checks/verdict.py", "and effect.low > tolerance):", "and effect.low >= tolerance):",
             (METRICS,)),
    Mutation("the tolerance as a binary float", "checks/refusals.py", "Fraction(str(tolerance))", "Fraction(tolerance)",
             (METRICS, VACUOUS)),
    Mutation("guards withheld from nobody", "checks/verdict.py",
             "if withheld or shown is Verdict.UNDECIDED:", "if shown is Verdict.UNDECIDED:",
             (METRICS, VACUOUS)),
    Mutation("position shares by content", "checks/finding.py",
             "[(content in outcomes) / len(outcomes) for content in order]",
             "[(content in outcomes) / len(outcomes) for content in range(len(order))]", ("test_selftest.py",)),
    Mutation("the proxy's answers left at sorted positions", "models/sorting_proxy.py",
             "source = [sent.position_of(content) for content in asked.order]", "source = list(range(len(asked.order)))",
             (VACUOUS,)),
    Mutation("files: keys that count from 1 taken as they are", "questions/reading.py",
             "if chance_of_no_0 < STRANGE and min", "if False and min", (CASES,)),
    Mutation("files: a key with two readings takes the first", "questions/keys.py",
             "if len(set(found.values())) == 1:", "if found:", (CASES,)),
    Mutation("files: one-based keys not moved", "questions/keys.py", 'places = [number - (style == "one_based")]',
             "places = [number]", (CASES,)),
    Mutation("files: a blank between options closed up", "questions/keys.py", "        if is_blank(text):\n", "        if False:\n",
             (CASES,)),
    Mutation("files: a bar inside an option", "questions/keys.py", "if reason := _torn(parts):", "if reason := \"\":", (CASES,)),
    Mutation("files: nearly a field is an attribute", "questions/columns.py", "    if near:\n", "    if False:\n", (CASES,)),
    Mutation("files: rows left out in silence", "checks/guards.py",
             "rows_guards(item.plan.question for item in answers.evidence)", "[]", (CASES,)),
    Mutation("options that look the same", "questions/question.py", "forms = [same_form(text) for text in texts]",
             "forms = list(texts)", (CASES,)),
    Mutation("replay: a row without an order answers any", "models/replay_rows.py",
             'given.get("order", list(written.order)) == list(presentation.order)', "True", ("test_replay.py",)),
    Mutation("replay: a row by stem answers for other options", "models/replay.py", "            if is_under_another(question)\n",
             "            if False\n", ("test_replay.py",)),
    Mutation("a template's direction is lost", "questions/presentation.py", 'parts["order"] = self.order[::-1]', "pass",
             ("test_presentation.py",)),
    Mutation("duplicates accepted", "questions/question.py", "if question.content_hash in found:", "if False:",
             ("test_bad_input_checks.py",)),
    Mutation("the farthest example", "checks/examples.py", "nearest = min(found, default=None)",
             "nearest = max(found, default=None)", (VACUOUS,)),
    Mutation("of a class the most complicated", "search/spaces.py",
             "key=lambda order: options_moved(self.start.order, order))",
             "key=lambda order: -options_moved(self.start.order, order))", (SEARCH,)),
    Mutation("fewest swaps before fewest changes", "search/spaces.py",
             "            if rows := written.get(changed, []):\n", "            if changed > 1 and (rows := written.get(changed, [])):\n",
             (SEARCH,)),
    Mutation("a refusal passes for a flip", "search/breadth_first.py", "if kind is not None and like in (None, kind):",
             "if kind is not None:", (SEARCH,)),
    Mutation("a cut class unsaid", "search/breadth_first.py", "if next(part.presentations, None) is not None:", "if False:", (SEARCH,)),
    Mutation("a search changes a finding", "checks/asking.py", "self.tokens + asked.prompt_tokens", "self.tokens + asked.tokens", (SEARCH,)),
    Mutation("labels of a template counted twice", "transforms/differences.py",
             " and not (_labels_are_own(a) and _labels_are_own(b))", "", (SEARCH,)),
    Mutation("an open answer told as the same", "search/explanation.py", "if flips is False]", "if not flips]",
             ("test_explanation.py",)),
    Mutation("a pasted test without its template", "questions/source.py", "if presentation.template != DEFAULT_TEMPLATE:",
             "if False:", ("test_paste.py",)),
    Mutation("kept answers without the model's fingerprint", "models/cache_rows.py", '"fingerprint": fingerprint', '"fingerprint": ""',
             (CACHE,)),
    Mutation("one kept answer for every draw", "models/cache_rows.py", "{name: _as_plain(getattr(request, name)) for name in fields}", "{}",
             (CACHE,)),
    Mutation("labels left out of the key", "models/cache_rows.py", '"labels": shown.labels', '"labels": ()', (CACHE,)),
    Mutation("answers of every model kept", "models/cache.py", "key.owner is None and key.fingerprint in self._fingerprints",
             "for key, reply in items.items()}", (CACHE,)),
    Mutation("damaged replies believed", "models/cache_rows.py",
             "return reply if _answers(reply, len(request.presentation.order)) else None", "return reply", (CACHE,)),
    Mutation("the newest answers evicted", "models/cache_file.py", "ORDER BY used, key", "ORDER BY used DESC, key", (CACHE,)),
    Mutation("a chunk kept only at the end", "models/cache.py", "            self._safely(lambda: self._write(rows))\n",
             "            self._late = [*getattr(self, '_late', []), *rows]\n", (CACHE,)),
    Mutation("a batch half written", "models/cache_file.py", 'self._run("BEGIN IMMEDIATE", work)\n\n    def touch',
             'self._run("", work)\n\n    def touch', (CACHE,)),
    Mutation("a window that the tree's masks ignore", "models/local/tree_attention.py",
             "return seen & (self.depth[self.start : self.stop, None] - self.depth[keys] < window)", "return seen",
             ("test_tree_attention.py",)),
    Mutation("a block of FlexAttention taken for one that all see", "models/local/flex.py",
             "ends.amin(1) >= start + SIDE", "ends.amax(1) >= start + SIDE", ("test_tree_attention.py",)),
    Mutation("memory that runs out closes a path for good", "models/local/scoring.py",
             "        if out_of_memory(error):\n            self._put_off.append(path)", "        if False:\n            self._put_off.append(path)",
             ("test_memory.py",)),
    Mutation("rows of a split model on its first device", "models/local/devices.py",
             'torch.device("cpu") if several else entrance(network)', "entrance(network)", ("test_split_models.py",)),
    Mutation("the newest token of a text looked at never", "models/local/generation.py",
             'self._may_end[token] = "." in text or ":" in text', "self._may_end[token] = False", ("test_generation.py",)),
    Mutation("a sequence read from one that does not begin with it", "models/local/batching.py",
             "if carrier < 0 or sequences[carrier][: len(tokens)] != tokens:", "if carrier < 0:", ("test_batching.py",)),
    Mutation("N - t in the place of N - t + 1", "measures/betting.py",
             "float(self._left) / (self.n_planned - self.n)", "float(self._left) / max(1, self.n_planned - self.n - 1)",
             (BETTING,)),
    Mutation("the sum holds the value that is bet on", "measures/betting.py", "bound = self._bound()",
             "bound = min(1.0, max(0.0, float(self._left - value) / max(1, (self.n_planned or 1) - self.n)))", (BETTING,)),
    Mutation("a bet that sees its value", "measures/betting.py",
             "log + math.log1p(share * gain) for log", "log + max(0.0, math.log1p(share * gain)) for log", (BETTING,)),
    Mutation("alpha doubled", "measures/betting.py", "self.within.shows(self.alpha)", "self.within.shows(2 * self.alpha)",
             (BETTING,)),
    Mutation("alpha doubled for BROKEN", "measures/betting.py", "self.above.shows(self.alpha)", "self.above.shows(2 * self.alpha)",
             (BETTING,)),
    Mutation("certain one value too soon", "measures/betting.py", "left >= n_left - slack", "left >= n_left - 1 - slack",
             (BETTING,)),
    Mutation("questions asked in the file's order", "checks/planning.py",
             "for index in asking_order(seed, fingerprint, hashes):",
             "for index in range(len(hashes)):", (EARLY,)),
    Mutation("remembered questions asked first", "checks/stopping.py",
             "        for evidence in self._asked(units):",
             "        units = iter(sorted(units, key=lambda unit: not all(map(self.source.knows, unit))))\n"
             "        for evidence in self._asked(units):", (EARLY,)),
    Mutation("copies asked together", "measures/asking_order.py",
             "_key(seed, fingerprint, content, seen[content])", "_key(seed, fingerprint, content, 0)", (EARLY,)),
    Mutation("excess clipped at zero", "measures/metrics.py", "Interval(max(Fraction(-1, samples), low)", "Interval(max(Fraction(0), low)",
             (SAMPLES,)),
    Mutation("a sampled orbit called exact", "checks/deciding.py",
             "is_exact_at_end=not terms.must_test", "is_exact_at_end=True", (EARLY,)),
    Mutation("responsiveness on the wrong side", "checks/stopping.py",
             'self.response is not None and self.response.shown != "above"',
             'self.response is not None and self.response.shown == "above"', (EARLY,)),
    Mutation("every check of a test gets its whole share", "measures/shares.py",
             "return item_share / (number * (number + 1))", "return item_share", (EARLY,)),
    Mutation("a kept plan given for another question", "checks/planning.py", "self._kept.get(index)", "self._kept.get(0)",
             ("test_properties.py",)),
    Mutation("two properties of one name", "checks/properties/__init__.py", "        if taken:\n", "        if False:\n",
             ("test_properties.py",)),
    Mutation("a recorded property forgets what it needs", "checks/properties/base.py",
             "self.needs_response, self.needs_accuracy = kind.needs_response, kind.needs_accuracy", "pass", ("test_records.py",)),
    Mutation("every draw of a question has the same samples", "checks/planning.py",
             "draw=number * samples + index", "draw=index", (SAMPLES,)),
    Mutation("a second seed not noticed", "checks/deciding.py", "    if first != run.seed:", "    if False:", (EARLY,)),
    Mutation("open answers taken for HOLDS", "checks/stopping.py", "rescaled(value.high, least))",
             "rescaled(value.low, least))", (EARLY,)),
    Mutation("clusters counted as questions", "checks/stopping.py", "high = sum((Fraction(v.high) - tolerance for v in found), Fraction(0)) / largest",
             "high = sum((Fraction(v.high) - tolerance for v in found), Fraction(0)) / len(found)", (EARLY,)),
    Mutation("record: no drift guard after going on", "checks/asking.py",
             "not self.fresh and not goes_on", "not self.fresh", (AUDIT,)),
    Mutation("record: remembered answers without a line", "records/answer_log.py",
             "if not remembered or place not in self._written:", "if not remembered:", (AUDIT,)),
    Mutation("record: recorded answers asked again", "records/answer_log.py",
             "return None if digest is None else self._earlier.replies.get(digest.hex())", "return None", (AUDIT,)),
    Mutation("gate: one instance stands in for another", "gate/decision.py", "        if gone:\n", "        if False:\n",
             ("test_presence.py",)),
    Mutation("gate: any finding explains a failure", "gate/evidence.py", 'if row["finding"] not in known', "if not known",
             ("test_presence.py",)),
    Mutation("compare: a guard that fails now is no matter", "gate/comparison.py",
             "    if lost := tuple(_lost_guards(old, new)):\n", "    if lost := ():\n", ("test_worse_models.py",)),
    Mutation("selection: workers keep to themselves what they left out", "plugin/selection.py",
             '"left_out": [name for item, name in self._collected if id(item) not in chosen]', '"left_out": []',
             ("test_selection.py",)),
    Mutation("record: half lines stay", "records/directory.py", "out.truncate(data.rfind(b\"\\n\") + 1)", "pass",
             ("test_records.py",)),
    Mutation("a check in a bare thread is nobody's", "checks/run.py", "return inmost[0] if len(inmost) == 1 else", "return", ("test_vanishing.py",)),
    Mutation("an ended test's context is believed", "checks/run.py", "known in _OPEN and not known.holds_tests", "not known.holds_tests", ("test_vanishing.py",)),
    Mutation("checks outside of tests are let", "plugin/session.py", "turn=refused(OUTSIDE),", "", ("test_vanishing.py",)),
    Mutation("half a surrogate pair ends a run", "files.py", 'encode("utf-8", "backslashreplace")', "encode()", ("test_vanishing.py",)),
    Mutation("what could not be written is forgotten", "plugin/written.py", "kept=[*self.log.kept, *self._kept]", "kept=()", ("test_vanishing.py",)),
    Mutation("record: a crash is read from what was put together", "records/record.py",
             'if facts.get("exit") is None and', "if False and", (READER,)),
    Mutation("record: a missing field passes", "records/shapes.py", "needed <= value.keys()", "True", (READER,)),
    Mutation("record: workers' lines counted twice", "records/lines.py", "len(files) > 1 and hash(text) in seen", "False",
             (READER,)),
    Mutation("record: noise measured anew", "cli/auditing.py",
             'dict.__setitem__(noise, tuple(record["key"]), _noise_from(record["floor"]))', "pass", (AUDIT,)),
    Mutation("record: chunks cut by what is missing", "models/engine.py",
             "for start in range(0, len(distinct), size):", "distinct = list(fresh)\n    for start in range(0, len(distinct), size):",
             (AUDIT,)),
    Mutation("record: other weights go on", "cli/auditing.py", 'record["fingerprint"] != redacted(model.fingerprint)', "False",
             (AUDIT,)),
    Mutation("judge: missing answers left out", "records/judge.py", "    if n_found < n_wanted:\n", "    if False:\n",
             (AUDIT,)),
    Mutation("record: a sheet is written again as it grows", "records/sheets.py", "range(self._n_plans, len(sheet.plans))",
             "range(len(sheet.plans))", (LARGE,)),
    Mutation("record: packed lines are looked up in the wrong block", "records/lines.py", "yield block << IN_BLOCK | start, text",
             "yield start, text", (LARGE,)),
    Mutation("judge: a chosen metric passes for a planned one", "records/judge.py", "exploratory=metric != sheet.metric",
             "exploratory=False", (AUDIT,)),
    Mutation("secrets: names before an @ stay", "records/redaction.py", """(re.compile(r"(?<=://)[^\\s/?#'\\"]*@"), f"{MASK}@"),""", "",
             ("test_redaction.py",)),
    Mutation("paraphrase: one that waits for review is asked", "paraphrases/lock.py",
             'if wording.status == "accepted")', 'if wording.status in ("accepted", "proposed"))', ("test_paraphrases.py",)),
    Mutation("paraphrase: a changed question keeps its entry", "paraphrases/lock.py",
             "for e in lock.entries if e.question.content_hash == question.content_hash",
             "for e in lock.entries if e.question.id == question.id", ("test_paraphrases.py",)),
    Mutation("paraphrase: the correct answer is lost", "transforms/edits.py",
             "dataclasses.replace(question, **texts)", "dataclasses.replace(question, answer=None, **texts)", ("test_paraphrases.py",)),
    Mutation("paraphrase: a negation passes", "paraphrases/screens.py",
             'said = _same(negations(question.stem), negations(wording), "negation")', "said = None",
             ("test_paraphrase_screens.py",)),
    Mutation("paraphrase: what was rejected is proposed again", "paraphrases/proposals.py",
             "known = [question.stem, *(wording.stem for wording in kept)]",
             'known = [question.stem, *(w.stem for w in kept if w.status != "rejected")]', ("test_paraphrase_proposals.py",)),
    Mutation("paraphrase: the work of another reviewer overwritten", "paraphrases/lock_file.py",
             "if digest_of(target) != expected:", "if False:", ("test_paraphrase_file.py",)),
    Mutation("paraphrase: control characters written raw", "paraphrases/lock_file.py",
             "if character.isprintable():", "if True:", ("test_paraphrase_file.py",)),
    Mutation("paraphrase: answers saved at the end only", "paraphrases/review.py",
             "self.digest = write_lock(self.path, lock, expected=self.digest)", "pass", ("test_paraphrase_review.py",)),
    Mutation("said: by place and not by content", "questions/presentation.py", "self.label_of(turn.content) if",
             "self.labels[turn.content] if", (TALK,)),
    Mutation("said: recorded without what was said before", "models/replay_rows.py",
             'and given.get("around", []) == around_of(presentation)', "", (TALK,)),
    Mutation("said: a group swapped in the stem only", "transforms/texts.py",
             "options = tuple(pattern.sub(other, option) for option in question.options)",
             "options = question.options", (TEXTS,)),
    Mutation("said: orders drawn anew for each wording", "transforms/showing.py", "self.design, origin_of(start.question)",
             "self.design, start.question.content_hash", (TEXTS,)),
    Mutation("references: catch-alls move", "transforms/showing.py", "if content not in found.stays and not found.refers",
             "if not found.refers", ("test_references.py",)),
    Mutation("references: asked under other labels", "transforms/showing.py", "for labels in long[:1] if refers else long:",
             "for labels in long:", ("test_references.py",)),
    Mutation("references: the side of a catch-all", "questions/references.py", "return None if meant != rest or",
             "return None if", ("test_references.py",)),
    Mutation("references: an option's text as a label", "checks/left_out.py", 'why = CLASHES if clash else ""',
             'why = ""', ("test_references.py",)),
    Mutation("references: any share may be left out", "checks/left_out.py", "Fraction(len(names), whole) <= MAX_LEFT_OUT",
             "bool(whole)", ("test_references.py",)),
    Mutation("references: searched in orders of another meaning", "search/spaces.py",
             "order for order in shell if self._keeps(order)", "order for order in shell", ("test_references.py",)),
    Mutation("search: led away from flips", "search/guidance.py", "rival - after.log_weights[written]",
             "after.log_weights[written] - rival", ("test_guidance.py",)),
    Mutation("search: orders that shrink by moves, not swaps", "strategies/parts.py",
             "order.insert(content - n, content)", "order.insert(0 if n else content, content)", (STRATEGIES,)),
    Mutation("search: a silent model passes", "search/conversations.py", "if not setting.compared and", "if False and",
             ("test_machines.py",)),
    Mutation("search: the model's words not given back", "search/conversations.py", 'return Message("assistant", text)',
             'return Message("assistant", ACKNOWLEDGED)', ("test_machines.py",)),
    Mutation("read: doubt is no matter", "measures/claims.py",
             "words().doubt.search(page.masked, start, claim.start) or words().doubt", "False and words().doubt", READ),
    Mutation("read: rejection is no matter", "measures/claims.py",
             "return all(_of_others(page, clause, claim) for clause in denied)", "return True", READ),
    Mutation("read: what others say is a claim", "measures/claims.py",
             "if told and not any(", "if False and not any(", READ),
    Mutation("read: a question is a claim", "measures/claims.py", "if asks or words().doubt.search(page.masked, start,",
             "if words().doubt.search(page.masked, start,", READ),
    Mutation("read: a claim goes on as it likes", "measures/claims.py",
             "if not several and not _tail(", "if False and not _tail(", READ),
    Mutation("read: a sentence may go on after an option", "measures/claims.py",
             "        return end <= max(stop, found.end)\n", "        return True\n    return True\n", READ),
    Mutation("read: a label before another sentence", "measures/claims.py", "== label.positions and not _undone(",
             "!= {None} and not _undone(", READ),
    Mutation("read: a list's numeral is a rating", "measures/claims.py",
             'return None if label.isdigit() or label == "i" else found', "return found", READ),
    Mutation("read: a box counts whatever is said of it", "measures/claims.py",
             "if asks or any(_undone(page, *clause) for clause in near):", "if asks:", READ),
    Mutation("read: words win over the number", "measures/targets.py",
             "return None if loose or listed else Claim(None, disagree_rule(shown), named.end)",
             'return Claim(min(named.positions), "label and text", named.end)', READ),
    Mutation("read: the first of two answers", "measures/targets.py",
             'return Claim(None, "two answers", second.end)', "return None", READ),
    Mutation("read: any share of a scale", "measures/wording.py", r"\s*{self.highest}(?:", r"\s*\d+(?:", READ),
    Mutation("read: words of an option deny", "measures/wording.py",
             "        masked[span.start : span.end] = HIDDEN * (span.end - span.start)\n", "        pass\n", READ),
    Mutation("read: any field of an object", "measures/wording.py",
             "if known and isinstance(value, str | int | float)", "if isinstance(value, str | int | float)", READ),
    Mutation("read: a statement in any order", "measures/statements.py", "places == sorted(places) and", "True and", READ),
    Mutation("read: a statement with words of its own", "measures/statements.py", "            return False\n    return",
             "            continue\n    return", READ),
    Mutation("read: an open thought is an answer", "models/thoughts.py", "                return None\n",
             "                return text[-first[1] :]\n", READ),
    Mutation("read: a thought that the prompt opened", "models/thoughts.py", "        if strays:\n", "        if False:\n", READ),
    Mutation("read: what ran out is read", "measures/parsing.py", "if ran_out and not any(", "if False and not any(", READ),
    Mutation("read: what is taken back is kept", "measures/parsing.py", "if _taken_back(page, last):", "if False:", READ),
    Mutation("read: a retraction changes nothing", "measures/parsing.py",
             "if words().retract.search(page.masked, start, stop):", "if False:", READ),
    Mutation("read: a concession doubts the claim", "measures/claims.py",
             "start = _after_concession(page, start, claim)", "start = int(start)", READ),
    Mutation("read: an answer to what was denied", "measures/claims.py", "or answers_denial:", "or False:", READ),
    Mutation("NaN is a number", "measures/distribution.py", "return weight < math.inf", "return True", ("test_nan.py",)),
    Mutation("an average hides NaN", "models/symmetrized.py", "answers_of(self.inner, needed)", "self.inner.answer(needed)",
             ("test_nan.py",)),
    Mutation("files: questions forget what was left out", "questions/question.py",
             "        for question in made:\n            object.__setattr__(question, \"skipped\", skipped)\n", "", (CASES,)),
    Mutation("contradictions are told as unparsed", "checks/finding.py", "answer.contradiction or (", "(",
             ("test_contradictions.py",)),
    Mutation("read: a refusal wins over a claim", "measures/parsing.py", "    if claim is not None:\n",
             "    if claim is not None and not _declined(page, 0, len(page.text)):\n", READ),
    Mutation("read: the first claim wins", "measures/parsing.py", "    last = known[-1]\n", "    last = known[0]\n", READ),
    Mutation("read: unfinished counts as known", "measures/distribution.py",
             'UNKNOWN_STATUSES = ("unfinished", "unparsed", "missing")', 'UNKNOWN_STATUSES = ("unparsed", "missing")', READ),
]  # fmt: skip


def run_tests(copy: Path, tests: tuple[str, ...]) -> str | None:
    """Return the first failing test in the copy, or None where all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += [str(path.relative_to(copy)) for name in tests for path in (copy / "tests").rglob(name)]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - |$)", done.stdout, flags=re.MULTILINE)
    return found[1] if found else f"exit {done.returncode}"


def copy_project(folder: Path) -> Path:
    copy = folder / "copy"
    skip = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in ("pytest_llminvariance", "tests", "examples", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=skip)
    for name in ("pyproject.toml", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "tox.ini"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def main() -> int:
    chosen = [mutation for mutation in MUTATIONS if all(word in mutation.name for word in sys.argv[1:])]
    with tempfile.TemporaryDirectory() as name:
        copy = copy_project(Path(name))
        where = "import pytest_llminvariance as p; print(p.__file__)"
        used = subprocess.run([sys.executable, "-c", where], cwd=copy, capture_output=True, text=True, check=True)
        assert used.stdout.startswith(str(copy)), f"the copy is not what is imported: {used.stdout}"
        every = tuple(dict.fromkeys(test for mutation in chosen for test in mutation.tests))
        if failed := run_tests(copy, every):
            print(f"without any mutation {failed} fails")
            return 1
        missed = sum(not tried(mutation, copy) for mutation in chosen)
    print(f"{len(chosen) - missed} of {len(chosen)} mutations caught")
    return int(bool(missed))


def tried(mutation: Mutation, copy: Path) -> bool:
    path = copy / "pytest_llminvariance" / mutation.file
    text = path.read_text()
    assert text.count(mutation.old) == 1, f"{mutation.name}: {mutation.old!r} stands {text.count(mutation.old)} times"
    path.write_text(text.replace(mutation.old, mutation.new))
    caught = run_tests(copy, mutation.tests)
    path.write_text(text)
    print(f"{mutation.name:<55} {caught or 'NOT CAUGHT'}", flush=True)
    return caught is not None


if __name__ == "__main__":
    sys.exit(main())
