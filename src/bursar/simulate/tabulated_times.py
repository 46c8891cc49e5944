"""The step cost model as `StepTimes`: sampled once, then read from tables.

Takes a step to be the sum of what depends on its new tokens, on its rows, and of attention: by the
number and the mean context of decoding jobs, by each chunk of a prompt, and by how these two get on
(`attention_overlap`). The plain roofline has `RooflineTimes`, which is exact; this is for curves of
other kinds: measured tables, fitted operators.

A pipeline of `pp` stages keeps `pp` batches in flight, over which jobs and prompts are spread. A
step is a round, in which each of them passes all stages once: it takes as long as the fullest one.
"""

import math
from bisect import bisect_right
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from bursar.catalog import Experts
from bursar.cost import DATASHEET, Deployment, step_arrays
from bursar.cost.work import Array
from bursar.simulate.attention_overlap import Overlap
from bursar.simulate.roofline_times import RooflineTimes, watts
from bursar.simulate.step_times import Chunks, Lengths, Line, Sums

_MOST = 18.0  # 2^18 tokens are sampled; beyond that the last slope goes on


def _sizes(per_doubling: int, first: float = 0.0) -> Array:
    """Whole numbers from 2^first to 2^18, so many for each doubling."""
    exponents = np.arange(first, _MOST + 1e-9, 1.0 / per_doubling)
    return np.unique(np.rint(2.0**exponents))


_TOKENS = np.union1d(np.arange(1.0, 65.0), _sizes(16, 6.0))  # kernels change often among the small
_CONTEXTS = _sizes(8)
_NEW = _sizes(4)
_BEFORE = np.concatenate([[0.0], _sizes(2, 4.0)])


