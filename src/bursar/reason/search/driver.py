"""The driver of step searches: grows one tree per question, all of them a round at a time.

A search says which partial solutions to go on from (tree.py); the driver buys the steps through the
purse, has them judged, and says what came of them. Questions advance together, so that a budget is
shared as evenly as the searches let it. With money left when all have ended, another pass begins;
its solutions join those of the passes before. Where the budget sets the width, the first pass is
one plain solution of each question: an answer to fall back on, and what a solution costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bursar.answer import Answer
from bursar.backends.base import Completion, Request
from bursar.backends.draws import whole_number
from bursar.errors import BackendError
from bursar.reason.base import Arm, OnRound, Pick, Round, Work
from bursar.reason.purse import Call
from bursar.reason.search.beam import Beam
from bursar.reason.search.judges import AtHand, Judge
from bursar.reason.search.tree import Growth, Moves, Node, Search, Tree
from bursar.reason.workbench import Workbench
from bursar.workload.tasks.base import Question

MOST_WIDTH = 64


@dataclass(frozen=True, slots=True)
class StepSearch:
    """The strategy: `make(width)` is the search of a question. `width`, about how many solutions
    one pass looks for, is as the budget allows where it is None; `passes` None: likewise.
    """

    name: str
    make: Callable[[int], Search]
    judge: Judge = field(default_factory=AtHand)
    width: int | None = None
    passes: int | None = None

    async def solve(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Answer]:
        trees = await self.grow(questions, bench, on_round)
        return [_answer(tree, self._pick(tree)) for tree in trees]

    async def grow(
        self, questions: Sequence[Question], bench: Workbench, on_round: OnRound | None = None
    ) -> list[Tree]:
        """The trees that `solve` answers from, for a closer look: one per question, in order."""
        trees = [Tree(q) for q in questions]

        def note(bought: int) -> None:
            if on_round:
                picks = tuple(self._pick(tree) for tree in trees)
                on_round(Round(bench.purse.spent, None, bought, picks))

        going, done, fresh = True, 0, trees if self.width is None else []
        while going and fresh:
            first = fresh[: _payable(fresh, bench)]
            fresh = fresh[len(first) :]
            going = await _grow(Beam(1), 0, first, _Buying(bench, AtHand()), note)
        while going and (self.passes is None or done < self.passes):
            open_ = [t for t in trees if not t.stopped]
            if not open_:
                break
            width = self.width or _affordable(open_, bench, 1 + self.judge.overhead)
            done += 1
            going = await _grow(self.make(width), done, open_, _Buying(bench, self.judge), note)
        return trees

    def _pick(self, tree: Tree) -> Pick:
        if tree.verified:
            return Pick(tree.verified.answer, 1.0)
        return self.make(1).pick(tree.ended)


async def _grow(
    search: Search,
    number: int,
    trees: Sequence[Tree],
    buying: _Buying,
    note: Callable[[int], None],
) -> bool:
    """Grow each of `trees` once, in pass `number`; False when the money ran out."""
    if not await buying.roots([t for t in trees if t.root is None]):
        return False
    growing: list[tuple[Tree, Growth, Moves]] = []
    for tree in trees:
        assert tree.root is not None
        rng = np.random.default_rng(whole_number(buying.bench.seed, tree.question.id, number))
        growth = search.grow(tree.root, rng)
        growing.append((tree, growth, next(growth)))
    while growing:
        paid = await buying.children([(tree, moves) for tree, _, moves in growing])
        note(sum(map(len, buying.bought)))
        if not paid:
            return False
        going = []
        for (tree, growth, _), children in zip(growing, buying.bought, strict=True):
            if tree.verified:
                tree.stopped = "verified"
            elif moves := _next(growth, children):
                going.append((tree, growth, moves))
                continue
            growth.close()
        growing = going
    return True


@dataclass(slots=True)
class _Buying:
    """Buys roots and children, reads them and has them judged."""

    bench: Workbench
    judge: Judge
    bought: list[list[Node]] = field(default_factory=list)
    """The last round's children, per tree."""

    async def roots(self, trees: Sequence[Tree]) -> bool:
        """Run the prompts, where the backend holds texts; elsewhere a root costs nothing."""
        backend = self.bench.backends[0]
        self.bench.step_of(backend)  # refuses, before anything is spent
        if backend not in self.bench.keeps:
            for tree in trees:
                tree.root = Node(None, "", 0, 0.0)
            return True
        calls = [Call(backend, self._request(tree, None, 0)) for tree in trees]
        for tree, done in zip(trees, await self.bench.purse.complete(calls), strict=True):
            if not isinstance(done, Completion):
                return False
            tree.usage += done.usage
            tree.root = Node(None, "", int(done.usage.tokens_in or 0), 0.0, kept=done.kept)
        return True

    async def children(self, wanted: Sequence[tuple[Tree, Moves]]) -> bool:
        """Buy what each tree wants; False when the purse could not cover all of it."""
        backend = self.bench.backends[0]
        parents: list[tuple[int, Tree, Node]] = []
        for i, (tree, moves) in enumerate(wanted):
            tree.note_kept([*(node for node, _ in moves.grow), *moves.hold])
            parents += [(i, tree, node) for node, count in moves.grow for _ in range(count)]
        calls = []
        for _, tree, parent in parents:
            calls.append(Call(backend, self._request(tree, parent, tree.asked)))
            tree.asked += 1
        outcomes = await self.bench.purse.complete(calls)
        self.bought = [[] for _ in wanted]
        fresh: list[tuple[Tree, Node]] = []
        for (i, tree, parent), call, done in zip(parents, calls, outcomes, strict=True):
            if isinstance(done, Completion):
                node = self._read(tree, parent, call.request, done)
                self.bought[i].append(node)
                fresh.append((tree, node))
            elif isinstance(done, BackendError) and done.usage is not None:
                tree.usage += done.usage
        for _, moves in wanted:
            _forget(moves)
        await self._judge(fresh)
        return not self.bench.purse.failure and None not in outcomes

    async def _judge(self, fresh: Sequence[tuple[Tree, Node]]) -> None:
        steps = [(tree.question, node) for tree, node in fresh]
        scores, costs = await self.judge.judge(steps, self.bench)
        for (tree, node), score, cost in zip(fresh, scores, costs, strict=True):
            node.score = score
            tree.usage += cost
            tree.judged += 1
            if node.ended:
                tree.ended.append(node)

    def _request(self, tree: Tree, parent: Node | None, sample: int) -> Request:
        bench, backend = self.bench, self.bench.backends[0]
        work = Work(tree.question)
        whole = bench.request(work, Arm(backend, bench.temperature), sample)
        keeps = backend in bench.keeps
        said = sum(node.tokens for node in parent.path()[1:]) if parent else 0
        left = max(1, whole.max_tokens - said) if parent else 0
        return Request(
            prompt=whole.prompt,
            max_tokens=left,
            question_id=whole.question_id,
            sample=sample,
            prefix=parent.text if parent else "",
            temperature=whole.temperature,
            stop=(bench.step_of(backend),),
            seed=whole.seed,
            want_hidden=whole.want_hidden and parent is not None,
            keep=keeps,
            after=parent.kept if parent and keeps else None,
        )

    def _read(self, tree: Tree, parent: Node, request: Request, done: Completion) -> Node:
        tree.usage += done.usage
        bench, backend = self.bench, self.bench.backends[0]
        task = bench.tasks[tree.question.task]
        step = bench.step_of(backend)
        goes_on = done.meta.get("stop") == step if backend in bench.keeps else bool(done.text)
        text = request.prefix + done.text + (step if goes_on else "")
        node = Node(
            parent,
            text,
            int(done.usage.tokens_out or 0),
            parent.logprob + (done.logprob or 0.0),
            None if done.hidden is None or not len(done.hidden) else done.hidden[-1],
            done.kept,
        )
        disowned = text.endswith(tuple(bench.stop.get(backend, ())))
        said = sum(n.tokens for n in node.path()[1:])
        answer = task.extract(tree.question, text)
        node.ended = (
            not goes_on
            or disowned
            or request.max_tokens <= node.tokens
            or said >= task.max_tokens
            or (answer is not None and backend not in bench.keeps)
        )
        if node.ended:
            node.answer = answer
            if bench.checker_at_hand(Work(tree.question)):
                node.verified = task.check(tree.question, answer)
            node.kept = None
        return node


