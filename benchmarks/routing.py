"""Routing over recorded models: what a question costs at the best model's accuracy, and frontiers.

Run: python benchmarks/routing.py [--data FOLDER]   (reason/llmrouter, reason/zeroeval,
reason/gsm8k_model_solutions.jsonl, see docs)

1. llmrouter, 9 models with list prices: half of the questions to learn from, half to be judged on.
   The dollars with which each router is as accurate as the best single model, as a share of that
   one's; found afterwards on the frontier, and with a price chosen beforehand. Answers' lengths are
   not recorded: 200 tokens each, and other lengths to see how much hangs on that.
2. GSM8K, a 6B and a 175B model with and without a verifier (100 samples): a cascade that goes up
   where the two 6B answers differ. Cost in samples x parameters.
3. V0 on models it never saw (leave one out): area under ROC with and without their history of 200
   questions, with it shuffled, and that of the mean over other models on the same question.
"""

import argparse
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from machine import cpu
from rich.console import Console
from scipy.stats import rankdata

from bursar.backends.recorded_outcomes import read_gsm8k_systems, read_llmrouter, read_zeroeval
from bursar.cli.screen import plain_table
from bursar.reason.route import (
    ROUTERS,
    Direct,
    Oracle,
    Router,
    frontier,
    play,
    price_for_accuracy,
    prices,
)
from bursar.value import V0, Outcomes, TextSpace

RESULTS = Path(__file__).parent / "results" / "routing.json"
DATA = Path(__file__).parents[2] / "shared" / "data" / "reason"
LLMROUTER = ("random", "best_single", "similarity", "classifier", "blend")
GSM8K = ("random", "best_single", "similarity", "cascade", "cascade_similarity")


def study(record: Outcomes, names: tuple[str, ...], seed: int) -> dict[str, Any]:
    """One split: every router against the single model that was best on the questions seen."""
    seen, held_out = record.split(np.random.default_rng(seed))
    best = int(seen.right.mean(axis=0).argmax())
    goal = float(held_out.right[:, best].mean())
    cost = float(held_out.cost[:, best].mean())
    at = prices(seen.cost)
    grid = np.linspace(float(held_out.cost.mean(axis=0).min()) * 1.1, cost, 7)
    found: dict[str, Any] = {"best_single": record.ways[best], "goal": goal, "cost": cost}
    routers: dict[str, Router] = {n: ROUTERS[n]().fit(seen) for n in names}
    routers["oracle"] = Direct(Oracle(held_out))
    for name, router in routers.items():
        curve = frontier(router, held_out, held_out.cost, at)
        least = curve.cost_at(goal)
        found[name] = {
            "most_accurate": float(curve.accuracy.max()),
            "share_at_equal_accuracy": None if least is None else least / cost,
            "accuracy_at_shares": [curve.accuracy_at(float(c)) for c in grid],
        }
        if name in names and name != "random":
            rng = np.random.default_rng(seed)
            price = price_for_accuracy(
                ROUTERS[name](), seen, float(seen.right[:, best].mean()), rng
            )
            belief = router.estimate(held_out.prompts)
            played = play(router, belief, held_out, price, held_out.cost)
            found[name]["chosen_beforehand"] = {
                "accuracy_over_goal": played.accuracy - goal, "share": played.mean_cost / cost
            }  # fmt: skip
    return found


