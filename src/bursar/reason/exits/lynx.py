"""LYNX: end a text that checks itself as soon as a probe of its state is sure of the answer.

Paper: Akgul et al., "LYNX: Learning Dynamic Exits for Confidence-Controlled Reasoning", 2025,
  arXiv:2512.05325; the probe at cue tokens, forced exits, split-conformal calibration.
Symbols: delta -> alpha; p(c) -> probe score; calibration set -> calibration, `by_event`.
Differs: the cue is the end of an attempt, where `wrong` ("wait") would follow: an exit forced
  within an attempt is right in 1 of 20. The probe reads, beside the last layer's state (the paper:
  three layers'), the log-probabilities of the attempt and whether earlier attempts agree with it:
  on chains the state alone tells little (area under ROC .66 and .64 against .90 and .92). The
  paper's guarantee is per look, given that it is unsafe; here it is per trajectory, over all its
  looks (see `conformal.worst_look`); `by_event` has the paper's.
Checked: tests/papers/test_lynx.py: at five alphas at most alpha (and binomial slack) of held-out
  texts are left with a wrong answer, tokens cut by 30 % at no less than full accuracy, more right
  than a fixed cut and than a log-probability threshold at equal tokens; the published guarantee
  holds per look.
Seed: 231
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from bursar.backends.tiny.backend import WEIGHTS
from bursar.errors import BadInput
from bursar.reason.exits.conformal import threshold
from bursar.reason.exits.self_checks import Bools, Looks

ROUNDS = 4
"""Attempts in a full text, in training and in use."""
MAX_TOKENS = 480
"""Room for them at up to 6 operations."""


@dataclass(frozen=True, slots=True, eq=False)
class ExitProbe:
    """P(the answer just given is right): a perceptron with one hidden layer, and its calibration.

    `by_trajectory` (texts,) holds the worst look of each calibration text, `by_event` (looks,) the
    scores of all its unsafe looks.
    """

    inner: NDArray[np.float32]
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    outer_bias: NDArray[np.float32]
    by_trajectory: NDArray[np.float32]
    by_event: NDArray[np.float32]

    def score(self, looks: Looks) -> NDArray[np.float32]:
        """(n,) probabilities."""
        inner = np.maximum(features(looks) @ self.inner.T + self.inner_bias, 0)
        logits = inner @ self.outer + self.outer_bias
        scores: NDArray[np.float32] = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return scores


def features(looks: Looks) -> NDArray[np.float32]:
    """(n, width + 6): what the probe reads of a look."""
    first = (looks.agree < 0).astype(np.float32)
    parts = (
        looks.hidden,
        looks.logprobs,
        np.log1p(-looks.logprobs),
        np.maximum(looks.agree, 0)[:, None],
        first[:, None],
    )
    return np.concatenate(parts, axis=1)


@cache
def probe_of(model: str) -> ExitProbe:
    """The probe trained for a built-in model. Raises `BadInput` where there is none."""
    path = WEIGHTS / f"exits-{model}.safetensors"
    if not path.is_file():
        raise BadInput(
            f"LYNX has no exit probe for {model}; it reads states, which hosted and recorded "
            "models do not show: use a built-in model (tiny-1m), or adaptive_consistency"
        )
    parts = load_file(path)
    return ExitProbe(**{name: part.astype(np.float32) for name, part in parts.items()})


@dataclass(frozen=True, slots=True)
class ProbeExit:
    """Ends a text at the first look that `probe` scores above `above`."""

    probe: ExitProbe
    above: float

    def exits(self, looks: Looks) -> Bools:
        """(n,)."""
        sure: Bools = self.probe.score(looks) > self.above
        return sure


@dataclass(frozen=True, slots=True)
class Lynx:
    """At most a share `alpha` of texts is left with a wrong answer before its end.

    Holds for texts exchangeable with those of calibration: chains of 3-6 operations in equal
    shares, `ROUNDS` attempts, temperature 0.7.
    """

    alpha: float = 0.1

    def rule(self, model: str) -> ProbeExit:
        """The exit rule for the texts of a built-in model."""
        probe = probe_of(model)
        return ProbeExit(probe, threshold(probe.by_trajectory, self.alpha))
