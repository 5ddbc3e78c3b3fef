"""Prompts and tokens of 1,000 questions by design: the table of docs/cost.md. Loads a tokenizer and no weights.

python -m benchmarks.cost                # the demo model's tokenizer
python -m benchmarks.cost --tokenizer FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.workload import Count, make_question, requests_for, tree_nodes

DESIGNS = ((4, "all"), (4, "cyclic"), (4, "balanced"), (4, "reversed"), (3, "all"), (2, "all"), (6, "balanced"))
STEMS = (20, 200, 600)
QUESTIONS = 8


def row(n_options: int, design: str, count: Count, tokens: Callable[[Any], Sequence[int]]) -> str:
    """Return one line of the table: means over a few questions, times 1,000."""
    cells, prompts = [], 0
    for stem in STEMS:
        asked = [requests_for(make_question(count, stem, n_options, n, "cost"), design) for n in range(QUESTIONS)]
        texts = [[tokens(request) for request in requests] for requests in asked]
        prompts = sum(map(len, texts)) * 1_000 // QUESTIONS
        sent = sum(map(tree_nodes, texts)) * 1_000 / QUESTIONS
        whole = sum(len(text) for group in texts for text in group) * 1_000 / QUESTIONS
        cells.append(f"{sent / 1e6:.2f} of {whole / 1e6:.2f}")
    return f"| `{design}`, {n_options} options | {prompts:,} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    from transformers import AutoTokenizer

    from pytest_llminvariance.models.local.demo import demo_folder

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", help="folder or hub id (default: the demo model's)")
    tokenizer = AutoTokenizer.from_pretrained(parser.parse_args().tokenizer or demo_folder())

    def tokens(request: Any) -> list[int]:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    print(f"| design | prompts | {' | '.join(f'stem of {stem} tokens' for stem in STEMS)} |\n|---|---|---|---|---|")
    for n_options, design in DESIGNS:
        print(row(n_options, design, lambda text: len(tokenizer(text).input_ids), tokens))


if __name__ == "__main__":
    main()
