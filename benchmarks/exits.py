"""LYNX on held-out texts that check themselves: guarantee, tokens and accuracy by alpha.

    python benchmarks/exits.py [--questions 1000] [--models tiny-0.3m tiny-1m]

Full texts are those of budget forcing, four attempts at chains of 3-6 operations, the last answer
counts. At each alpha: the share of texts left with a wrong answer, the tokens cut, the accuracy,
and that of a log-probability threshold which spends as many tokens. Writes
benchmarks/results/exits.json.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from machine import cpu

from bursar.backends.tiny import open_tiny
from bursar.reason.exits.conformal import threshold
from bursar.reason.exits.lynx import probe_of
from bursar.training.exit_looks import LEVELS, Labelled, Played, collect, play
from bursar.workload.tasks import TASKS

RESULTS = Path(__file__).parent / "results" / "exits.json"
ALPHAS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)


def figures(played: Played, full: Played) -> dict[str, float]:
    return {
        "premature": round(played.premature, 4),
        "tokens_cut": round(1 - played.tokens.mean() / full.tokens.mean(), 4),
        "accuracy": round(float(played.right.mean()), 4),
    }


def measure(model: str, count: int, seed: int) -> dict[str, object]:
    asked = TASKS["chain"].generate(count, seed=seed, split="test", levels=LEVELS)
    texts: Labelled = collect(open_tiny(model).engine, asked, seed=seed)
    probe = probe_of(model)
    scores, likelihood = probe.score(texts.looks), texts.looks.logprobs[:, 0]
    grid = [play(texts, likelihood, g) for g in np.quantile(likelihood, np.linspace(0, 1, 400))]
    full = play(texts, scores, np.inf)
    wrong = np.zeros(count, np.bool_)
    wrong[texts.looks.rows[~texts.safe]] = True
    rows = {}
    for alpha in ALPHAS:
        lynx = play(texts, scores, threshold(probe.by_trajectory, alpha))
        spent = lynx.tokens.mean()
        same = min(grid, key=lambda g: abs(g.tokens.mean() - spent))
        event = threshold(probe.by_event, alpha)
        by_event = play(texts, scores, event)
        rows[str(alpha)] = figures(lynx, full) | {
            "accuracy_by_logprob": round(float(same.right.mean()), 4),
            "by_event_looks": round(float((scores[~texts.safe] > event).mean()), 4),
            "by_event_of_texts_with_a_wrong_look": round(
                float((by_event.left & ~by_event.right)[wrong].mean()), 4
            ),
        }
    attempts = texts.looks.attempts.astype(np.float32)
    fixed = {str(k): figures(play(texts, attempts, k - 0.5), full) for k in range(1, 5)}
    return {"full_accuracy": float(full.right.mean()), "lynx": rows, "fixed_cut": fixed}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--models", nargs="+", default=["tiny-0.3m", "tiny-1m"])
    parser.add_argument("--seed", type=int, default=900)
    chosen = parser.parse_args()
    report: dict[str, object] = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python benchmarks/exits.py --questions {chosen.questions}",
        "machine": f"{cpu()}, one thread",
    }
    for model in chosen.models:
        report[model] = measure(model, chosen.questions, chosen.seed)
        print(model, json.dumps(report[model], indent=1), flush=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
