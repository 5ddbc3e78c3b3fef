"""Fixed-sample paired tests, for reports only.

They read two (or more) answers to each question of a suite: of two models, before and after a fine-tune, under two
wordings. Their p-values mean something only where everything planned was asked, and no verdict depends on them:
what stops early is decided by its own test, and looking at these while answers come in inflates their error.
Questions are taken as independent of each other; paraphrases of one stem are not.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar

from pytest_llminvariance.errors import UsageError, missing_extra

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST_EXACT = 20
"""Differences up to which all 2^n sign patterns are looked at."""
LARGEST = 1e100
ROUND_OFF = 1e-12
PATTERNS_AT_ONCE = 1 << 22
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """What a fixed-sample paired test found."""

    test: str
    statistic: float | None
    p_value: float | None
    """`None`, like `statistic`, where the test cannot say anything; `method` says why."""
    n: int
    """Questions, those without any difference among them."""
    counts: Mapping[str, int]
    """What the test saw, in whole questions."""
    method: str
    """How the p-value came about, for a reader of the report."""
    df: int | None = None
    """Degrees of freedom of the reference distribution, where it has some."""
    estimate: float | None = None
    """Second minus first: difference of shares, or of means."""


def mcnemar_exact(first: Sequence[object], second: Sequence[object]) -> PairedTest:
    """Test whether two answers to the same questions are right (or changed, or refused) equally often.

    The smaller of both discordant counts is binomial with probability 1/2 given their sum; the p-value is two-sided,
    1 without discordant pairs. Source: McNemar, Psychometrika 12 (1947) 153-157; the exact form: Fagerland, Lydersen
    and Laake, BMC Medical Research Methodology 13 (2013) 91.

    Args:
        first: 0 or 1 (or False, True) for each question.
        second: the same questions in the same order.

    Raises:
        UsageError: nothing, different lengths, or a value other than 0 and 1.
    """
    from scipy.stats import binomtest

    before, after = _paired(first, second, _bit)
    cells = Counter(zip(before, after, strict=True))
    only_first, only_second = cells[1, 0], cells[0, 1]
    discordant = only_first + only_second
    smaller = min(only_first, only_second)
    return PairedTest(
        test="exact McNemar",
        statistic=float(smaller),
        p_value=float(binomtest(smaller, discordant).pvalue) if discordant else 1.0,
        n=len(before),
        counts={"both": cells[1, 1], "only_first": only_first, "only_second": only_second, "neither": cells[0, 0]},
        method=f"two-sided binomial test of the {discordant} discordant pairs ({only_first} and {only_second})",
        estimate=(only_second - only_first) / len(before),
    )


def cochran_q(answers: Sequence[Sequence[object]]) -> PairedTest:
    """Test whether several conditions have the same share of ones over the same questions.

    Q = (k - 1) (k sum C_j^2 - T^2) / (k T - sum R_i^2) against chi-square with k - 1 degrees of freedom, with column
    sums C, row sums R and total T; for two conditions McNemar's test without correction. Source: Cochran, Biometrika
    37 (1950) 256-266; when the approximation is rough: Tate and Brown, JASA 65 (1970) 155-160.

    Args:
        answers: one row for each question, with 0 or 1 for each of the same k >= 2 conditions.

    Raises:
        UsageError: no row, rows of different lengths or of fewer than two, or a value other than 0 and 1.
        MissingExtraError: statsmodels is not installed.
    """
    rows = [[_bit(f"answers[{i}]", j, value) for j, value in enumerate(row)] for i, row in enumerate(_rows(answers))]
    k = len(rows[0])
    mixed = [row for row in rows if 0 < sum(row) < k]
    statistic = _cochran_statistic(mixed) if mixed else 0.0
    rough = 0 < len(mixed) < max(4, 24 / k)
    return PairedTest(
        test="Cochran's Q",
        statistic=statistic,
        p_value=_chi_square_tail(statistic, k - 1),
        n=len(rows),
        counts={"mixed": len(mixed), **{f"ones_{j + 1}": sum(row[j] for row in rows) for j in range(k)}},
        method=f"chi-square approximation over the {len(mixed)} questions with both kinds of answers"
        + (", rough: fewer than four such questions, or fewer than 24 such answers" if rough else ""),
        df=k - 1,
    )


def stuart_maxwell(first: Sequence[object], second: Sequence[object]) -> PairedTest:
    """Test whether two answers to the same questions have the same distribution over categories.

    d' V^-1 d against chi-square: d the differences of the marginal counts, V with n_i. + n_.i - 2 n_ii on its diagonal
    and -(n_ij + n_ji) elsewhere. Categories that no question moved between, directly or through others, are
    independent parts, so V is inverted part by part, and each part of c categories has c - 1 degrees of freedom; one
    that nobody left or entered has none. For two categories McNemar's test without correction. Sources: Stuart,
    Biometrika 42 (1955) 412-416; Maxwell, British Journal of Psychiatry 116 (1970) 651-655.

    Args:
        first: the category of each question, all texts or all whole numbers.
        second: the same questions in the same order.

    Raises:
        UsageError: nothing, different lengths, or categories of other or mixed types.
        MissingExtraError: statsmodels is not installed.
    """
    before, after = _paired(first, second, _category)
    if len({type(value) for value in (*before, *after)}) > 1:
        raise UsageError(
            "categories are texts and whole numbers mixed, but 1 and '1' would read the same: use one kind"
        )
    moves = Counter((a, b) for a, b in zip(before, after, strict=True) if a != b)
    parts = _connected(moves)
    statistic = sum(_stuart_maxwell_statistic(part, moves) for part in parts)
    df = sum(len(part) - 1 for part in parts)
    changed = moves.total()
    return PairedTest(
        test="Stuart-Maxwell",
        statistic=statistic,
        p_value=_chi_square_tail(statistic, df) if df else 1.0,
        n=len(before),
        counts={"changed": changed, "same": len(before) - changed}
        | {f"{name} {category}": count for name, values in (("first", before), ("second", after))
           for category, count in sorted(Counter(values).items())},
        method=f"chi-square approximation over the {changed} questions that changed category",
        df=df,
    )  # fmt: skip


def paired_permutation(
    first: Sequence[object], second: Sequence[object], *, seed: int, patterns: int = 9_999
) -> PairedTest:
    """Test whether second minus first is symmetric about 0, by changing the signs of the differences.

    Two-sided, the statistic is the mean difference. Up to 20 differences other than 0: exact over all sign patterns.
    More: p = (1 + patterns at least as extreme) / (1 + patterns), never 0; the signs are the raw words of PCG64, so
    they are the same on every machine and version. Sources: Fisher, The Design of Experiments (1935), section 21;
    the + 1: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010), article 39.

    Args:
        first: a number for each question.
        second: the same questions in the same order.
        seed: of the random patterns, from 0 up.
        patterns: how many random ones, at least 99.

    Raises:
        UsageError: nothing, different lengths, a value that is no finite number, or a bad seed or number of patterns.
    """
    for name, value, least in (("seed", seed, 0), ("patterns", patterns, 99)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{name} is {value!r}, but must be a whole number from {least} up")
    differences = _differences(*_paired(first, second, _number))
    moved = [difference for difference in differences if difference]
    exact = len(moved) <= MOST_EXACT
    mean = math.fsum(differences) / len(differences)
    return PairedTest(
        test="paired permutation",
        statistic=mean,
        p_value=_exact_share(moved) if exact else _sampled_share(moved, seed, patterns),
        n=len(differences),
        counts=_signs(differences),
        method=f"exact: all {1 << len(moved):,} sign patterns of the {len(moved)} differences other than 0"
        if exact
        else f"{patterns:,} random sign patterns, seed {seed}; the observed one is counted among them",
        estimate=mean,
    )


def tost_paired(first: Sequence[object], second: Sequence[object], *, low: float, high: float) -> PairedTest:
    """Test whether the mean of second minus first lies between `low` and `high`, by two one-sided paired t-tests.

    A small p-value speaks for equivalence: it is the larger of both, and below alpha exactly when the 1 - 2 alpha
    confidence interval lies within the margin. Where all differences are the same there is no spread to judge by, and
    the p-value is `None`. Source: Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657-680.

    Args:
        first: a number for each question, two questions at least.
        second: the same questions in the same order.
        low: lower end of the margin, in the unit of the numbers.
        high: upper end, above `low`.

    Raises:
        UsageError: fewer than two questions, different lengths, a value that is no finite number, or an empty margin.
    """
    from scipy.stats import ttest_1samp

    low, high = _number("low", None, low), _number("high", None, high)
    if low >= high:
        raise UsageError(f"low is {low}, high is {high}, but the margin must reach from a smaller number to a larger")
    before, after = _paired(first, second, _number)
    differences = _differences(before, after)
    n = len(differences)
    if n < 2:
        raise UsageError("there is one question, but the spread of differences needs two at least: ask more")
    statistic = p_value = None
    method = f"two one-sided paired t-tests, margin {low:g} to {high:g}"
    if max(differences) - min(differences) <= ROUND_OFF * max(map(abs, (*before, *after))):
        method += "; not done: all differences are the same, and without spread there is no t-test"
    else:
        above = ttest_1samp(differences, low, alternative="greater")
        below = ttest_1samp(differences, high, alternative="less")
        weaker = above if above.pvalue >= below.pvalue else below
        statistic, p_value = float(weaker.statistic), float(weaker.pvalue)
    return PairedTest(
        test="TOST",
        statistic=statistic,
        p_value=p_value,
        n=n,
        counts=_signs(differences),
        method=method,
        df=n - 1,
        estimate=math.fsum(differences) / n,
    )


def _cochran_statistic(mixed: list[list[int]]) -> float:
    try:
        from statsmodels.stats.contingency_tables import cochrans_q
    except ImportError as error:
        raise missing_extra("stats", "statsmodels", "Cochran's Q") from error
    return float(cochrans_q(mixed).statistic)


def _stuart_maxwell_statistic(part: list[Any], moves: Mapping[tuple[Any, Any], int]) -> float:
    try:
        from statsmodels.stats.contingency_tables import SquareTable
    except ImportError as error:
        raise missing_extra("stats", "statsmodels", "the Stuart-Maxwell test") from error
    import numpy as np

    table = np.array([[moves.get((row, column), 0) for column in part] for row in part])
    # its default would turn each empty cell into half a question
    return float(SquareTable(table, shift_zeros=False).homogeneity("stuart_maxwell").statistic)


def _chi_square_tail(statistic: float, df: int) -> float:
    from scipy.stats import chi2

    return float(chi2.sf(statistic, df))


def _connected(moves: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
    """Return the categories that questions moved between, in parts that no question moved between."""
    parts: list[set[Any]] = []
    for move in moves:
        touched = [part for part in parts if part & set(move)]
        parts = [part for part in parts if part not in touched] + [set(move).union(*touched)]
    return sorted(map(sorted, parts))


def _exact_share(moved: list[float]) -> float:
    """Return the share of all sign patterns whose sum is at least as far from 0 as the observed one."""
    import numpy as np

    sums = np.zeros(1)
    for difference in moved:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(_extreme(sums, moved).mean())


def _sampled_share(moved: list[float], seed: int, patterns: int) -> float:
    import numpy as np

    words = -(-len(moved) // 64)
    source, extreme, left = np.random.PCG64(seed), 0, patterns
    while left:
        rows = min(left, max(1, PATTERNS_AT_ONCE // (64 * words)))
        raw = np.asarray(source.random_raw((rows, words)), dtype="<u8")
        flipped = np.unpackbits(raw.view(np.uint8), axis=1, bitorder="little")[:, : len(moved)]
        sums = math.fsum(moved) - 2 * (flipped.astype(float) @ np.array(moved))
        extreme += int(_extreme(sums, moved).sum())
        left -= rows
    return (1 + extreme) / (1 + patterns)


def _extreme(sums: NDArray[Any], moved: list[float]) -> NDArray[Any]:
    """Say which sums are at least as far from 0 as the observed one; sums that differ by rounding are equal."""
    threshold = abs(math.fsum(moved)) - ROUND_OFF * math.fsum(map(abs, moved))
    return abs(sums) >= threshold


def _signs(differences: list[float]) -> dict[str, int]:
    positive, negative = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    return {"positive": positive, "negative": negative, "zero": len(differences) - positive - negative}


def _differences(before: list[float], after: list[float]) -> list[float]:
    scale = max(map(abs, (*before, *after)))
    pairs = zip(before, after, strict=True)
    # 0 must be 0: what is left of (.1 + .2) - .3 would count as a change
    return [0.0 if abs(b - a) <= ROUND_OFF * scale else b - a for a, b in pairs]


def _paired(
    first: Sequence[object], second: Sequence[object], read: Callable[[str, int, object], Read]
) -> tuple[list[Read], list[Read]]:
    before, after = _listed("first", first), _listed("second", second)
    if len(before) != len(after):
        raise UsageError(
            f"first has {len(before)} values, second has {len(after)}, but they must be of the same questions in the "
            "same order. Leave a question that one of them lacks out of both, and say so in the report"
        )
    if not before:
        raise UsageError("there is no question: a paired test needs one at least")
    return (
        [read("first", position, value) for position, value in enumerate(before)],
        [read("second", position, value) for position, value in enumerate(after)],
    )


def _rows(answers: Sequence[Sequence[object]]) -> list[list[object]]:
    rows = [_listed(f"answers[{position}]", row) for position, row in enumerate(_listed("answers", answers))]
    if not rows:
        raise UsageError("there is no question: a paired test needs one at least")
    for position, row in enumerate(rows):
        if len(row) != len(rows[0]) or len(row) < 2:
            raise UsageError(
                f"answers[{position}] has {len(row)} values, but each question needs one for each of the same "
                f"conditions, two at least; answers[0] has {len(rows[0])}"
            )
    return rows


def _listed(name: str, values: object) -> list[Any]:
    if isinstance(values, str | bytes | set | frozenset | Mapping) or not isinstance(values, Iterable):
        raise UsageError(f"{name} is {values!r:.80}, but must be a list of one value for each question, in order")
    return list(values)


def _bit(name: str, position: int, value: object) -> int:
    number = _number(name, position, value)
    if number not in (0, 1):
        raise UsageError(f"{name}[{position}] is {value!r:.80}, but must be 0 or 1, False or True")
    return int(number)


def _number(name: str, position: int | None, value: object) -> float:
    """Return a finite number; a text is none, even one of digits."""
    try:
        number = math.nan if isinstance(value, str | bytes) or not isinstance(value, SupportsFloat) else float(value)
    except (TypeError, ValueError, OverflowError):  # arrays, numbers too large
        number = math.nan
    if not abs(number) < LARGEST:  # not a number compares as False
        where = name if position is None else f"{name}[{position}]"
        raise UsageError(
            f"{where} is {value!r:.80}, but must be a finite number. "
            "A question without an answer has no place here: leave it out of all, and say so in the report"
        )
    return number


def _category(name: str, position: int, value: object) -> str | int:
    if isinstance(value, str):
        return str(value)
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(
            f"{name}[{position}] is {value!r:.80}, but a category must be a text or a whole number"
        ) from error