class TabulatedTimes:
    """Steps of a deployment; joules take the datasheet's bound beside its seconds.

    Of the law beyond steps only what comes before a request's first step is taken; what it says of
    waiting is played.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._place, self._stages = deployment, deployment.pp
        self._bound = RooflineTimes(replace(deployment, pp=1), DATASHEET)
        self.windows = self._bound.windows
        law = deployment.law
        routed = any(isinstance(block, Experts) for block in deployment.model.blocks)
        self.seconds_per_request = law.first_seconds + routed * law.routed_seconds
        self.idle_watts = watts(deployment)[0] or None
        self._idle, self._active = watts(deployment)
        tokens, one = _TOKENS[:, None], np.ones((len(_TOKENS), 1))
        by_token = self._other(tokens, one)
        self._by_token = _each(by_token)
        self._by_row = _each(self._other(one, tokens) - by_token)
        self._decodes: dict[int, list[float]] = {}
        self._contexts, self._new, self._before = (
            _CONTEXTS.tolist(),
            _NEW.tolist(),
            _BEFORE.tolist(),
        )
        self._overlap = Overlap(self._attention)
        new, before = np.meshgrid(_NEW, _BEFORE, indexing="ij")
        self._prompts: list[list[float]] = self._attention(
            new[..., None], before[..., None], 1.0
        ).tolist()

    def step(self, counts: Lengths, contexts: Sums, chunks: Chunks) -> tuple[float, float]:
        """See `StepTimes.step`."""
        if self._stages > 1:
            counts, contexts = self._share(counts, contexts)
            chunks = self._fullest(chunks)
        jobs, new, pairs, seconds = sum(counts), 0, 0.0, 0.0
        for tokens, before in chunks:
            new += tokens
            pairs += tokens * (before + tokens / 2)
            seconds += self._prompt(tokens, before)
        if jobs:
            context = sum(contexts)
            seconds += self._decoding(jobs, context)[0]
            if new and not self._overlap.is_none:
                mean = max(pairs / new - new / 2, 0.0)  # before one chunk that stands for all
                seconds *= self._overlap.ratio(jobs, context / jobs, new, mean)
        rows = jobs + len(chunks)
        seconds += _read(self._by_token, jobs + new) + _read(self._by_row, rows)
        bound, _ = self._bound.step(counts, contexts, chunks)
        return seconds, self._idle * seconds + self._active * bound

    def line(self, counts: Lengths, contexts: Sums) -> Line:
        """See `StepTimes.line`."""
        if self._stages > 1:
            counts, contexts = self._share(counts, contexts)
        jobs, bound = sum(counts), self._bound.line(counts, contexts)
        attention, slope, steps = self._decoding(jobs, sum(contexts))
        seconds = attention + _read(self._by_token, jobs) + _read(self._by_row, jobs)
        return Line(
            seconds,
            slope,
            self._idle * seconds + self._active * bound.seconds,
            self._idle * slope + self._active * bound.seconds_slope,
            min(steps, bound.steps),
        )

    def _share(self, counts: Lengths, contexts: Sums) -> tuple[Lengths, Sums]:
        """What the fullest of the batches in flight has of each class, at the same mean context."""
        shares = [-(-count // self._stages) for count in counts]
        sums = [x * share / max(n, 1) for x, share, n in zip(contexts, shares, counts, strict=True)]
        return shares, sums

    def _fullest(self, chunks: Chunks) -> Chunks:
        """The chunks of the fullest batch, when the longest go one by one to the emptiest."""
        batches: list[list[tuple[int, int]]] = [[] for _ in range(self._stages)]
        filled = [0] * self._stages
        for chunk in sorted(chunks, reverse=True):
            emptiest = filled.index(min(filled))
            batches[emptiest].append(chunk)
            filled[emptiest] += chunk[0]
        return batches[filled.index(max(filled))]

    def _decoding(self, jobs: int, context: float) -> tuple[float, float, float]:
        """Attention of the decoding jobs: seconds, their slope, and for how many steps it holds."""
        knots = self._contexts
        if jobs not in self._decodes:
            self._decodes[jobs] = self._attention(1.0, _CONTEXTS[:, None], float(jobs)).tolist()
        values, mean = self._decodes[jobs], context / jobs
        at = min(max(bisect_right(knots, mean) - 1, 0), len(knots) - 2)
        slope = (values[at + 1] - values[at]) / (knots[at + 1] - knots[at])
        steps = math.ceil(knots[at + 1] - mean) if at < len(knots) - 2 else math.inf
        return values[at] + slope * (mean - knots[at]), slope, steps

    def _prompt(self, new: int, before: int) -> float:
        """Attention of one chunk, linear in both between the samples around it."""
        i, right = _place(self._new, new)
        j, up = _place(self._before, before)
        low, high = self._prompts[i], self._prompts[i + 1]
        below = low[j] + (high[j] - low[j]) * right
        above = low[j + 1] + (high[j + 1] - low[j + 1]) * right
        return below + (above - below) * up

    def _attention(self, new: ArrayLike, context: ArrayLike, count: ArrayLike) -> Array:
        steps = step_arrays(self._place, new, context, count)
        return steps.terms.get("attention", np.zeros_like(steps.seconds))

    def _other(self, new: Array, count: Array) -> Array:
        steps = step_arrays(self._place, new, 0.0, count)
        return np.asarray(steps.seconds - steps.terms.get("attention", 0.0))


def _place(knots: list[float], x: int) -> tuple[int, float]:
    """The interval that holds `x`, and where in it: 0 is its start, 1 its end."""
    at = min(bisect_right(knots, x) - 1, len(knots) - 2)
    return at, (x - knots[at]) / (knots[at + 1] - knots[at])


def _each(values: Array) -> list[float]:
    """Values at `_TOKENS` as values at 0, 1, 2, ...; none at 0."""
    every = np.arange(int(_TOKENS[-1]) + 1)
    return [0.0, *np.interp(every[1:], _TOKENS, values).tolist()]


def _read(table: list[float], size: int) -> float:
    """The entry of a table; after its end the last slope goes on."""
    if size < len(table):
        return table[size]
    return table[-1] + (table[-1] - table[-2]) * (size - len(table) + 1)
