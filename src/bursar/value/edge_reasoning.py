"""EdgeReasoning: which model, how long and how many side by side, to answer before a deadline.

Paper: Benjamin Kubwimana, Qijing Huang, "EdgeReasoning: Characterizing Reasoning LLM Deployment on
    Edge GPUs", 2025, arXiv:2511.01866; latency models and the accuracy-latency frontier.
Symbols: input length -> tokens_in; output length -> tokens; parallel scaling factor -> samples.
Differs: latency comes from `cost.step_arrays` of the catalogue's device, not from polynomials
    fitted on Jetson Orin; each of the samples pays its prompt; the length is a hard limit.
Checked: tests/papers/test_edge_reasoning.py: the frontier is that of brute force, the choice
    changes as the deadline tightens, and in simulation every deadline is met; on recorded GSM8K
    lengths of models in the catalogue too.
Seed: 193
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bursar.cost import Deployment, memory_bytes, step_arrays
from bursar.value.base import Floats, Ints
from bursar.value.majority import weighted_majority_at_k
from bursar.value.settings import Menu, menu, whole


@dataclass(frozen=True, slots=True)
class EdgeReasoning:
    """One deployment per model on one device, which answers one question of `tokens_in` at a time.

    `chunk`: most prompt tokens in a step. `margin`: share of a latency that is added to it, for
    what a step that mixes prompts and decoding takes longer (0.4 % at most in simulation).
    """

    deployments: Sequence[Deployment]
    tokens_in: int
    chunk: int = 2048
    margin: float = 0.01

    def menu(self, tokens: Sequence[int], samples: Sequence[int], value: ArrayLike) -> Menu:
        """Settings with `value` (models, tokens, samples) and the seconds until the last of the
        samples has all its tokens; infinite where they don't fit in memory."""
        lengths, rows = whole("tokens", tokens), whole("samples", samples)
        cost = np.stack(
            [
                np.stack([self._latency(place, lengths, int(n)) for n in rows], axis=-1)
                for place in self.deployments
            ]
        )
        return menu(self.deployments, tokens, samples, (None,), value, cost[..., None])

    def _latency(self, place: Deployment, lengths: Ints, rows: int) -> Floats:
        longest = int(lengths.max())
        context = self.tokens_in + np.arange(longest - 1, dtype=float)
        decode = step_arrays(place, 1.0, context[:, None], float(rows)).seconds
        since = np.concatenate([[0.0], np.cumsum(decode)])
        seconds = place.law.first_seconds + self._prompts(place, rows) + since
        seconds = seconds * (1 + self.margin)
        fits = [memory_bytes(place, rows, self.tokens_in + int(n)).fits for n in lengths]
        return np.where(fits, seconds[lengths - 1], np.inf)

    def _prompts(self, place: Deployment, rows: int) -> float:
        """Steps of at most `chunk` tokens until all the prompts are read."""
        every = rows * self.tokens_in
        whole_steps, rest = divmod(every, self.chunk)
        parts = [self.chunk] * whole_steps + [rest] * (rest > 0)
        return sum(
            float(step_arrays(place, new, 0.0, part / new).seconds)
            for part in parts
            for new in (min(part, self.tokens_in),)
        )


def recorded_value(
    answers: ArrayLike,
    lengths: ArrayLike,
    right: ArrayLike,
    tokens: Sequence[int],
    samples: Sequence[int],
    *,
    rng: np.random.Generator,
) -> Floats:
    """What a limit on length and a vote over samples are worth, from a model's recorded answers.

    `answers` (questions, n) codes >= 0, their `lengths` in tokens, `right` (questions,) the right
    code. An answer longer than the limit has no vote. Returns (tokens, samples): share of right
    votes over random subsets of the record. Raises `BadInput` on more samples than were recorded.
    """
    codes, took = np.asarray(answers, dtype=np.int64), np.asarray(lengths)
    truth, never = np.asarray(right, dtype=np.int64), int(codes.max()) + 1

    def share(limit: int, k: int) -> float:
        said = np.where(took <= limit, codes, never)
        vote = (took <= limit).astype(float)
        return float(weighted_majority_at_k(said, vote, truth, k, rng=rng, subsets=64).mean())

    return np.array([[share(limit, k) for k in samples] for limit in tokens])
