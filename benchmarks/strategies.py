"""Strategies: every registered one at equal budgets, and the tables of docs/strategies.md.

Run: python benchmarks/strategies.py            run what results/strategies.jsonl does not hold
     python benchmarks/strategies.py --again A,B    those anew, or `all`: after a change to them
     python benchmarks/strategies.py --docs       write the tables anew from the figures
     python benchmarks/strategies.py --wide       `auto` and the `LEADERS` on 432 other questions

Chain + countdown + sudoku4 with tiny-1m, budgets over a 64-fold range, all strategies on the same
draws. Beside each accuracy stands how far it is behind the best fixed strategy of its budget (all
but the autos), paired question by question, with its 95 % bootstrap interval. The best one is
chosen on the questions that it is compared on, which favours it. `--wide` leaves in
results/strategies_wide.json by how much, relatively, `auto` leads each of the best in area.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from rich.console import Console
from scipy import stats

from bursar.cli.screen import counting, split
from bursar.reason.compare import Row, Trial, rows
from bursar.reason.taxonomy import TAGS
from bursar.run import Job, run_compare
from bursar.run.trials import NOTES

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "strategies.json"
TRIALS = HERE / "results" / "strategies.jsonl"
WIDE = HERE / "results" / "strategies_wide.json"
PAGE = HERE.parent / "docs" / "strategies.md"
BARS = HERE / "results" / "headline.json"
BEGIN, END = "<!-- {}: made by python benchmarks/strategies.py --docs -->", "<!-- end -->"
AUTOS = ("auto", "auto_search", "auto_streamed")
BUDGETS = (30, 120, 480, 1920)
LEADERS = ("particles", "adaptive_consistency", "posterior_voting", "best_of_n", "a_star")
"""The fixed strategies of the largest area, and the best one at the largest budget."""
RESAMPLES = 10_000

ABOUT: Mapping[str, tuple[str, str]] = {
    "single": ("nothing", "all but one attempt"),
    "self_consistency": ("nothing", "nothing: others are measured by it"),
    "best_of_n": (
        "learned score (hidden states), else log-probabilities",
        "with a checker, all after the first right attempt",
    ),
    "weighted_vote": ("log-probabilities, else learned score", "votes, on long answers"),
    "adaptive_consistency": ("nothing", "votes once the majority is safe"),
    "posterior_voting": ("nothing", "votes, more of them at equal confidence"),
    "revision": ("a model that goes on from its text", "nothing here"),
    "beam": (
        "steps; learned score (hidden states), else log-probabilities",
        "what poor beginnings would cost",
    ),
    "dvts": ("as `beam`", "the same, and keeps approaches apart"),
    "rebase": ("as `beam`", "the same, in proportion to the score"),
    "ets": ("as `beam`; hidden states tell steps apart", "memory: keys and values held"),
    "a_star": ("as `beam`", "tokens after the first good solution"),
    "mcts": ("as `beam`", "the same as `beam`, with a second look at what was left"),
    "particles": ("as `beam`", "the same as `beam`, also with a noisy score"),
    "tree_of_thoughts": ("steps; log-probabilities", "nothing here: looking ahead is dear"),
    "backtrack": (
        "steps; a checker and rules of the task, else it samples",
        "generated tokens on hard sudokus",
    ),
    "select_search": ("as `backtrack`", "the loss of choosing the wrong one of the two searches"),
    "scale": ("a task that can be divided", "votes on the easy parts"),
    "effort_ladder": (
        "a model with a dial, several `--effort`s; log-probabilities",
        "high effort where a low one can be trusted",
    ),
    "auto": ("nothing; uses what there is", "what would not earn its price"),
    "auto_search": ("nothing; uses what there is, steps too", "as `auto`; may buy beam searches"),
    "auto_streamed": ("nothing; uses what there is", "the same, questions one by one"),
}
"""Strategy -> what it needs, what it saves. All end a question that an exact checker accepted."""


def measure(
    questions: int, seeds: range, strategies: Sequence[str] | None, known: Sequence[str] = ()
) -> tuple[list[str], dict[str, Any]]:
    """The trials, as `run_compare` notes them, and what they say: rows, leaderboard, and how far
    each is behind the best fixed strategy of its budget. `known` trials are not run again."""
    with tempfile.TemporaryDirectory() as folder, counting("comparing", "trials") as show:
        file = Path(folder) / NOTES
        if known:
            file.write_text("\n".join(known) + "\n", encoding="utf-8")
        record, _ = run_compare(
            Job(("mixed",), questions=questions),
            strategies,
            [f"{b * questions} tokens" for b in BUDGETS],
            seeds,
            out=Path(folder),
            resume=bool(known),
            on_progress=show,
        )
        notes = file.read_text(encoding="utf-8").splitlines()
    trials = [Trial(**json.loads(line)) for line in notes[1:]]
    return notes, {
        "questions": questions,
        "seeds": len(seeds),
        "tokens_a_question": list(BUDGETS),
        "rows": [asdict(row) for row in against_best_fixed(trials, questions)],
        "places": [place.model_dump() for place in record.places],
    }


def against_best_fixed(trials: Sequence[Trial], questions: int) -> Iterator[Row]:
    """Rows by task and budget, budgets in tokens a question, led by the best fixed strategy."""
    plain = rows(trials, trials[0].strategy)
    best: dict[tuple[str, float], Row] = {}
    for row in plain:
        if row.strategy not in AUTOS:
            key = (row.task, row.budget)
            best[key] = max(best.get(key, row), row, key=lambda r: (r.accuracy, -r.spent))
    paired = {name: rows(trials, name) for name in {row.strategy for row in best.values()}}
    for i, row in enumerate(plain):
        found = asdict(paired[best[row.task, row.budget].strategy][i])
        yield Row(**{**found, "budget": row.budget / questions, "spent": row.spent / questions})


def leads(notes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """By which part of its area `auto` leads each fixed strategy, with 95 % intervals: paired over
    questions (bootstrap), and over whole runs, whose questions share a budget (Student's t)."""
    right: dict[str, dict[float, dict[int, list[bool]]]] = {}
    for t in map(json.loads, notes[1:]):
        by_budget = right.setdefault(t["strategy"], {})
        by_budget.setdefault(t["budget"], {})[t["seed"]] = t["correct"]
    log_budgets = np.log(sorted(right["auto"]))
    weights = np.convolve(np.diff(log_budgets), [0.5, 0.5]) / np.ptp(log_budgets)
    areas = {
        name: np.tensordot(
            weights, [[runs[s] for s in sorted(runs)] for _, runs in sorted(found.items())], 1
        )
        for name, found in right.items()
    }  # (seeds, questions): what a question adds to the area
    mine = areas.pop("auto")
    drawn = np.random.default_rng(0).integers(mine.size, size=(RESAMPLES, mine.size))
    for name, other in areas.items():
        resampled = mine.ravel()[drawn].mean(axis=1) / other.ravel()[drawn].mean(axis=1) - 1
        by_run = mine.mean(axis=1) / other.mean(axis=1) - 1
        half = stats.t.ppf(0.975, len(by_run) - 1) * stats.sem(by_run)
        low, high = np.quantile(resampled, [0.025, 0.975])
        yield {
            "strategy": name,
            "area": float(other.mean()),
            "auto": float(mine.mean()),
            "lead": float(mine.mean() / other.mean() - 1),
            "low": float(low),
            "high": float(high),
            "by_run": by_run.tolist(),
            "by_run_low": float(by_run.mean() - half),
            "by_run_high": float(by_run.mean() + half),
        }


def tables(data: Mapping[str, Any]) -> str:
    """The generated part of docs/strategies.md."""
    found = data["mixed"]
    heads = [f"{b:,.0f}" for b in found["tokens_a_question"]]
    count = found["questions"] * found["seeds"]
    return "\n".join([
        "### What each one is",
        "",
        *_table(["strategy", "calls", "how", "asks", "ends", "needs", "saves"], facts()),
        "",
        f"### What each one reached, in % of {count} questions, by tokens a question",
        "",
        *_table(["strategy", *heads, "pays from", "used of the most", "area"], board(found)),
        "",
        "### The best fixed strategy of each task, beside auto",
        "",
        *_table(["task", "", *heads], by_task(found)),
        "",
        f"Measured {data['date']} on {data['machine']} with `{data['command']}`.",
    ])  # fmt: skip


def facts() -> list[list[str]]:
    """A line per strategy: its tags, its needs, what it saves."""
    return [
        [f"`{name}`", tags.what, ", ".join(sorted(tags.how)) or "none", tags.where,
         tags.how_well, *ABOUT[name]]
        for name, tags in TAGS.items()
    ]  # fmt: skip


def board(found: Mapping[str, Any]) -> list[list[str]]:
    """A line per strategy, best first; bold where it is not surely behind the best fixed one."""
    budgets = found["tokens_a_question"]
    at = _cells(found)
    lines = []
    for place in found["places"]:
        if place["task"] != "all":
            continue
        mine = [at["all", place["strategy"], b] for b in budgets]
        level = [r["budget"] for r in mine if r["lead_low"] <= 0]
        lines.append([
            f"`{place['strategy']}`",
            *(f"**{_percent(r)}**" if r["lead_low"] <= 0 else _percent(r) for r in mine),
            f"{level[0]:,.0f}" if level else "never",
            f"{100 * mine[-1]['spent'] / budgets[-1]:.0f} %",
            f"{100 * place['area']:.1f}",
        ])  # fmt: skip
    return lines


def by_task(found: Mapping[str, Any]) -> list[list[str]]:
    """Two lines per task: auto, and the best of the others at each budget."""
    at = _cells(found)
    lines = []
    for task in sorted({task for task, *_ in at} - {"all"}):
        best = []
        for budget in found["tokens_a_question"]:
            here = [r for (t, name, b), r in at.items()
                    if (t, b) == (task, budget) and name not in AUTOS]  # fmt: skip
            top = max(here, key=lambda r: (r["accuracy"], -r["spent"]))
            best.append(f"{_percent(top)} `{top['strategy']}`")
        auto = [_percent(at[task, "auto", b]) for b in found["tokens_a_question"]]
        lines += [[task, "`auto`", *auto], [task, "best fixed", *best]]
    return lines


def bars(data: Mapping[str, Any]) -> str:
    """The table of bars, from the figures of headline.py."""
    lines = [
        [line["method"], line["bar"], line["measured"], "yes" if line["met"] else "**no**"]
        for part in data.values()
        for line in part["lines"]
    ]
    dates = sorted({part["date"] for part in data.values()})
    machines = sorted({part["machine"] for part in data.values()})
    made = (
        f"Measured {' to '.join(dates)} on {', '.join(machines)} with "
        "`python benchmarks/headline.py`."
    )
    return "\n".join([*_table(["method", "bar", "measured", "met"], lines), "", made])


def page(text: str) -> str:
    """`text`, the page, with what is made from figures made anew."""
    made = {"tables": (tables, RESULTS), "bars": (bars, BARS)}
    for name, (make, figures) in made.items():
        before, rest = text.split(BEGIN.format(name))
        _, after = rest.split(END, 1)
        new = make(json.loads(figures.read_text(encoding="utf-8")))
        text = f"{before}{BEGIN.format(name)}\n\n{new}\n\n{END}{after}"
    return text


def _cells(found: Mapping[str, Any]) -> dict[tuple[str, str, float], Mapping[str, Any]]:
    return {(r["task"], r["strategy"], r["budget"]): r for r in found["rows"]}


def _percent(row: Mapping[str, Any]) -> str:
    return f"{100 * row['accuracy']:.0f}"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *lines)]


