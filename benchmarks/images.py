"""Pictures at equal purses: how near painters come to a goal, how right small scenes are.

Run: python benchmarks/images.py [--seeds 5]

Points: minus the mean distance to a goal, over 4 prompts x 4 goals, by painter and by evaluations
of the flow paid for (in FLOPs; what a judge uses is paid from the same purse). The rollover of
unused evaluations against a fixed quota, by tries a step. Scenes: the mean reward over four things
and two to four of them, at equal FLOPs.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from machine import cpu

from bursar.backends.images import PROMPTS, THINGS, NextScale, PointModel
from bursar.budget import Budget
from bursar.reason.images import (
    BestOfN,
    Near,
    Painter,
    RolloverBudgetForcing,
    ScalePainter,
    Shows,
    Studio,
    TTSnap,
    Wish,
    exchanged,
    tts_var,
)
from bursar.reason.images.paths import LINEAR, levels, step
from bursar.reason.images.scale_paths import first_ones
from bursar.reason.images.tts_var import SHARES, promising, varied
from bursar.reason.purse import PurseOf

RESULTS = Path(__file__).parent / "results" / "images.json"
POINTS: dict[str, Painter] = {
    **{f"best-of-N, {k} steps": BestOfN(k) for k in (3, 5, 10)},
    "best-of-N on the SDE": BestOfN(10, churn=1.0),
    "fixed quota": RolloverBudgetForcing(rollover=False),
    "rollover": RolloverBudgetForcing(),
    "TTSnap": TTSnap(),
    "TTSnap, 5 steps": TTSnap(5, after=(2, 3), keep=(0.4, 0.5)),
    "TTSnap, clean judge": TTSnap(scorer="clean"),
    "TTSnap, the reward itself": TTSnap(scorer=None),
}
SCENES: dict[str, Painter] = {
    "best-of-N": ScalePainter(),
    "best-of-N, temperature 1": ScalePainter(temperature=1.0),
    "TTS-VAR": tts_var(),
    "TTS-VAR, rules exchanged": exchanged(),
    "TTS-VAR without variety": ScalePainter(SHARES, (first_ones,) * 3 + (promising(10.0),)),
    "TTS-VAR without promise": ScalePainter(SHARES, (first_ones, first_ones, varied, first_ones)),
}


def point_wishes(flow: PointModel, each: int = 4) -> Iterator[Wish]:
    """Goals where the flow does put points."""
    for prompt, name in enumerate(PROMPTS):
        x = np.random.default_rng(70 + prompt).normal(size=(each, 2)).astype(np.float32)
        grid = levels(40, LINEAR)
        for t, to in pairwise(grid):
            x = step(x, t, to, flow.values(x, t, prompt), 0.0)
        for number, goal in enumerate(x):
            yield Wish(f"{name} {number}", prompt, Near(goal), goal)


def scene_wishes() -> list[Wish]:
    """Two to four of everything."""
    return [
        Wish(f"{count} x {name}", thing, Shows(thing, count))
        for thing, name in enumerate(THINGS)
        for count in (2, 3, 4)
    ]


def measured(
    painter: Painter, wishes: list[Wish], models: dict, flops: float, seeds: int
) -> dict[str, object]:
    """Mean reward over wishes by seed, and what was spent and drawn, on the mean."""
    rewards = np.zeros((seeds, len(wishes)))
    spent = finished = judged = 0.0
    for seed in range(seeds):
        for i, wish in enumerate(wishes):
            budget = Budget({"flops": flops})
            studio = Studio(PurseOf(budget, models), wish, np.random.default_rng((seed, i)))
            drawing = asyncio.run(painter.draw(studio))
            assert not budget.overrun
            rewards[seed, i] = drawing.reward
            spent += (budget.spent.flops or 0.0) / flops / rewards.size
            finished += drawing.finished / rewards.size
            judged += drawing.judged / rewards.size
    return {
        "reward": round(float(rewards.mean()), 4),
        "by_seed": [round(float(r), 4) for r in rewards.mean(1)],
        "share_spent": round(spent, 3),
        "finished": round(finished, 1),
        "judged": round(judged, 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    models = {name: PointModel.load(name) for name in ("flow", "clean", "noise-aware")}
    each, wishes = models["flow"].net.flops, list(point_wishes(models["flow"]))
    points, quotas, scenes = [], [], []
    for evaluations in (100, 300):
        for name, painter in POINTS.items():
            found = measured(painter, wishes, models, evaluations * each, chosen.seeds)
            points.append({"evaluations": evaluations, "painter": name, **found})
            print(evaluations, name, found, file=sys.stderr, flush=True)
    for evaluations, steps in ((50, 20), (50, 10), (100, 30), (100, 20), (100, 10), (200, 10)):
        row: dict[str, object] = {"evaluations": evaluations, "steps": steps}
        row["tries_a_step"] = round((evaluations - 8) / (steps - 1), 1)
        for name, rollover in (("fixed", False), ("rollover", True)):
            painter = RolloverBudgetForcing(steps, rollover=rollover)
            found = measured(painter, wishes, models, evaluations * each, 4 * chosen.seeds)
            row[name], row[f"{name}_by_seed"] = found["reward"], found["by_seed"]
        quotas.append(row)
        print(row, file=sys.stderr, flush=True)
    generator = NextScale.load()
    whole = sum(generator.drawing_flops)
    for pictures in (4, 8, 16, 24):
        for name, painter in SCENES.items():
            found = measured(
                painter,
                scene_wishes(),
                {"next-scale": generator},
                pictures * whole,
                2 * chosen.seeds,
            )
            scenes.append({"pictures": pictures, "painter": name, **found})
            print(pictures, name, found, file=sys.stderr, flush=True)
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["python benchmarks/images.py", *sys.argv[1:]]),
        "machine": f"{cpu()}, one thread",
        "points": points,
        "rollover_by_quota": quotas,
        "scenes": scenes,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
