"""Idealized runtime: what a request would take on uniform hardware with nobody else on it.

Paper: Deepak Narayanan, Keshav Santhanam, Peter Henderson, Rishi Bommasani, Tony Lee, Percy Liang,
    "Cheaply Evaluating Inference Efficiency Metrics for Autoregressive Transformer APIs", 2023,
    arXiv:2305.02440; sections 3 and 4.
Symbols: p -> prompt_tokens; o -> tokens_out; f(p) -> prompt_seconds; g(o) -> seconds_per_token
    times tokens_out - 1; number of accelerators -> accelerators.
Differs: f is a line and a square in p instead of a table of measured prompt lengths, and a token
    may cost more behind a longer context; contention only ever adds time, so a low quantile of the
    timings is fitted (a linear programme) where the paper averages on hardware of its own.
Checked: tests/papers/test_idealized_runtime.py: a few timings predict unseen lengths within 10 %,
    and rank models by their own speed where contention ranks the raw latencies wrongly.
Seed: 149
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from bursar.cost.work import Array
from bursar.errors import BadInput

TERMS = 5


@dataclass(frozen=True, slots=True)
class IdealizedRuntime:
    """Of p and o: 1, p, p^2 (the prompt), o - 1 (the answer) and (o - 1)(p + o/2), in seconds.

    The last reads the cache. `accelerators` and `usd_per_hour` of one (None: not known) make
    the paper's variants that charge a model for the hardware that it needs.
    """

    seconds_per_request: float
    seconds_per_prompt_token: float
    seconds_per_prompt_square: float
    seconds_per_token: float
    seconds_per_context: float
    accelerators: int = 1
    usd_per_hour: float | None = None

    @classmethod
    def fit(
        cls,
        prompt_tokens: ArrayLike,
        tokens_out: ArrayLike,
        seconds: ArrayLike,
        *,
        quantile: float = 0.1,
        accelerators: int = 1,
        usd_per_hour: float | None = None,
    ) -> Self:
        """From timings of single requests, repeats as rows of their own; the three broadcast.

        Relative errors are weighed by `quantile`: so many of the timings lie below the fit. No
        coefficient is negative, so that nothing longer is ever faster. Raises `BadInput` unless
        there are at least `TERMS` timings, all above zero, with two lengths of prompt and answer.
        """
        prompt, out, measured = (
            np.ravel(a).astype(np.float64)
            for a in np.broadcast_arrays(prompt_tokens, tokens_out, seconds)
        )
        _check(prompt, out, measured, quantile)
        found = _quantile_fit(_terms(prompt, out), measured, quantile)
        a, b, c, d, e = (float(coefficient) for coefficient in found)
        return cls(a, b, c, d, e, accelerators, usd_per_hour)

    def seconds(self, prompt_tokens: ArrayLike, tokens_out: ArrayLike) -> Array:
        """Uncontended seconds of requests; the lengths broadcast."""
        coefficients = np.array([
            self.seconds_per_request,
            self.seconds_per_prompt_token,
            self.seconds_per_prompt_square,
            self.seconds_per_token,
            self.seconds_per_context,
        ])  # fmt: skip
        prompt, out = np.asarray(prompt_tokens, np.float64), np.asarray(tokens_out, np.float64)
        return np.asarray(_terms(prompt, out) @ coefficients)

    def accelerator_seconds(self, prompt_tokens: ArrayLike, tokens_out: ArrayLike) -> Array:
        """The same, times the devices that are kept busy."""
        return self.accelerators * self.seconds(prompt_tokens, tokens_out)

    def usd(self, prompt_tokens: ArrayLike, tokens_out: ArrayLike) -> Array:
        """Rent of those devices meanwhile. Raises `BadInput` when the price is not known."""
        if self.usd_per_hour is None:
            raise BadInput("no usd_per_hour of an accelerator is known; give one to `fit`")
        return self.usd_per_hour / 3600.0 * self.accelerator_seconds(prompt_tokens, tokens_out)


def _terms(prompt: Array, out: Array) -> Array:
    """What each coefficient is multiplied with: (..., TERMS)."""
    prompt, later = np.broadcast_arrays(prompt, np.maximum(out - 1.0, 0.0))
    context = later * (prompt + (later + 1.0) / 2.0)
    return np.stack([np.ones_like(prompt), prompt, prompt**2, later, context], axis=-1)


def _check(prompt: Array, out: Array, measured: Array, quantile: float) -> None:
    if len(measured) < TERMS or not np.all(measured > 0):
        raise BadInput(f"{len(measured)} timings; give at least {TERMS}, all above 0 seconds")
    if len(np.unique(prompt)) < 2 or len(np.unique(out)) < 2:
        raise BadInput("timings of one length only; give two lengths of prompt and two of answer")
    if np.min(prompt) < 1 or np.min(out) < 1:
        raise BadInput("a timing with no prompt or no answer; lengths must be 1 or more")
    if not 0 < quantile <= 0.5:
        raise BadInput(f"quantile = {quantile}; must be above 0 and at most 0.5, the median")


def _quantile_fit(terms: Array, measured: Array, quantile: float) -> Array:
    """x >= 0 of least sum(q above + (1 - q) below), where above - below = 1 - Ax / y."""
    relative = terms / measured[:, None]
    scale = np.max(relative, axis=0)  # the programme's columns then have one size
    count = len(measured)
    cost = np.concatenate([
        np.zeros(TERMS), np.full(count, quantile), np.full(count, 1.0 - quantile)
    ])  # fmt: skip
    equal = np.hstack([relative / scale, np.eye(count), -np.eye(count)])
    found = optimize.linprog(cost, A_eq=equal, b_eq=np.ones(count), method="highs")
    assert found.x is not None, found.message  # all zeros is feasible
    return np.asarray(found.x[:TERMS] / scale)