def _next(growth: Growth, children: list[Node]) -> Moves | None:
    """The search's next moves; None when it has ended."""
    try:
        return growth.send(children)
    except StopIteration:
        return None


def _forget(moves: Moves) -> None:
    """Let go of the texts that were gone on from and are not to be held."""
    held = {*moves.hold}
    for node, _ in moves.grow:
        if node.parent is not None and node not in held:
            node.kept = None


def _payable(trees: Sequence[Tree], bench: Workbench) -> int:
    """For how many of `trees`, the first ones, a whole solution is surely paid for; at least 1."""
    arm = Arm(bench.backends[0], bench.temperature)
    bounds = [bench.upper_bound(Work(tree.question), arm) for tree in trees]
    counts = [len(trees)]
    for resource in bench.purse.limited:
        upper = np.cumsum([bound.get(resource) or 0.0 for bound in bounds])
        counts.append(int(np.searchsorted(upper, bench.purse.left(resource), side="right")))
    return max(1, min(counts))


def _affordable(trees: Sequence[Tree], bench: Workbench, each: float) -> int:
    """About how many solutions of each of `trees` are left to pay for, as they cost so far, at most
    `MOST_WIDTH`; `each` is the cost of one with its judgements, in solutions."""
    shares = []
    for resource in bench.purse.limited:
        spent = sum(tree.usage.get(resource) or 0.0 for tree in trees)
        solution = spent / max(1, sum(len(tree.ended) for tree in trees))
        if solution:
            shares.append(bench.purse.left(resource) / (solution * len(trees)))
    share = min(shares, default=float(MOST_WIDTH))
    return int(min(MOST_WIDTH, max(1.0, share / each)))


def _answer(tree: Tree, pick: Pick) -> Answer:
    return Answer(
        question_id=tree.question.id,
        text=pick.answer,
        p_right=pick.p_right,
        attempts=len(tree.ended),
        usage=tree.usage,
        verified=tree.verified is not None,
        stopped=tree.stopped or "budget",
    )
