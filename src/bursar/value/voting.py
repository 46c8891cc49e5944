"""Voting: is the leader of two answers really the likelier one?"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc

from bursar.errors import BadInput
from bursar.value.base import Floats


def p_top_beats_second(top: ArrayLike, second: ArrayLike) -> Floats:
    """P(the leader is more likely than the runner-up per sample), given votes for each.

    Posterior Beta(top + 1, second + 1) above 1/2: the stopping rule of Aggarwal et al., "Let's
    Sample Step by Step: Adaptive-Consistency", 2023, arXiv:2305.11860 (stop at 0.95). Votes may be
    sums of weights. Shapes broadcast.
    """
    first, other = np.asarray(top, dtype=float), np.asarray(second, dtype=float)
    if not (np.all(first >= 0) and np.all(other >= 0)):
        raise BadInput(f"votes must be zero or more, got {first} and {other}")
    return np.asarray(betainc(other + 1, first + 1, 0.5), dtype=np.float64)
