"""Taxonomy: four tags for every strategy, and what its recorded calls say about them.

Paper: Zhang et al., "What, How, Where, and How Well? A Survey on Test-Time Scaling in Large
  Language Models", 2025, arXiv:2503.24235; sections 2 to 5.
Symbols: what to scale -> `what`; how -> `how`; where -> `where`, of which sources it can ask what
  it asks; how well -> `how_well`, whether it knows when it has had enough.
Differs: tags are only what can be checked. That a strategy verifies is seen by an experiment: with
  log-probabilities and hidden states that say nothing it gives other answers on the same draws.
  Exact checkers are left out, since every strategy ends a question that one has accepted.
Checked: tests/papers/test_taxonomy.py: each strategy's tags agree with its calls on the built-in
  model, and wrong ones do not.
Seed: 226
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from bursar.backends.base import Backend, Completion, Request
from bursar.backends.draws import whole_number
from bursar.reason.base import Strategy
from bursar.reason.solve import Solution, solve
from bursar.reason.workbench import Workbench
from bursar.usage import Usage
from bursar.workload.tasks.base import Question

What = Literal["single", "parallel", "sequential", "hybrid"]
"""One call a question; calls that know nothing of each other; each goes on from the one before;
several that go on from what was said."""


@dataclass(frozen=True, slots=True)
class Tags:
    """A strategy on the four axes."""

    what: What
    how: frozenset[Literal["verification", "aggregation", "search", "stimulation"]]
    where: Literal["any source", "sources that go on", "sources with steps"]
    how_well: Literal["spends the budget", "stops by itself"]


def tags(what: What, how: str, where: str = "any source", stops: bool = False) -> Tags:
    """Short form: `how` joined by spaces."""
    return Tags(
        what,
        frozenset(how.split()),  # type: ignore[arg-type]
        where,  # type: ignore[arg-type]
        "stops by itself" if stops else "spends the budget",
    )


_TREE = tags("hybrid", "search verification aggregation", "sources with steps")
TAGS: dict[str, Tags] = {
    "single": tags("single", "", stops=True),
    "self_consistency": tags("parallel", "aggregation"),
    "best_of_n": tags("parallel", "verification"),
    "weighted_vote": tags("parallel", "verification aggregation"),
    "adaptive_consistency": tags("parallel", "aggregation", stops=True),
    "posterior_voting": tags("parallel", "aggregation", stops=True),
    "revision": tags("sequential", "stimulation", "sources that go on", stops=True),
    "beam": _TREE,
    "dvts": _TREE,
    "rebase": _TREE,
    "ets": _TREE,
    "a_star": _TREE,
    "mcts": _TREE,
    "particles": _TREE,
    "tree_of_thoughts": _TREE,
    "backtrack": tags("hybrid", "search", "sources with steps", stops=True),
    "select_search": tags("hybrid", "search", "sources with steps", stops=True),
    "scale": tags("hybrid", "aggregation", stops=True),
    "effort_ladder": tags("parallel", "verification aggregation", stops=True),
    "auto": tags("parallel", "verification aggregation", stops=True),
    "auto_search": tags("hybrid", "search verification aggregation", "sources with steps", True),
    "auto_streamed": tags("parallel", "verification aggregation", stops=True),
}
"""Name of a strategy -> its tags."""


@dataclass(slots=True)
class Traced:
    """Wraps a backend and records what it was asked. `blind`: what it says of its own certainty,
    log-probabilities and hidden states, is replaced by noise."""

    backend: Backend
    blind: bool = False
    calls: list[tuple[Request, Usage]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.backend.name

    def upper_bound(self, request: Request) -> Usage:
        return self.backend.upper_bound(request)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        done = await self.backend.complete(requests)
        self.calls += [(r, c.usage) for r, c in zip(requests, done, strict=True)]
        return [_blinded(r, c) for r, c in zip(requests, done, strict=True)] if self.blind else done

    async def aclose(self) -> None:
        await self.backend.aclose()


@dataclass(frozen=True, slots=True)
class Observed:
    """What a strategy's calls say: the tags that can be seen, and the tokens that they took."""

    what: What
    verifies: bool
    where: str
    stops: bool
    tokens: float

    def against(self, told: Tags, booked: float) -> list[str]:
        """What of `told` is not so, in words; nothing when it all is. `booked`: tokens charged."""
        stops = told.how_well == "stops by itself"
        seen: Sequence[tuple[str, object, object]] = (
            ("what", told.what, self.what),
            ("verification", "verification" in told.how, self.verifies),
            ("search", "search" in told.how, self.where == "sources with steps"),
            ("where", told.where, self.where),
            ("stops by itself", stops, stops or self.stops),  # who stops may yet need it all
            ("tokens", booked, self.tokens),
        )
        return [f"{axis}: told {a!r}, seen {b!r}" for axis, a, b in seen if a != b]


async def observe(
    strategy: Strategy,
    questions: Sequence[Question],
    backends: Mapping[str, Backend],
    bench_of: Callable[[Mapping[str, Backend]], Workbench],
) -> tuple[Observed, Solution]:
    """Run `strategy` twice on the same draws, once blind; what was seen, and the first solution.

    `bench_of` makes a workbench with a fresh purse of the same limit around the backends.
    """
    open_, blind = (
        {name: Traced(backend, blinded) for name, backend in backends.items()}
        for blinded in (False, True)
    )
    bench = bench_of(open_)
    solution = await solve(strategy, questions, bench)
    unsure = await solve(strategy, questions, bench_of(blind))
    calls = [(name, *call) for name, traced in open_.items() for call in traced.calls]
    steps = {r.stop == (bench.steps.get(name),) for name, r, _ in calls}
    goes_on = any(r.prefix for _, r, _ in calls)
    left = min(bench.purse.left(resource) for resource in bench.purse.limited)
    whole = left + (bench.purse.spent.get(bench.purse.limited[0]) or 0.0)
    return Observed(
        what=_what([r for _, r, _ in calls], [q.id for q in questions]),
        verifies=[a.text for a in solution.answers] != [a.text for a in unsure.answers],
        where=(
            "sources with steps" if True in steps
            else "sources that go on" if goes_on
            else "any source"
        ),
        stops=left > 0.1 * whole,
        tokens=sum(usage.tokens or 0.0 for _, _, usage in calls),
    ), solution  # fmt: skip


def _what(requests: Sequence[Request], ids: Sequence[str]) -> What:
    """`ids` of the questions; those of their parts begin with them."""
    texts: dict[str, list[str]] = {}
    for request in requests:
        if request.max_tokens:  # not one that only runs the prompt
            owner = max((i for i in ids if request.question_id.startswith(i)), key=len)
            texts.setdefault(owner, []).append(request.prompt + request.prefix)
    if all(len(begun) < 2 for begun in texts.values()):
        return "single"
    if all(len(set(begun)) == 1 for begun in texts.values()):
        return "parallel"
    one_line = all(
        later.startswith(earlier) and later != earlier
        for begun in texts.values()
        for earlier, later in pairwise(begun)
    )
    return "sequential" if one_line else "hybrid"


def _blinded(request: Request, done: Completion) -> Completion:
    seed = whole_number(request.seed, request.question_id, request.sample, request.prefix)
    rng = np.random.default_rng(seed)
    return replace(
        done,
        logprobs=None if done.logprobs is None else -rng.random(len(done.logprobs), np.float32),
        hidden=None if done.hidden is None else rng.random(done.hidden.shape, np.float32),
    )
