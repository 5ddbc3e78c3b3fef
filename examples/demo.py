"""Run the example suite on the demo model, show its verdicts, and check that they are the known ones.

The demo model breaks most properties, so pytest itself exits 1. This script exits 0 only because it says
beforehand which verdict it expects of each test, and finds exactly that. An argument `TEST=VERDICT` says that another
verdict is known of the way in which the model is asked; all other arguments go to pytest.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

SUITE = Path(__file__).parent / "model_repo"

EXPECTED = {
    "test_order_of_options_does_not_change_the_letter_chosen": "BROKEN",
    "test_order_of_options_does_not_change_the_word_said": "BROKEN",
    "test_averaging_over_rotations_repairs_it": "HOLDS",
    "test_what_it_writes_is_what_its_first_token_says": "UNDECIDED",
    "test_another_question_gets_another_answer": "BROKEN",
    "test_scores_do_not_depend_on_the_administration": "BROKEN",
    "test_trait_scores_do_not_depend_on_the_administration": "BROKEN",
    "test_wording_of_the_instruction_does_not_matter": "BROKEN",
    "test_other_letters_do_not_matter": "BROKEN",
    "test_order_of_teams_does_not_matter": "BROKEN",
    "test_no_presentation_of_a_ticket_changes_the_team": "BROKEN",
}


def main(arguments: Sequence[str]) -> int:
    others = [argument for argument in arguments if argument.partition("=")[0] in EXPECTED]
    expected = {**EXPECTED, **dict(argument.split("=", 1) for argument in others)}
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        options = ["--tb=short", "-p", "no:cacheprovider", f"--junitxml={results}"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(SUITE),
            "--rootdir",
            str(SUITE),
            *options,
            *[word for word in arguments if word not in others],
        ]
        status = subprocess.run(command, check=False).returncode
        verdicts = read_verdicts(results) if results.exists() else {}
    differences = [
        f"  {name}: expected {expected.get(name, 'no such test')}, got {verdicts.get(name, 'nothing')}"
        for name in sorted(expected.keys() | verdicts.keys())
        if expected.get(name) != verdicts.get(name)
    ]
    print()
    print(f"pytest exited {status}, as it does when a property is broken: this would block a deployment.")
    if differences or status != 1:
        print("demo: the verdicts are NOT the known ones:", *differences, sep="\n")
        return 1
    counts = ", ".join(f"{n} {verdict}" for verdict, n in Counter(verdicts.values()).most_common())
    print(f"demo: {counts}: exactly what is known of this small model, so the demo exits 0.")
    return 0


def read_verdicts(results: Path) -> dict[str, str]:
    """Return the verdict of each test: from its finding, or, for a search, from whether it failed."""
    verdicts = {}
    for case in ET.parse(results).getroot().iter("testcase"):
        found = [item.attrib["value"] for item in case.iter("property") if item.attrib["name"] == "invariance_finding"]
        failed = case.find("failure") is not None or case.find("error") is not None
        verdicts[case.attrib["name"]] = (
            json.loads(found[-1])["verdict"] if found else "BROKEN" if failed else "no finding"
        )
    return verdicts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
