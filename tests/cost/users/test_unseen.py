"""Users carried for a model never measured: built servers whose truth the law can't express."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bursar import catalog
from bursar.cost.users import (
    Instance,
    Limits,
    MeasuredUsers,
    Residuals,
    UsersLaw,
    carried_measured,
    carried_unseen,
    instance_of,
)
from bursar.cost.users.law import Loads
from bursar.errors import BadInput

MODELS = ("llama-2-7b", "llama-2-13b", "mpt-7b", "codegen2-16b", "starcoder-15b")
DEVICES = ("a10", "a100-sxm-80gb", "h100-sxm")
LEVELS = 2.0 ** np.arange(8)
OUT = 20.0
LIMITS = Limits(8.5, 0.05)
TRUE = replace(UsersLaw(), weights=1.0, prompt=1.0, user_seconds=4e-4)


def candidates(model: str) -> dict[str, Instance]:
    return {
        f"{count} x {name}": instance_of(
            catalog.model(model),
            catalog.device(name),
            count,
            padded=model.startswith(("mpt", "co")),
        )
        for name, count in product(DEVICES, (2, 4))
    }


def measured(slow: float, seed: int) -> list[MeasuredUsers]:
    """By the law, but on the A10 (24 GB) all takes `slow` times as long: a bad driver, say."""
    rng = np.random.default_rng(seed)
    rows = []
    for model in MODELS:
        for name, one in candidates(model).items():
            off = slow if name.endswith("a10") else 1.0
            times = TRUE.seconds(Loads.of([one], OUT), LEVELS)
            noisy = [off * t[0] * np.exp(0.05 * rng.standard_normal(len(LEVELS))) for t in times]
            rows += [
                MeasuredUsers(model, name, one, users, float(first), float(between))
                for users, first, between in zip(LEVELS, *noisy, strict=True)
            ]
    return rows


def truth(rows: list[MeasuredUsers], model: str) -> np.ndarray:
    """The tested number of users that each candidate carries."""
    names = candidates(model)
    found = [
        carried_measured([r for r in rows if (r.model, r.name) == (model, name)], LIMITS)
        for name in names
    ]
    return np.where(np.array(found) < 0, 0.0, 2.0 ** np.floor(found))


def residual_draws(slow: float, seed: int) -> np.ndarray:
    """Between tokens, for the first model, from the others' distance to the true law."""
    rows = [row for row in measured(slow, seed) if row.model != MODELS[0]]
    between = {(row.model, row.name, row.users): row.between_seconds for row in rows}
    known = sorted({(row.model, row.name) for row in rows})
    loads = Loads.of([candidates(model)[name] for model, name in known], OUT)
    law = np.log2(TRUE.seconds(loads, LEVELS)[1])
    off = np.log2([[between[*key, users] for users in LEVELS] for key in known]) - law
    residuals = Residuals(loads, [model for model, _ in known], np.log2(LEVELS), off)
    new = Loads.of(list(candidates(MODELS[0]).values()), OUT)
    return residuals.draws(new, 400, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(3))
def test_like_instances_correct_what_the_law_can_not_say(seed: int) -> None:
    slow = np.array([name.endswith("a10") for name in candidates(MODELS[0])])
    found = np.median(residual_draws(2.0, seed), axis=(0, 2))
    # twice as long is one doubling; three models measured so are believed in part
    assert np.all((found[slow] > 0.5) & (found[slow] < 1.2))
    assert np.all(np.abs(found[~slow]) < 0.3)
    # where nothing is off, nothing is corrected
    assert np.all(np.abs(np.median(residual_draws(1.0, seed), axis=(0, 2))) < 0.1)


@pytest.mark.parametrize("seed", range(3))
def test_draws_hold_what_a_model_left_out_really_carries(seed: int) -> None:
    rows = measured(1.5, seed)
    likely = []
    for model in MODELS[:2]:
        others = [row for row in rows if row.model != model]
        instances = list(candidates(model).values())
        rng = np.random.default_rng(seed)
        draws = carried_unseen(others, OUT, instances, LIMITS, 400, rng)
        assert draws.shape == (400, len(instances))
        assert set(np.unique(draws)) <= {0.0, *LEVELS}
        likely.append(np.mean(draws == truth(rows, model), axis=0))
    assert np.mean(likely) > 0.5  # of nine answers
    again = carried_unseen(others, OUT, instances, LIMITS, 400, np.random.default_rng(seed))
    assert np.array_equal(again, draws)


def test_what_was_measured_is_not_said_to_carry_twice_as_much() -> None:
    one = candidates(MODELS[0])["2 x a10"]
    rows = [MeasuredUsers("m", "g", one, users, 0.1, 0.01) for users in (4.0, 1.0, 2.0)]
    assert 2.0 <= carried_measured(rows, LIMITS) < 3.0


def test_one_model_is_too_few_and_shapes_must_fit() -> None:
    rows = [row for row in measured(1.0, 0) if row.model == MODELS[0]]
    own = list(candidates(MODELS[1]).values())
    with pytest.raises(BadInput, match="two other models"):
        carried_unseen(rows, OUT, own, LIMITS, 10, np.random.default_rng(0))
    with pytest.raises(BadInput, match="one row per instance"):
        Residuals(Loads.of(own, OUT), ["m"] * 6, np.log2(LEVELS), np.zeros((6, 3)))
