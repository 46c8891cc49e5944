"""Effort dials: what the modes of tiny-dial and the dial of tiny-e1 cost and buy, held-out chains.

Run: python benchmarks/effort_dials.py [--twin FOLDER] [--questions 30]

At temperature 0.7 where nothing else is said; questions in equal shares of levels 1 to 8.
ThinkDial: accuracy and tokens by mode; beside it what the model says without a mode, cut after as
many tokens as Medium and Low take on average, and the model it began from. e1: accuracy and tokens
by dial and level, and, given its weights, those of the twin trained with absolute lengths. Greedy:
both at temperature 0. By question: `auto` and the ladder choose among the three modes, against one
attempt by each mode, and `auto` and votes with Low alone, in the tokens that they take (here
prompts count too).
"""

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu

from bursar.backends.base import Effort, Request
from bursar.backends.tiny import TinyBackend, open_tiny
from bursar.backends.tiny.dial import settled
from bursar.run import Job, run_compare
from bursar.workload.tasks import TASKS

RESULTS = Path(__file__).parent / "results" / "effort_dials.json"
MODES = ("high", "medium", "low")
DIALS = (0.25, 0.35, 0.5, 0.65, 0.75, 0.85, 1.0)
TASK = TASKS["chain"]
TEMPERATURE = 0.7


def measure(
    model: TinyBackend,
    effort: Effort | None,
    questions: int,
    seeds: range,
    most: int = 512,
    temperature: float = TEMPERATURE,
) -> tuple[np.ndarray, np.ndarray]:
    """(right, tokens said), each (seeds, questions per level, levels)."""
    right, tokens = [], []
    for seed in seeds:
        asked = TASK.generate(questions * len(TASK.levels), seed=seed)
        done = asyncio.run(
            model.complete(
                [
                    Request(q.prompt, most, q.id, temperature=temperature, seed=seed, effort=effort)
                    for q in asked
                ]
            )
        )
        pairs = zip(asked, done, strict=True)
        right.append([TASK.check(q, TASK.extract(q, settled(d.text))) for q, d in pairs])
        tokens.append([d.usage.tokens_out for d in done])
    shape = (len(seeds), questions, len(TASK.levels))
    return np.array(right, float).reshape(shape), np.array(tokens, float).reshape(shape)


def line(right: np.ndarray, tokens: np.ndarray) -> dict[str, Any]:
    return {
        "accuracy": round(right.mean(), 4),
        "tokens": round(tokens.mean(), 1),
        "accuracy_by_level": right.mean((0, 1)).round(4).tolist(),
        "tokens_by_level": tokens.mean((0, 1)).round(1).tolist(),
    }


def cut_at(model: TinyBackend, goal: float, questions: int, seeds: range) -> dict[str, Any]:
    """Texts without a mode, cut after the number of tokens at which they take `goal` on average."""
    _, tokens = measure(model, None, questions, seeds)
    caps = np.arange(1, 513)
    means = np.minimum(tokens.ravel()[:, None], caps).mean(0)
    cap = int(caps[np.searchsorted(means, goal)])
    return {"cut_after": cap, **line(*measure(model, None, questions, seeds, most=cap))}


def thinkdial(questions: int, seeds: range) -> dict[str, Any]:
    model = open_tiny("tiny-dial")
    table: dict[str, Any] = {m: line(*measure(model, m, questions, seeds)) for m in MODES}
    high = table["high"]
    for mode in MODES[1:]:
        row = table[mode]
        row["tokens_cut"] = round(1 - row["tokens"] / high["tokens"], 4)
        row["accuracy_lost"] = round(1 - row["accuracy"] / high["accuracy"], 4)
        table[f"unconditioned, cut to {mode}"] = cut_at(model, row["tokens"], questions, seeds)
    table["unconditioned"] = line(*measure(model, None, questions, seeds))
    table["tiny-0.3m"] = line(*measure(open_tiny("tiny-0.3m"), None, questions, seeds))
    return table


def curve(model: TinyBackend, questions: int, seeds: range) -> dict[str, Any]:
    return {str(dial): line(*measure(model, dial, questions, seeds)) for dial in DIALS}


def greedy(questions: int, seeds: range) -> dict[str, Any]:
    """At temperature 0, where there is no noise of sampling for rounds to average out."""
    asked: list[tuple[str, Effort]] = [("tiny-dial", mode) for mode in MODES]
    asked += [("tiny-e1", dial) for dial in (0.25, 0.5, 0.75, 1.0)]
    return {
        f"{name}@{effort}": line(
            *measure(open_tiny(name), effort, questions, seeds, temperature=0.0)
        )
        for name, effort in asked
    }


def by_question(questions: int, seeds: range) -> list[dict[str, Any]]:
    """Choosing a mode for each question against one mode for all, and votes of the cheapest."""
    modes = ("low", "medium", "high")
    plans: list[tuple[str, tuple[str, ...], str, float]] = [
        ("one attempt", (mode,), "effort_ladder", 1e6) for mode in modes
    ]
    plans.append(("ladder", ("low", "high"), "effort_ladder", 1e6))
    plans.append(("ladder", modes, "effort_ladder", 1e6))
    for each in (80, 120, 200):
        plans.append((f"auto, {each} a question", modes, "auto", each))
        plans.append((f"auto, {each} a question", ("low",), "auto", each))
        plans.append((f"votes of low, {each} a question", ("low",), "self_consistency", each))
    rows = []
    for name, efforts, how, each in plans:
        job = Job(("chain",), ("tiny-dial",), efforts=efforts, questions=questions)
        _, table = run_compare(job, (how,), [f"{each * questions:g} tokens"], seeds)
        (row,) = [r for r in table if r.task == "all"]
        rows.append({"how": name, "modes": list(efforts), "accuracy": round(row.accuracy, 4),
                     "tokens": round(row.spent / questions, 1)})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--twin", type=Path, help="weights trained with --absolute")
    parser.add_argument("--questions", type=int, default=30, help="per level and seed")
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    seeds = range(chosen.seeds)
    report: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python benchmarks/effort_dials.py", *sys.argv[1:]]),
        "machine": f"{cpu()}, one thread",
        "questions_per_level": chosen.questions,
        "seeds": chosen.seeds,
        "temperature": TEMPERATURE,
        "thinkdial": thinkdial(chosen.questions, seeds),
        "e1": curve(open_tiny("tiny-e1"), chosen.questions, seeds),
    }
    report["greedy"] = greedy(chosen.questions, seeds)
    report["by_question"] = by_question(8 * chosen.questions, seeds)
    if chosen.twin:
        report["e1_twin"] = curve(TinyBackend(chosen.twin), chosen.questions, seeds)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
