"""What `auto` believes about every question: which answer is right, what more attempts would buy,
and what they would cost. Learned while spending, task by task, from the attempts alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bursar.reason.base import Arm, Attempt, Pick, Work
from bursar.reason.kinds import Kinds
from bursar.reason.self_consistency import vote
from bursar.reason.workbench import Workbench
from bursar.value.answer_belief import AnswerBelief, AnswerLaw
from bursar.value.answer_evidence import Votes

Floats = NDArray[np.float64]
SHARPNESS, FEW = 3.0, 4.0
"""How far log-probability sets up to `FEW` votes apart: 2 to 4 did best on the built-in models.
With more votes it falls as one over the root of their number, as the noise of counting does: what a
likelihood gets wrong does not average out (LOG.md)."""
GUESS, SHRINK, RIDGE = 0.4, 2.0, 10.0
REFIT = 1.1
"""The laws are learned again at every round until there is an attempt a question, then when there
are `REFIT` times the attempts."""
SETTLED = 0.005
"""Until then also at rounds that bought elsewhere, while that moves P(right) of an attempt by this:
laws left half learned cost the tasks asked next their turn (LOG.md)."""


@dataclass(slots=True)
class TaskBelief:
    """Beliefs about the questions of one task.

    All attempts by one model are taken as draws from one rate: a greedy answer is right more often
    than a sample, but it fails where the samples scatter, so counting it as surer misleads there.
    When the laws are learned again: see `REFIT` and `SETTLED`.
    """

    works: list[Work]
    backends: tuple[str, ...]
    checked: bool
    start: AnswerLaw | None = None
    kinds: Kinds | None = None
    """None: all are of one."""
    answers: AnswerBelief = field(init=False)
    _seen: list[int] = field(init=False)
    """Attempts and closed arms of each question."""
    _learned: int = 0
    """From how many attempts the laws were learned."""
    _moving: bool = False
    """Whether the laws had not settled when they were last learned."""
    _picks: list[Pick] = field(init=False)

    def __post_init__(self) -> None:
        guess = AnswerLaw.guess([0.0] * len(self.backends))
        self.answers = AnswerBelief(
            len(self.works),
            self.start or guess,
            checked=self.checked,
            kinds=None if self.kinds is None else self.kinds.of,
        )
        self._seen = [0] * len(self.works)
        self._picks = [Pick(None, None)] * len(self.works)

    def update(self) -> tuple[list[int], bool]:
        """Take in the attempts bought since: which questions have new ones, and whether the laws
        were learned again, so that all are believed of otherwise."""
        sizes = [len(work.attempts) + len(work.closed) for work in self.works]
        fresh = [i for i, size in enumerate(sizes) if size != self._seen[i]]
        if fresh:
            self._seen = sizes
            self.answers.observe([self._votes(self.works[i]) for i in fresh], np.array(fresh))
        known = sum(sizes)
        early = known <= len(sizes)
        if not (fresh or self._moving if early else known >= REFIT * self._learned):
            self._pick(fresh)
            return fresh, False
        self._learned = known
        self._moving = self.answers.refit() > SETTLED
        self._pick(fresh if self.checked else range(len(self.works)))
        return fresh, True

    def picks(self) -> list[Pick]:
        """The answer to each question, and the probability that the leading one is right."""
        return self._picks

    def after(self, arm: Arm, ms: Sequence[int]) -> Floats:
        """(questions, len(ms)): P(right) after m more attempts by `arm`, never below now."""
        return self.answers.after(self.backends.index(arm.backend), ms)

    def chance(self, arm: Arm, kind: int) -> float:
        """How often one attempt by `arm` is right, over the questions of a kind."""
        return float(self.answers.chance(self.backends.index(arm.backend))[kind])

    def _pick(self, rows: Iterable[int]) -> None:
        """Among answers the votes decide, each with its weight: the belief says how sure to be."""
        p_right = self.answers.p_right.tolist()
        for i in rows:
            work = self.works[i]
            if not work.attempts:
                continue
            if work.verified is not None:
                self._picks[i] = Pick(work.verified, 1.0)
            elif self.checked:  # all refused; a refused answer is still better than none
                last = next((a.answer for a in reversed(work.attempts) if a.answer), None)
                self._picks[i] = Pick(last, 0.0)
            else:
                sharp = SHARPNESS * min(1.0, (FEW / max(len(work.attempts), 1)) ** 0.5)
                best = vote(work.attempts, [weight_of(a, sharp) for a in work.attempts]).answer
                self._picks[i] = Pick(best, p_right[i])

    def _votes(self, work: Work) -> Votes:
        names: dict[str, int] = {}
        index = []
        for attempt in work.attempts:
            if attempt.answer is None or (self.checked and not attempt.verified):
                index.append(-1)
            else:
                index.append(names.setdefault(attempt.answer, len(names)))
        right = names.get(work.verified) if work.verified is not None else None
        arms = [self.backends.index(a.arm.backend) for a in work.attempts]
        return Votes(arms, index, right, likelihood_of(work.attempts[0]) if work.attempts else None)


def weight_of(attempt: Attempt, sharpness: float) -> float:
    """How much an attempt's vote counts: more, the likelier its text.

    A text's log-probability varies by about the root of its length, so it is taken per root of
    the length; 1 where the source gives none.
    """
    likelihood = likelihood_of(attempt)
    return 1.0 if likelihood is None else float(np.exp(sharpness * likelihood))


def likelihood_of(attempt: Attempt) -> float | None:
    """Log-probability of an attempt's text per root of its length; None where unknown."""
    if attempt.logprob is None or not attempt.usage.tokens_out:
        return None
    return attempt.logprob / float(np.sqrt(attempt.usage.tokens_out))