def summary(runs: list[dict[str, Any]], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Means over the splits, with the standard deviation of the share."""
    rows = []
    for name in (*names, "oracle"):
        mine = [r[name] for r in runs]
        shares = [m["share_at_equal_accuracy"] for m in mine]
        reached = [s for s in shares if s is not None]
        chosen = [m["chosen_beforehand"] for m in mine if "chosen_beforehand" in m]
        rows.append({
            "router": name,
            "most_accurate": float(np.mean([m["most_accurate"] for m in mine])),
            "reaches_the_goal": f"{len(reached)} of {len(shares)}",
            "share_at_equal_accuracy": float(np.mean(reached)) if reached else None,
            "share_deviation": float(np.std(reached)) if reached else None,
            "accuracy_at_shares": np.mean([m["accuracy_at_shares"] for m in mine], 0).tolist(),
            "chosen_beforehand": {
                k: float(np.mean([c[k] for c in chosen])) for k in chosen[0]
            } if chosen else None,
        })  # fmt: skip
    return rows


def show(title: str, rows: list[dict[str, Any]]) -> None:
    heads = ["router", "share of best single's cost", "reaches", "chosen beforehand: share",
             "accuracy over goal", "most accurate"]  # fmt: skip
    lines = []
    for r in rows:
        share, chosen = r["share_at_equal_accuracy"], r["chosen_beforehand"]
        lines.append([
            r["router"], "never" if share is None else f"{share:.2f} ± {r['share_deviation']:.2f}",
            r["reaches_the_goal"], f"{chosen['share']:.2f}" if chosen else "",
            f"{chosen['accuracy_over_goal']:+.3f}" if chosen else "", f"{r['most_accurate']:.3f}",
        ])  # fmt: skip
    Console().print(plain_table(title, heads, lines))


def area(score: np.ndarray, right: np.ndarray) -> float:
    rank, hit = rankdata(score), right > 0.5
    hits = hit.sum()
    return float((rank[hit].sum() - hits * (hits + 1) / 2) / (hits * (len(hit) - hits)))


def unseen_models(record: Outcomes, history: int = 200) -> dict[str, Any]:
    """V0 on each model, learned from the others and from half of the questions."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(record.prompts))
    known, judged = np.split(order, [len(order) // 2])
    features = TextSpace.fit([record.prompts[i] for i in known]).of(record.prompts)
    rows = []
    for p in range(len(record.ways)):
        others = np.delete(record.right, p, axis=1)
        value = V0.fit(features[known], others[known])
        past, y = rng.choice(known, history, replace=False), record.right[judged, p]
        mine = record.right[past, p]
        guesses = {
            "history": value.predict(features[past], mine, features[judged]),
            "no_history": value.predict(features[:0], mine[:0], features[judged]),
            "shuffled": value.predict(features[past], rng.permutation(mine), features[judged]),
            "base_rate_of_history": np.full(len(judged), mine.mean()),
            "others_on_the_same_question": others[judged].mean(axis=1),
        }
        rows.append({
            k: (area(g, y), float(np.mean((g - y) ** 2))) for k, g in guesses.items()
        })  # fmt: skip
    return {
        "models": len(record.ways), "questions": len(record.prompts), "history": history,
        "area_under_roc": {k: float(np.mean([r[k][0] for r in rows])) for k in rows[0]},
        "brier": {k: float(np.mean([r[k][1] for r in rows])) for k in rows[0]},
    }  # fmt: skip


def main() -> None:
    """Measure, print, and leave the figures in `results/routing.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one seed, and writes nothing")
    args = parser.parse_args()
    if not (args.data / "llmrouter").is_dir():
        print(f"skipped: no recordings at {args.data}; name them with --data")
        return
    seeds = range(1 if args.quick else args.seeds)
    record = read_llmrouter(args.data / "llmrouter")
    nine = [study(record, LLMROUTER, s) for s in seeds]
    show("llmrouter, 9 models", summary(nine, LLMROUTER))
    lengths = {}
    for tokens in (0.0, 50.0, 500.0):
        other = read_llmrouter(args.data / "llmrouter", tokens)
        runs = [study(other, ("similarity",), s) for s in seeds[:3]]
        lengths[str(tokens)] = summary(runs, ("similarity",))
        print(f"similarity, {tokens:g} tokens per answer: "
              f"{lengths[str(tokens)][0]['share_at_equal_accuracy']:.2f}")  # fmt: skip
    gsm8k = read_gsm8k_systems(args.data / "gsm8k_model_solutions.jsonl")
    two = [study(gsm8k, GSM8K, s) for s in seeds]
    show("GSM8K, 6B and 175B", summary(two, GSM8K))
    rng = np.random.default_rng(0)
    dealt = replace(gsm8k, sign=rng.permuted(gsm8k.sign, axis=0))
    blind = [study(dealt, ("cascade",), s) for s in seeds]
    show("GSM8K, agreement shuffled", summary(blind, ("cascade",)))
    unseen = {"llmrouter": unseen_models(record)} | {
        name: unseen_models(read_zeroeval(args.data / "zeroeval", name)) for name in ("gsm", "crux")
    }
    for name, found in unseen.items():
        print(name, json.dumps(found))
    if not args.quick:
        data = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "seeds": len(seeds),
            "llmrouter": {"goal": nine[0]["best_single"], "rows": summary(nine, LLMROUTER)},
            "llmrouter_by_tokens_out": lengths,
            "gsm8k": summary(two, GSM8K),
            "gsm8k_shuffled": summary(blind, ("cascade",)),
            "v0": unseen,
        }
        RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
