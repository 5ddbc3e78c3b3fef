"""Ask a server by lm-eval's `local-completions`, in an environment of its own: a job as JSON comes in, seconds and log-probabilities go out.

Needs lm-eval[api] and transformers, and nothing of this package.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    job: dict[str, Any] = json.load(sys.stdin)
    harness = LocalCompletionsAPI(
        base_url=job["url"], model=job["model"], tokenizer=job["tokenizer"], tokenizer_backend="huggingface",
        num_concurrent=job["concurrency"], add_bos_token=False,
    )  # fmt: skip
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=number)
        for number, pair in enumerate(job["pairs"])
    ]
    began = time.perf_counter()
    values = harness.loglikelihood(asked, disable_tqdm=True)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "nats": [value for value, _ in values]}))


if __name__ == "__main__":
    main()