@dataclass(slots=True)
class CostBelief:
    """What one attempt by each backend costs at each question of a task, learned in running sums.

    A line through (prompt length, measured cost), and each question's own mean shrunk to it with
    the weight of `SHRINK` attempts. An arm not
    measured yet is taken to use the share of its bound that others did, or else `GUESS` of it.
    """

    works: list[Work]
    bench: Workbench
    resources: tuple[str, ...]
    _bounds: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    _sums: dict[tuple[Arm, str], CostSums] = field(default_factory=dict)
    _used: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each resource, what was used and what could have been."""
    _seen: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = [0] * len(self.works)

    def update(self, rows: Iterable[int]) -> None:
        """Take in what was bought since for the questions `rows`."""
        for i in rows:
            for attempt in self.works[i].attempts[self._seen[i] :]:
                _, bounds = self.bounds(attempt.arm.backend)
                for k, resource in enumerate(self.resources):
                    if (cost := attempt.usage.get(resource)) is not None:
                        self._take(attempt.arm, resource, i, cost, float(bounds[k, i]))
            self._seen[i] = len(self.works[i].attempts)

    def of(self, arm: Arm, resource: str) -> Floats:
        """(questions,) expected cost of one attempt."""
        length, bounds = self.bounds(arm.backend)
        bound = bounds[self.resources.index(resource)]
        sums = self._sums.get((arm, resource))
        if sums is None:
            used, possible = self._used.get(resource, (0.0, 0.0))
            share = used / possible if possible > 0 else GUESS
            return np.asarray(np.maximum(share * bound, 1e-12))
        return np.asarray(np.clip(sums.means(length), 1e-12, np.where(bound > 0, bound, np.inf)))

    def bounds(self, backend: str) -> tuple[Floats, Floats]:
        """(questions,) prompt length, and (resources, questions) the most that an attempt uses,
        however warm."""
        if backend not in self._bounds:
            arm = Arm(backend, self.bench.temperature)
            most = [self.bench.upper_bound(w, arm) for w in self.works]
            self._bounds[backend] = (
                np.array([b.tokens_in or 0.0 for b in most]),
                np.array([[b.get(r) or 0.0 for b in most] for r in self.resources]),
            )
        return self._bounds[backend]

    def _take(self, arm: Arm, resource: str, i: int, cost: float, bound: float) -> None:
        if (arm, resource) not in self._sums:
            self._sums[arm, resource] = CostSums(np.zeros((2, len(self.works))))
        length = float(self.bounds(arm.backend)[0][i])
        self._sums[arm, resource].take(i, length, cost)
        used, possible = self._used.get(resource, (0.0, 0.0))
        self._used[resource] = used + cost, possible + bound


@dataclass(slots=True)
class CostSums:
    """Of one arm's attempts: (2, questions) how many and what they cost, and the sums of a line
    of cost over prompt length."""

    by_question: Floats
    count: int = 0
    length: float = 0.0
    cost: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    def take(self, i: int, length: float, cost: float) -> None:
        """One more attempt, at question `i`."""
        self.by_question[0, i] += 1
        self.by_question[1, i] += cost
        self.count += 1
        self.length += length
        self.cost += cost
        self.squares += length * length
        self.products += length * cost

    def means(self, length: Floats) -> Floats:
        """(questions,) expected cost. Until the length varies, it is taken to grow with it."""
        x, y = self.length / self.count, self.cost / self.count
        proportional = y / max(x, 1.0)
        together = self.products - self.count * x * y
        alone = max(0.0, self.squares - self.count * x * x)
        slope = (together + RIDGE * proportional) / (alone + RIDGE)
        expected = np.maximum(y + slope * (length - x), 0.2 * y)
        count, total = self.by_question
        return np.asarray((total + SHRINK * expected) / (count + SHRINK))
