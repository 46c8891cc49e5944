"""ThinkDial: three effort modes, rewarded for being right and, below High, for being short.

Paper: Qianyu He, Siyu Yuan, Xuefeng Li, Mingxuan Wang, Jiangjie Chen, "ThinkDial: An Open Recipe
    for Controlling Reasoning Effort in Large Language Models", 2025, arXiv:2508.18773; section 3.
Symbols: r_med, r_low -> LENGTH_SHARES; phases of reinforcement -> `training/train_thinkdial.py`.
Differs: the length term is ours (the paper's formula was not at hand): a right answer loses up to
    its mode's `penalties` as its length goes from the mode's share of what High used on the
    question to High's full length. No penalty for thinking on in the answer: here there is
    nothing between the answer and the end. The answer is the commonest of the text's rounds.
Checked: tests/papers/test_thinkdial.py: on held-out chains Medium and Low cut mean tokens by 40 %
    and 65 % for at most 10 % and 15 % of High's accuracy; the model without a mode, cut at as many
    tokens as Low, loses far more. Cut at as many as Medium it is no worse than Medium, and decoded
    greedily Low is as good as High.
Seed: 31
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MODES = ("high", "medium", "low")
ROUNDS = {"high": 4, "medium": 2, "low": 1}
"""Times that a chain is solved in the first, supervised texts: a long text and what is left of it
when it is cut at half and at a quarter."""
LENGTH_SHARES = {"high": 1.0, "medium": 0.5, "low": 0.25}


@dataclass(frozen=True, slots=True)
class ModeReward:
    """1 for a right answer, less a penalty that grows with length; none for High."""

    penalties: Mapping[str, float] = field(default_factory=lambda: {"medium": 0.3, "low": 0.5})

    def rewards(
        self, mode: str, right: NDArray[np.bool_], lengths: Floats, high_lengths: Floats
    ) -> Floats:
        """(questions, texts) of one mode; `high_lengths` (questions,): mean length of High's."""
        penalty = self.penalties.get(mode, 0.0)
        if not penalty:
            return right.astype(np.float64)
        goal = LENGTH_SHARES[mode]
        used = lengths / high_lengths[:, None]
        excess = np.clip((used - goal) / (1 - goal), 0, 1)
        return np.asarray(right * (1 - penalty * excess))
