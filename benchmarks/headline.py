"""Headline: five published savings on the built-in models, each beside the bar that was set for it.

Run: python benchmarks/headline.py [--quick] [--part NAME]

With `--part` that part alone is measured anew, and the other lines stay. Each line says which bar,
what was measured, and whether it is met; one that is not met stays. Details and controls are in the
methods' tests and in `compute_optimal.py` and `exits.py`.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import compute_optimal
import exits
import numpy as np
from machine import cpu
from rich.console import Console
from rich.progress import Progress

from bursar.backends import open_backend
from bursar.backends.tiny import open_tiny
from bursar.budget import Budget
from bursar.reason.ahead import Context, Fact, SleepTime, WithNotes, break_even_queries
from bursar.reason.base import Strategy
from bursar.reason.counted import Counted, check_books
from bursar.reason.exits.conformal import threshold
from bursar.reason.exits.lynx import probe_of
from bursar.reason.memo import Memo
from bursar.reason.models import equipped
from bursar.reason.purse import Purse
from bursar.reason.rounds import RoundRobin
from bursar.reason.search import (
    AStar,
    AtHand,
    Beam,
    Ets,
    Judge,
    Noisy,
    Rebase,
    Rules,
    Search,
    StepSearch,
)
from bursar.reason.single import Single
from bursar.reason.solve import solve
from bursar.reason.workbench import Workbench
from bursar.training.exit_looks import LEVELS, collect, play
from bursar.workload.tasks import TASKS, chain
from bursar.workload.tasks.base import Question

RESULTS = Path(__file__).parent / "results" / "headline.json"
SMALL = "tiny-0.3m"
LONG = ("7", "8")
WIDTH = 16
JUDGES: dict[str, Judge] = {"at hand": AtHand(), "noisy rules": Noisy(Rules(), 2.5)}


@dataclass(frozen=True, slots=True)
class Line:
    """A bar, what was measured against it, and whether it is met."""

    method: str
    bar: str
    measured: str
    met: bool


def compute_optimal_table(size: int) -> list[Line]:
    """A strategy per bin of estimated difficulty against best-of-16, chains of 2 to 8: at the usual
    temperature, at the one that suits best-of-16 most, and with no search to choose."""
    lines = []
    for temperature, searches in ((0.7, True), (0.4, True), (0.7, False)):
        found = compute_optimal.headline(
            "tiny-1m", 100 * size, 200 * size, True, temperature, searches
        )
        plain = {n: right for n, (right, _) in found["best_of_n"].items()}
        row = next(r for r in found["rows"] if r["asked_share"] == compute_optimal.BAR)
        lines.append(Line(
            f"compute-optimal, {'with' if searches else 'without'} search, temperature "
            f"{temperature:g}",
            "best-of-16's accuracy with at most 25 % of its tokens",
            f"{row['accuracy']:.3f} against {plain[16]:.3f} ({-row['behind_best_of_n']:+.3f} ± "
            f"{row['standard_error']:.3f}; the best of any N {max(plain.values()):.3f}) with "
            f"{100 * row['share']:.0f} % of the tokens",
            row["behind_best_of_n"] <= 0 and row["share"] <= 0.25,
        ))  # fmt: skip
    return lines


@dataclass(frozen=True, slots=True)
class Grown:
    """Means over questions and seeds."""

    right: tuple[bool, ...]
    steps: float
    tokens_held: float
    tokens_out: float

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.right))

    def against(self, other: "Grown") -> str:
        """Both accuracies, and their paired difference with its standard error."""
        gap = np.array(self.right, float) - np.array(other.right, float)
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        return f"{self.accuracy:.3f} against {other.accuracy:.3f} ({gap.mean():+.3f} ± {error:.3f})"


def grown(make: Callable[[int], Search], judge: Judge, count: int, seeds: int) -> Grown:
    """One pass of a step search on chains of 7 and 8 operations. Steps and tokens held are means
    over rounds."""
    right: list[bool] = []
    held: list[tuple[float, float]] = []
    out = 0.0
    for seed in range(seeds):
        source = Counted(open_backend(SMALL))
        purse = Purse(Budget(), {SMALL: source})
        bench = equipped(purse, TASKS, seed=seed)
        questions = TASKS["chain"].generate(count, seed=100 + seed, levels=LONG)
        strategy = StepSearch("search", make, judge, width=WIDTH, passes=1)
        trees = asyncio.run(strategy.grow(questions, bench))
        check_books(purse, [source], strategy.name)
        for tree in trees:
            said = make(1).pick(tree.ended).answer
            right.append(bool(TASKS["chain"].check(tree.question, said)))
            held.append((float(np.mean(tree.kept_steps)), float(np.mean(tree.kept_tokens))))
            out += tree.usage.tokens_out or 0.0
    steps, tokens = np.mean(held, axis=0)
    return Grown(tuple(right), float(steps), float(tokens), out / len(right))


def ets(size: int) -> list[Line]:
    """ETS against REBASE at equal width, at the authors' weight of the memory, which training
    questions bear out, and a larger one."""
    lines = []
    for name, judge in JUDGES.items():
        theirs = grown(Rebase, judge, 20 * size, 3)
        for weight in (1.0, 1.5):
            ours = grown(
                lambda width, w=weight: Ets(width, kv_weight=w, coverage=1.4 * w),  # type: ignore[misc]
                judge,
                20 * size,
                3,
            )  # fmt: skip
            ratio = theirs.steps / ours.steps
            lines.append(Line(
                f"ETS, judge {name}, weight {weight:g}",
                "1.5 times fewer KV nodes than REBASE, accuracy within a point",
                f"{ratio:.2f} times fewer nodes, {theirs.tokens_held / ours.tokens_held:.2f} times "
                f"fewer tokens held; {ours.against(theirs)}",
                ratio >= 1.5 and ours.accuracy >= theirs.accuracy - 0.01,
            ))  # fmt: skip
    return lines


def a_star(size: int) -> list[Line]:
    """A* against the most accurate of best-of-4, 8 and 16 under the same judge."""
    lines = []
    for name, judge in JUDGES.items():
        samples = {
            n: grown(lambda _, n=n: Beam(n, branch=1), judge, 3 * size, 3)  # type: ignore[misc]
            for n in (4, 8, 16)
        }
        best = max(samples, key=lambda n: (samples[n].accuracy, -n))
        theirs = samples[best]
        for branch in (2, 3, 4):
            ours = grown(lambda _, b=branch: AStar(64, b), judge, 3 * size, 3)  # type: ignore[misc]
            share = ours.tokens_out / theirs.tokens_out
            lines.append(Line(
                f"A*, judge {name}, branch {branch}",
                "best-of-N's accuracy with half of its output tokens",
                f"{ours.against(theirs)}, best-of-{best}; {ours.tokens_out:,.0f} tokens against "
                f"{theirs.tokens_out:,.0f}, {100 * share:.0f} %",
                ours.accuracy >= theirs.accuracy and share <= 0.5,
            ))  # fmt: skip
    return lines


def lynx(size: int) -> list[Line]:
    """LYNX against full texts that check themselves."""
    lines = []
    for model in ("tiny-0.3m", "tiny-1m"):
        asked = TASKS["chain"].generate(40 * size, seed=950, split="test", levels=LEVELS)
        texts = collect(open_tiny(model).engine, asked, seed=950)
        probe = probe_of(model)
        scores = probe.score(texts.looks)
        full = play(texts, scores, np.inf)
        for alpha in (0.02, 0.05, 0.1):
            got = exits.figures(play(texts, scores, threshold(probe.by_trajectory, alpha)), full)
            whole = float(full.right.mean())
            lines.append(Line(
                f"LYNX, {model}, alpha {alpha:g}",
                "30 % fewer tokens, accuracy within a point",
                f"{100 * got['tokens_cut']:.0f} % fewer, {got['accuracy']:.3f} against {whole:.3f}",
                got["tokens_cut"] >= 0.3 and got["accuracy"] >= whole - 0.01,
            ))  # fmt: skip
    return lines


def sleep_time(_: int) -> list[Line]:
    """Questions answered from notes on their context, against plain ones; three contexts of eight
    expressions, asked about in proportion to 1 / rank."""
    spent = {"offline": 0.0, "alone": 0.0, "online": 0.0}
    right = {"alone": 0, "online": 0}
    asked = 0
    for seed in range(3):
        context, questions = asked_about(seed, 40)
        asked += len(questions)
        budget = Budget()
        notes = asyncio.run(SleepTime().think([context], _bench(budget)))
        spent["offline"] += budget.spent.tokens or 0.0
        plain: Strategy = RoundRobin("single", Single())
        for name, strategy in (("alone", plain), ("online", WithNotes(notes, plain))):
            solved = asyncio.run(solve(strategy, questions, _bench(Budget())))
            spent[name] += solved.spent.tokens or 0.0
            right[name] += sum(map(bool, solved.correct))
    ratio = spent["alone"] / spent["online"]
    pays = break_even_queries(spent["offline"] / 3, spent["alone"] / asked, spent["online"] / asked)
    return [Line(
        "sleep-time", "3 times fewer online tokens at no lower accuracy",
        f"{ratio:.2f} times fewer, {right['online'] / asked:.3f} against "
        f"{right['alone'] / asked:.3f}; paid for after {pays:.0f} questions a context",
        ratio >= 3 and right["online"] >= right["alone"],
    )]  # fmt: skip


def asked_about(seed: int, queries: int) -> tuple[Context, list[Question]]:
    """Eight expressions of 6 operations, and questions that go on from one with 2 more."""
    rng = random.Random(seed)
    facts = ["".join(chain.draw_expression(rng, 6)) for _ in range(8)]
    weights = 1 / np.arange(1, 9)
    chances = weights / weights.sum()
    questions = []
    for i in range(queries):
        more = "".join(rng.choice("+-") + str(rng.randint(2, 96)) for _ in range(2))
        asked = rng.choices(facts, chances.tolist())[0] + more
        truth = chain.value(chain.parse(asked) or [])
        questions.append(Question(f"ahead-{seed}-{i}", "chain", f"chain {asked}\n", str(truth)))
    listed = tuple(Fact(f"chain {f}\n", float(p)) for f, p in zip(facts, chances, strict=True))
    return Context(f"context-{seed}", "chain", listed, queries), questions


def _bench(budget: Budget) -> Workbench:
    return equipped(Purse(budget, {SMALL: Memo(open_backend(SMALL))}), TASKS, seed=0)


PARTS: Mapping[str, Callable[[int], list[Line]]] = {
    "compute_optimal": compute_optimal_table, "ets": ets, "a_star": a_star, "lynx": lynx,
    "sleep_time": sleep_time,
}  # fmt: skip


def main() -> None:
    """Measure, print, and leave the figures in `results/headline.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    parser.add_argument("--part", choices=tuple(PARTS), help="measure this one alone anew")
    asked = parser.parse_args()
    names = [asked.part] if asked.part else list(PARTS)
    made: dict[str, Any] = {}
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for name in progress.track(names, description="measuring"):
            start = time.perf_counter()
            lines = PARTS[name](1 if asked.quick else 10)
            for line in lines:
                met = "met" if line.met else "not met"
                print(f"{line.method}: {line.bar} / {line.measured}: {met}")
            made[name] = {
                "date": datetime.now(UTC).date().isoformat(),
                "machine": cpu(),
                "command": f"python benchmarks/headline.py --part {name}",
                "seconds": time.perf_counter() - start,
                "lines": [{**asdict(line), "met": bool(line.met)} for line in lines],
            }
    if not asked.quick:
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if asked.part else {}
        data = {name: made.get(name) or known[name] for name in PARTS}
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
