"""Compute-optimal scaling: estimate a question's difficulty, and use what was best for its like.

Paper: Charlie Snell, Jaehoon Lee, Kelvin Xu, Aviral Kumar, "Scaling LLM Test-Time Compute Optimally
  can be More Effective than Scaling Model Parameters", 2024, arXiv:2408.03314; section 3, eq. (1).
Symbols: theta -> rules; N -> mean_cost; theta*(q, N) -> choice; difficulty bins -> edges.
Differs: the paper estimates difficulty by a verifier's mean score over 2048 samples and does not
  count them; here a few probes do, they are paid for, and the chosen rule goes on from them. The
  budget is divided over the bins by their value curves, where the paper gives each the same.
  A search is one attempt (`Searched`), begun afresh.
Checked: tests/papers/test_compute_optimal.py: on held-out questions within two points of the most
  votes for all with at most 40 % of their tokens, and further off with shuffled difficulty; a small
  model with more votes beats a larger one at equal FLOPs on the easier chains only; with a search
  among the rules, best-of-16's accuracy on the built-in model with a quarter of its tokens.
Seed: 32
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bursar.allocate.base import Options
from bursar.allocate.hull import HullAllocator
from bursar.errors import BadInput
from bursar.reason.base import Arm, Attempt, Pick, Work
from bursar.reason.belief import likelihood_of
from bursar.reason.rounds import Rule
from bursar.reason.workbench import Workbench
from bursar.value.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Probe:
    """`probes` samples, the first at temperature 0 if `greedy`, where a model has one; the belief
    that comes with the answer is the question's estimated ease."""

    probes: int = 1
    greedy: bool = False

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        if len(work.attempts) >= self.probes:
            return None
        model = bench.backends[0]
        cold = self.greedy and not work.attempts and model in bench.greedy
        return Arm(model, 0.0 if cold else bench.temperature)

    def pick(self, work: Work) -> Pick:
        answer = next((a.answer for a in work.attempts if a.answer is not None), None)
        return Pick(answer, ease(work.attempts))


@dataclass(frozen=True, slots=True)
class Searched:
    """A rule: the answer of the search that the workbench offers as the source `search` (see
    `reason/as_backend.py`), asked once; before that, or where it found none, the last answer."""

    search: str

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        if any(a.arm.backend == self.search for a in work.attempts):
            return None
        return Arm(self.search, bench.temperature)

    def pick(self, work: Work) -> Pick:
        return Pick(next((a.answer for a in reversed(work.attempts) if a.answer), None), None)


@dataclass(frozen=True, slots=True)
class ComputeOptimal:
    """A rule for `RoundRobin`: probes a question, then follows the rule chosen for its bin.

    `rules` are the strategies to choose from; each goes on from the attempts it finds. `probes`
    and `greedy` are those of `Probe`. `edges`
    (bins - 1,) part the estimated eases, hardest first; `choice` (bins,) names a rule for each.
    Made by `fit`.
    """

    rules: Mapping[str, Rule]
    probes: int = 1
    greedy: bool = False
    edges: tuple[float, ...] = ()
    choice: tuple[str, ...] = ()

    def fit(self, seen: Outcomes, mean_cost: float, bins: int = 5) -> ComputeOptimal:
        """The table for a `mean_cost` per question, from outcomes whose ways are `rules` in order.

        `seen.sign` holds the estimated ease in every column (`Probe` tells it); bins hold equally
        many of these questions. Raises `BadInput` when the ways are not the rules.
        """
        if seen.ways != tuple(self.rules):
            raise BadInput(f"outcomes of {seen.ways} don't fit the rules {tuple(self.rules)}")
        known = seen.sign[:, 0]
        edges = np.quantile(known, np.arange(1, bins) / bins)
        bin_of = np.searchsorted(edges, known, side="right")
        filled = np.unique(bin_of)
        right = np.array([seen.right[bin_of == b].sum(axis=0) for b in filled])
        cost = np.array([seen.cost[bin_of == b].sum(axis=0) for b in filled])
        plan = HullAllocator().allocate(
            Options(right, cost, ("tokens",)),
            max(mean_cost * len(known), float(cost.min(axis=1).sum())),
        )
        names = list(self.rules)
        chosen = {int(b): names[c] for b, c in zip(filled, plan.choice, strict=True)}
        nearest = [min(chosen, key=lambda f: abs(f - b)) for b in range(bins)]
        return replace(
            self,
            edges=tuple(float(e) for e in edges),
            choice=tuple(chosen[b] for b in nearest),
        )

    def next_arm(self, work: Work, bench: Workbench) -> Arm | None:
        probe = Probe(self.probes, self.greedy).next_arm(work, bench)
        return probe or self._rule(work).next_arm(work, bench)

    def pick(self, work: Work) -> Pick:
        return self._rule(work).pick(work)

    def bin_of(self, work: Work) -> int:
        """Which bin the question's first attempts put it in, 0 the hardest."""
        known = ease(work.attempts[: self.probes])
        return int(np.searchsorted(self.edges, known, side="right"))

    def _rule(self, work: Work) -> Rule:
        return self.rules[self.choice[self.bin_of(work)]]


def ease(attempts: Sequence[Attempt]) -> float:
    """Estimated ease in [0, 1]: a learned verifier's mean score, or else how well they agree.

    An attempt without an answer scores 0. Without scores it is the votes of the commonest answer,
    the last of them counted as the likelihood of the texts per root of their length, on average.
    """
    answers = [a.answer for a in attempts if a.answer is not None]
    if not answers:
        return 0.0
    scores = [a.score if a.answer is not None else 0.0 for a in attempts]
    known = [s for s in scores if s is not None]
    if len(known) == len(scores):
        return float(np.mean(known))
    likelihoods = [likelihood_of(a) for a in attempts]
    liking = float(np.mean([0.0 if x is None else np.exp(x) for x in likelihoods]))
    return (max(answers.count(a) for a in answers) - 1 + liking) / len(attempts)
