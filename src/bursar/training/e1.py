"""e1: one dial for effort, as a share of what the model now spends on this very question.

Paper: Michael Kleinman, Matthew Trager, Alessandro Achille, Wei Xia, Stefano Soatto, "e1: Learning
    Adaptive Control of Reasoning Effort", 2025, arXiv:2510.27042; section 3 (Adaptive Effort
    Control).
Symbols: r -> dial; R_AEC -> rewards; T_avg -> typical length; l(h) -> length.
Differs: T_avg is the mean length of texts drawn without a dial, which are not learnt from.
    Averaged over the dialled texts it would shrink as they do, until not even one solution fits.
    Supervised texts tell the dials apart before (training/supervise.py).
Checked: tests/papers/test_e1.py: from .25 to 1 in quarters the mean length rises with the dial; at
    a fixed dial longer chains get more tokens. More right answers at equal tokens than a twin
    trained with one length for all questions was not shown: the twin is as good.
Seed: 40
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EffortReward:
    """A right answer counts if its text is no longer than the dial's share of a typical one."""

    absolute: bool = False
    """The twin: typical of all questions, so that a dial means the same length for every one."""

    def rewards(
        self, dials: Floats, right: NDArray[np.bool_], lengths: Floats, free_lengths: Floats
    ) -> Floats:
        """(questions, dials, texts); `dials` (questions, dials).

        `free_lengths` (questions,): mean length without a dial.
        """
        typical = np.full_like(free_lengths, free_lengths.mean()) if self.absolute else free_lengths
        fits = lengths <= dials[:, :, None] * typical[:, None, None]
        return np.asarray(right & fits, dtype=np.float64)
