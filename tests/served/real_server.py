"""The demo model in real engines on this machine, compared with the model in this process: `python -m tests.served.real_server`.

- behind vLLM: numbers of labels and options, texts, the verdict of orders, and the example suite with its known verdicts;
- in vLLM in one process (`in_vllm`): the same;
- behind `transformers serve`: texts and the verdict of orders by its chat, which tells no log-probabilities;
- as a decision model there: verdict and counter-example of orders, and the averaged model that holds.

Environments are made once, servers are stopped by their process ids. `--only tokens,engine` does some of it. With `--record` what vLLM was
sent and answered is written to `recorded.json`, which the tests replay. With `--url URL` a vLLM that runs already is compared.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_llminvariance import (
    Presentation,
    Question,
    Verdict,
    assert_backends_agree,
    check,
    load_model,
    load_questions,
    symmetrized,
)
from pytest_llminvariance.models.local.demo import demo_folder
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    Model,
    OptionReply,
    OptionRequest,
    TextRequest,
)
from pytest_llminvariance.models.served.client import Client
from tests.served.decision_suite import ANIMALS
from tests.served.servers import (
    ON_CPU,
    ROOT,
    serving_environment,
    transformers_server,
    vllm_environment,
    vllm_server,
)

RECORDED = Path(__file__).with_name("recorded.json")
BANK = ROOT / "examples" / "model_repo" / "questions"
NAME = "demo"
QUESTIONS = [
    Question("Which planet is closest to the sun?", ["Mercury", "Venus", "The planet Mars"], answer="Mercury"),
    Question("What is 2 + 2?", ["four", "five", "forty-two"], answer="four"),
]
SHOWN = [Presentation(question, order=order) for question in QUESTIONS for order in ((0, 1, 2), (2, 0, 1))]
FEW_NATS = 1e-3
NOISE_LEAVES_OPEN = ("test_trait_scores_do_not_depend_on_the_administration=UNDECIDED",)
"""A server may change any answer, and 0 changes in 118 repeats leave room for more than this effect; its numbers are those in process."""
FEW_FACTS = 12
"""Questions of the example suite that are enough for a verdict on their orders."""


def largest_difference(one: Model, other: Model, kind: Any) -> float:
    """Ask both the same labels or options, and return how far the log-probabilities are apart."""
    requests = [kind(shown) for shown in SHOWN]
    gaps = [0.0]
    for a, b in zip(one.answer(requests), other.answer(requests), strict=True):
        assert isinstance(a, LabelReply | OptionReply)
        assert isinstance(b, LabelReply | OptionReply)
        gaps += [abs(x - y) for x, y in zip(a.logprobs_nats, b.logprobs_nats, strict=True)]
        assert getattr(b, "unlisted", 0.0) == 0
    return max(gaps)


def compare(local: Model, url: str) -> dict[str, float]:
    """Return the largest differences by path; raises where one is too large or texts differ."""
    tokens = served(url)
    messages = load_model(f"openai:{NAME}@{url}")
    found = {
        "labels by tokens": largest_difference(local, tokens, LabelRequest),
        "options by tokens": largest_difference(local, tokens, OptionRequest),
        "labels by messages": largest_difference(local, messages, LabelRequest),
    }
    assert max(found.values()) < FEW_NATS, found
    for model in (tokens, messages):
        same_texts(local, model)
        model.release()  # type: ignore[attr-defined]
    return found


def served(url: str) -> Model:
    return load_model(f"openai:{NAME}@{url}", tokenizer=str(demo_folder()))


def same_texts(one: Model, other: Model) -> None:
    texts = [TextRequest(shown, max_new_tokens=4) for shown in SHOWN[:2]]
    assert [reply.text for reply in other.answer(texts)] == [reply.text for reply in one.answer(texts)]  # type: ignore[union-attr]


def same_verdict(
    one: Model, other: Model, questions: Sequence[Question], wanted: Verdict = Verdict.BROKEN, readout: str = "auto"
) -> None:
    """Check the order of options by both: the verdict is the one that is wanted, with the same effect and counter-example."""
    how: dict[str, Any] = {"tolerance": 0.05, "orders": "cyclic", "readout": readout}
    found = [check("option_order", model, questions, **how) for model in (one, other)]
    for finding in found:
        print(f"{finding.model}: {finding.verdict.name} {finding.effect}", flush=True)
    assert [finding.verdict for finding in found] == [wanted, wanted], [finding.reasons for finding in found]
    assert found[0].effect == found[1].effect
    nearest = [None if one is None else (one.question, one.change, one.before.answer, one.after.answer) for one in (finding.example for finding in found)]  # fmt: skip
    assert nearest[0] == nearest[1], nearest
    print(f"nearest: {nearest[0]}", flush=True)


def orders(url: str) -> None:
    """The order of options in process and through the server, whether the two agree, and what the server remembers."""
    local, model = load_model("demo"), served(url)
    same_verdict(local, model, load_questions(BANK / "facts.jsonl")[:FEW_FACTS])
    print(assert_backends_agree(local, model, QUESTIONS[:1]))
    began, n = time.monotonic(), model.usage.sent_tokens  # type: ignore[attr-defined]
    shown = [Presentation(QUESTIONS[0], order=order) for order in itertools.permutations(range(3))]
    model.answer([LabelRequest(one) for one in shown])
    print(f"{len(shown)} labels in {time.monotonic() - began:.1f} s, {model.usage.sent_tokens - n} tokens")  # type: ignore[attr-defined]
    print(model.describe_path())  # type: ignore[attr-defined]
    model.release()  # type: ignore[attr-defined]


def examples(python: Path | str, *flags: str, **told: str) -> None:
    """Run the example suite; it exits 0 where its verdicts are those that are known of the model in process."""
    command = [str(python), str(ROOT / "examples" / "demo.py"), "-q", "--invariance-cache=off", *flags]
    done = subprocess.run(command, env={**os.environ, **told}, check=False)
    assert done.returncode == 0, "the example suite has other verdicts than in process"


def decisions(folder: Path) -> None:
    """Tickets by a decision model, in process and behind `transformers serve`: orders are broken; of what it reads, they hold averaged."""
    tickets = load_questions(BANK / "tickets.jsonl")
    with transformers_server(serving_environment(folder), demo_folder()) as url:
        local = load_model(f"decision:{demo_folder()}", dtype="float32")
        model = load_model(f"systemone:{demo_folder()}@{url}", concurrency=1)
        same_verdict(local, model, tickets)
        same_verdict(symmetrized(local, "cyclic"), symmetrized(model, "cyclic"), ANIMALS, Verdict.HOLDS)
        model.release()  # type: ignore[attr-defined]


def chat(folder: Path) -> None:
    """What is written by `transformers serve`, asked for as messages, and what orders of options change of it."""
    with transformers_server(serving_environment(folder), demo_folder()) as url:
        local, model = load_model("demo"), load_model(f"openai:{demo_folder()}@{url}", concurrency=1)
        print(model.found_words())  # type: ignore[attr-defined]
        same_texts(local, model)
        same_verdict(local, model, load_questions(BANK / "facts.jsonl")[:FEW_FACTS], readout="text")
        model.release()  # type: ignore[attr-defined]


@contextmanager
def recording() -> Iterator[list[dict[str, Any]]]:
    """Note what clients send and are answered."""
    rows: list[dict[str, Any]] = []
    original = Client._attempt

    async def noted(self: Client, method: str, url: str, content: bytes | None, number: int) -> Any:
        data = await original(self, method, url, content, number)
        body = None if content is None else json.loads(content)
        rows.append({"method": method, "path": url.removeprefix(self.address.root), "body": body, "answer": data})
        return data

    Client._attempt = noted  # type: ignore[method-assign]
    try:
        yield rows
    finally:
        Client._attempt = original  # type: ignore[method-assign]


def record(rows: Sequence[Any]) -> None:
    for row in rows:
        if isinstance(row["answer"], dict) and "data" in row["answer"]:
            row["answer"]["data"][0]["root"] = "/models/demo"
    RECORDED.write_text("[\n" + ",\n".join(json.dumps(row, sort_keys=False) for row in rows) + "\n]\n")


def behind_vllm(url: str, only: Sequence[str]) -> None:
    token_flags = (f"--invariance-model=openai:{NAME}@{url}", f"--invariance-tokenizer={demo_folder()}")
    steps: dict[str, Callable[[], object]] = {
        "tokens": lambda: print(compare(load_model("demo"), url)),
        "orders": lambda: orders(url),
        "examples": lambda: examples(sys.executable, *token_flags, *NOISE_LEAVES_OPEN),
    }
    for name, step in steps.items():
        if name in only:
            timed(name, step)


def timed(name: str, step: Callable[[], object]) -> None:
    began = time.monotonic()
    print(f"--- {name}", flush=True)
    step()
    print(f"--- {name}: as in process, {time.monotonic() - began:.0f} s", flush=True)


STEPS = ("tokens", "orders", "examples", "engine", "engine-examples", "decisions", "chat")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--url")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=STEPS, metavar="STEP,...", help=", ".join(STEPS)
    )
    parser.add_argument("--environment", type=Path, default=Path(".vllm"))
    parser.add_argument("--serving-environment", type=Path, help="by default beside the one of vLLM")
    told = parser.parse_args()
    if unknown := set(told.only) - set(STEPS):
        parser.error(f"--only names {unknown.pop()!r}, but the steps are {', '.join(STEPS)}")
    if told.url:
        behind_vllm(told.url, told.only)
        return
    programs = vllm_environment(told.environment.absolute())
    if told.record:
        with vllm_server(programs, demo_folder(), NAME) as url, recording() as rows:
            compare(load_model("demo"), url)
        record(rows)
        return
    if {"tokens", "orders", "examples"} & set(told.only):
        with vllm_server(programs, demo_folder(), NAME) as url:
            behind_vllm(url, told.only)
    here = {**ON_CPU, "PYTHONPATH": str(ROOT)}
    if "engine" in told.only:
        command = [str(programs / "python"), "-m", "tests.served.in_vllm", str(demo_folder())]
        timed("engine", lambda: subprocess.run(command, env={**os.environ, **here}, cwd=ROOT, check=True))
    if "engine-examples" in told.only:
        flags = (
            f"--invariance-model=vllm:{demo_folder()}",
            "--invariance-dtype=float32",
            "--invariance-engine-arg=enforce_eager=true",
        )
        more = ("--invariance-engine-arg=max_model_len=2048", "-p", "tests.served.in_vllm")
        timed("engine-examples", lambda: examples(programs / "python", *flags, *more, **here))
    beside = told.environment.with_name(f"{told.environment.name}-serving")
    serving = (told.serving_environment or beside).absolute()
    for name, step in (("decisions", decisions), ("chat", chat)):
        if name in told.only:
            timed(name, lambda step=step: step(serving))  # type: ignore[misc]


if __name__ == "__main__":
    main()
