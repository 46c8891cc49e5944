"""pass@k: the chance that at least one of k samples is right, from n >= k recorded ones."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from bursar.errors import BadInput
from bursar.value.base import Floats, check_counts


def pass_at_k(successes: ArrayLike, trials: ArrayLike, k: ArrayLike) -> Floats:
    """Unbiased pass@k = 1 - C(n - c, k) / C(n, k), for c successes in n trials.

    All arguments broadcast; the mean over questions is the task's pass@k. Through log-factorials,
    so that n in the millions does not overflow (absolute error below 1e-9 there). The formula is
    eq. (1) of Chen et al., "Evaluating Large Language Models Trained on Code", 2021,
    arXiv:2107.03374.
    Raises `BadInput` unless 0 <= c <= n and 1 <= k <= n.
    """
    right, tried = check_counts(successes, trials)
    taken = np.asarray(k, dtype=float)
    if np.any(taken < 1) or np.any(taken > tried):
        raise BadInput(
            f"k must lie between 1 and trials, got {taken} of {tried}: record more samples"
        )
    wrong = tried - right
    possible = wrong >= taken  # else any k samples hold a right one
    left = np.where(possible, wrong - taken, 0)
    log_miss = gammaln(wrong + 1) - gammaln(left + 1) - gammaln(tried + 1)
    log_miss = log_miss + gammaln(tried - taken + 1)
    share: Floats = np.where(possible, -np.expm1(np.minimum(log_miss, 0)), 1.0)
    return share
