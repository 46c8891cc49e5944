"""The law of users who wait: what must hold for any coefficients, and that a fit finds them."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from bursar import catalog
from bursar.cost.users import (
    Analogues,
    Instance,
    Limits,
    MeasuredUsers,
    UsersLaw,
    carried_by,
    fit_users,
    instance_of,
)
from bursar.cost.users.law import Loads
from bursar.errors import BadInput, Infeasible

MODELS = ("llama-2-7b", "llama-2-13b", "gpt-neox-20b", "starcoder-15b")
DEVICES = ("a10", "a100-sxm-80gb", "h100-sxm")
USERS = 2.0 ** np.arange(8)
OUT = 20.0
LIMITS = Limits(8.5, 0.05)


def places(padded: bool) -> dict[tuple[str, str], Instance]:
    return {
        (model, f"{count} x {name}"): instance_of(
            catalog.model(model), catalog.device(name), count, padded=padded
        )
        for model in MODELS
        for name in DEVICES
        for count in (2, 4)
    }


def measured(law: UsersLaw, noise: float, seed: int) -> list[MeasuredUsers]:
    rng = np.random.default_rng(seed)
    rows = []
    for padded in (False, True):
        for (model, name), one in places(padded).items():
            first, between = law.seconds(Loads.of([one], OUT), USERS)
            for i, users in enumerate(USERS):
                off = np.exp(noise * rng.standard_normal(2))
                rows.append(
                    MeasuredUsers(
                        f"{model} {padded}",
                        name,
                        one,
                        users,
                        float(first[0, i] * off[0]),
                        float(between[0, i] * off[1]),
                    )
                )
    return rows


TRUE = replace(UsersLaw(), weights=1.0, prompt=1.0, user_seconds=4e-4, room=1 / 300, waited=1.2)


@pytest.mark.parametrize("padded", [False, True])
def test_more_users_never_wait_less(padded: bool) -> None:
    loads = Loads.of(list(places(padded).values()), OUT)
    for times in UsersLaw().seconds(loads, np.geomspace(1, 1000, 60)):
        assert np.all(np.diff(times, axis=1) > 0)


def test_a_full_instance_queues_and_decodes_no_slower() -> None:
    one = replace(places(False)["llama-2-7b", "2 x a10"], cache_tokens=400.0 * 16)
    first, between = UsersLaw().seconds(Loads.of([one], OUT), np.array([64.0, 128.0]))
    assert between[0, 1] == pytest.approx(between[0, 0], rel=0.01)
    assert first[0, 1] > 1.8 * first[0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_predicts_a_model_that_it_has_not_seen(seed: int) -> None:
    rows = measured(TRUE, 0.05, seed)
    left_out = f"{MODELS[seed]} False"
    law = fit_users([row for row in rows if row.model != left_out], OUT)
    unseen = [one for (model, _), one in places(False).items() if model == MODELS[seed]]
    for found, right in zip(
        law.seconds(Loads.of(unseen, OUT), USERS),
        TRUE.seconds(Loads.of(unseen, OUT), USERS),
        strict=True,
    ):
        assert np.median(np.abs(found / right - 1.0)) < 0.05


def test_the_fit_stays_at_its_defaults_where_rows_say_nothing() -> None:
    rows = [row for row in measured(TRUE, 0.0, 0) if not row.instance.padded]
    law = fit_users(rows, OUT)
    assert law.padded_room == pytest.approx(UsersLaw().padded_room, rel=1e-3)
    assert all(value > 0 for value in astuple(law))


def test_users_carried_are_where_a_limit_is_passed() -> None:
    users = np.array([1.0, 2.0, 4.0])
    fine = np.full((1, 3), 0.01)
    between = np.array([[0.02, 0.04, 0.0625]])
    (crossed,) = carried_by(fine, between, users, LIMITS)
    assert 1.0 < crossed < 2.0
    assert between[0, 1] * (0.0625 / 0.04) ** (crossed - 1.0) == pytest.approx(0.05)
    assert carried_by(fine, fine, users, LIMITS) == [3.0]
    assert carried_by(fine + 9, fine, users, LIMITS) == [-1.0]
    # a limit once passed stays passed, though it may be met again
    assert carried_by(fine, np.array([[0.04, 0.06, 0.03]]), users, LIMITS) < 1.0


def test_analogues_are_what_like_predictions_came_to() -> None:
    cases = Analogues(np.array([3.0, 3.1, 6.0]), np.array([2.0, 4.0, 5.0]))
    rng = np.random.default_rng(0)
    draws = cases.draws(np.array([3.0, 6.0, 40.0]), 4000, rng)
    assert draws.shape == (4000, 3)
    assert set(np.unique(draws[:, 0])) <= {2.0, 4.0, 5.0}
    assert np.mean(draws[:, 0] == 2.0) == pytest.approx(0.5, abs=0.04)
    assert np.mean(draws[:, 1] == 5.0) > 0.99
    assert np.all(draws[:, 2] == 5.0)


def test_what_does_not_fit_is_refused() -> None:
    big, small = catalog.model("llama-3.1-70b"), catalog.device("a10")
    with pytest.raises(Infeasible, match="does not fit 1 x a10"):
        instance_of(big, small)
    with pytest.raises(BadInput, match="at least"):
        fit_users([], OUT)
    row = measured(TRUE, 0.0, 0)[0]
    with pytest.raises(BadInput, match="above 0"):
        fit_users([replace(row, first_seconds=0.0)], OUT)
    with pytest.raises(BadInput, match="one case at least"):
        Analogues(np.zeros(0), np.zeros(0))


def test_an_encoder_runs_the_prompts_and_takes_room() -> None:
    decoder = catalog.model("llama-2-7b")
    alone = instance_of(decoder, catalog.device("a100-sxm-80gb"))
    both = instance_of(decoder, catalog.device("a100-sxm-80gb"), encoder=decoder)
    assert both.weights_seconds == alone.weights_seconds
    assert both.prompt_seconds < alone.prompt_seconds  # no head
    assert both.cache_tokens < alone.cache_tokens