def kept(again: str) -> list[str]:
    """The trials there are, but those of the strategies to run `again`."""
    if again == "all" or not TRIALS.exists():
        return []
    about, *trials = TRIALS.read_text(encoding="utf-8").splitlines()
    dropped = set(split(again))
    return [about, *(t for t in trials if json.loads(t)["strategy"] not in dropped)]


def main() -> None:
    """Measure and leave the figures in `results/strategies.json`, or write the page from them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small, and writes nothing")
    parser.add_argument("--again", default="", help="strategies to run anew, joined by commas")
    parser.add_argument("--wide", action="store_true", help="auto and the best, 432 questions")
    parser.add_argument("--docs", action="store_true", help="the page's tables, from the figures")
    chosen = parser.parse_args()
    if chosen.docs:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    plain = ("single", "self_consistency", "best_of_n", "adaptive_consistency", "auto")
    if chosen.quick:
        notes, found = measure(12, range(1), plain)
    elif chosen.wide:
        notes, found = measure(54, range(2, 10), ("auto", *LEADERS))
        found["leads"] = list(leads(notes))
    else:
        notes, found = measure(54, range(2), None, kept(chosen.again))
    data = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": cpu(),
        "command": "python benchmarks/strategies.py" + " --wide" * chosen.wide,
        "mixed": found,
    }
    Console().print(tables(data), markup=False, soft_wrap=True)
    if chosen.wide:
        for lead in found["leads"]:
            Console().print(lead)
        WIDE.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    elif not chosen.quick:
        TRIALS.write_text("\n".join(notes) + "\n", encoding="utf-8")
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
