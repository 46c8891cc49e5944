"""majority@k: the chance that the most frequent of k answers is right.

Exact, by generating functions: conditioned on their sum, independent binomial counts are the
draws without replacement, and independent Poisson counts are the draws with it. So the chance is
a convolution of small tables. A tie is broken at random; "the first to appear wins" has the same
expectation, as every order is as likely.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, poisson

from bursar.errors import BadInput
from bursar.value.base import Floats


def majority_at_k(counts: ArrayLike, right: int | None, k: int) -> float:
    """Unbiased majority@k of one question from its recorded answers.

    `counts` (answers,) says how often each distinct answer was recorded, `right` is the index of
    the right one (None: it never appeared). The mean over all k-subsets of the record, which is
    unbiased for voting over k fresh samples. Raises `BadInput` on k outside 1..n.
    """
    votes = np.asarray(counts, dtype=np.int64)
    if votes.ndim != 1 or np.any(votes < 0):
        raise BadInput(f"counts must be a row of numbers >= 0, got {votes}")
    total = int(votes.sum())
    if not 1 <= k <= total:
        raise BadInput(f"k must lie between 1 and the {total} recorded answers, got {k}")
    if right is None:
        return 0.0
    table = np.asarray(binom.pmf(np.arange(k + 1), votes[:, None], k / total))
    return _plurality(table, right, k) / float(binom.pmf(k, total, k / total))


def majority_of(probabilities: ArrayLike, right: int, k: int) -> float:
    """majority@k when each answer's chance per sample is known; `probabilities` sum to 1."""
    chance = np.asarray(probabilities, dtype=float)
    if chance.ndim != 1 or np.any(chance < 0) or abs(chance.sum() - 1) > 1e-9:
        raise BadInput(f"probabilities must be >= 0 and sum to 1, got {chance}")
    if k < 1:
        raise BadInput(f"k must be at least 1, got {k}")
    table = np.asarray(poisson.pmf(np.arange(k + 1), k * chance[:, None]))
    return _plurality(table, right, k) / float(poisson.pmf(k, k))


def weighted_majority_at_k(
    answers: ArrayLike,
    weights: ArrayLike,
    right: ArrayLike,
    k: int,
    *,
    rng: np.random.Generator,
    subsets: int = 256,
) -> Floats:
    """P(the answer with the largest sum of weights is right), per question, by random subsets.

    `answers` (questions, n) are codes >= 0, `weights` (questions, n) each sample's vote, `right`
    (questions,) the right code. Standard error at most 0.5 / sqrt(subsets). The first of tied
    answers wins.
    """
    codes, votes = np.asarray(answers, dtype=np.int64), np.asarray(weights, dtype=float)
    if codes.ndim != 2 or codes.shape != votes.shape or not 1 <= k <= codes.shape[1]:
        raise BadInput(
            f"answers and weights must be (questions, n) with 1 <= k <= n, "
            f"got {codes.shape}, {votes.shape} and k {k}"
        )
    if np.any(codes < 0) or not np.all(votes >= 0):
        raise BadInput("answer codes and weights must be zero or more")
    truth = np.asarray(right, dtype=np.int64)
    rows = np.arange(len(codes))[:, None]
    hits = np.zeros(len(codes))
    for _ in range(subsets):
        chosen = rng.permuted(np.tile(np.arange(codes.shape[1]), (len(codes), 1)), axis=1)[:, :k]
        taken = codes[rows, chosen]
        sums = np.zeros((len(codes), int(codes.max()) + 1))
        np.add.at(sums, (rows, taken), votes[rows, chosen])
        # argmax over the samples in drawn order, so that the first of tied answers wins
        winner = taken[rows[:, 0], sums[rows, taken].argmax(axis=1)]
        hits += winner == truth
    return hits / subsets


def _plurality(table: Floats, right: int, k: int) -> float:
    """Sum over counts that add up to k of prod table[i, count_i] / (answers tied at the top).

    Zero unless `right` is at the top. `table` is (answers, k + 1).
    """
    others = np.delete(table, right, axis=0)
    total = 0.0
    for mine in range(1, k + 1):
        left, most_ties = k - mine, (k - mine) // mine
        ways = np.zeros((most_ties + 1, left + 1))  # [answers tied with ours, samples placed]
        ways[0, 0] = 1.0
        for row in others:
            placed = np.zeros_like(ways)
            for count in range(min(mine, left + 1)):
                placed[:, count:] += row[count] * ways[:, : left + 1 - count]
            if most_ties:
                placed[1:, mine:] += row[mine] * ways[:-1, : left + 1 - mine]
            ways = placed
        share = ways[:, left] / (1 + np.arange(most_ties + 1))
        total += float(table[right, mine] * share.sum())
    return total
