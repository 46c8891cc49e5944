"""`recommend`: decides by what a wrong choice costs under the whole distribution."""

import numpy as np
import pytest

from bursar.errors import BadInput, Infeasible
from bursar.fleet.recommend import recommend

LEVELS = (16.0, 32.0, 64.0, 128.0)


def test_certain_capacities_give_the_cheapest() -> None:
    carried = np.tile([64.0, 32.0, 128.0], (10, 1))
    found = recommend(carried, [4.0, 1.5, 12.0], 200, LEVELS)
    assert (found.candidate, found.users_each, found.instances) == (1, 32.0, 7)
    assert found.usd_per_hour == pytest.approx(10.5)
    assert found.success == found.worth == 1.0


def test_a_sure_choice_beats_a_cheaper_gamble() -> None:
    half = np.where(np.arange(1000) % 2, 16.0, 64.0)
    carried = np.stack([half, np.full(1000, 64.0)], axis=1)
    sure = recommend(carried, [4.0, 5.0], 200, LEVELS)
    assert (sure.candidate, sure.users_each, sure.success) == (1, 64.0, 1.0)
    # and is not worth any price
    dear = recommend(carried, [4.0, 40.0], 200, LEVELS)
    assert dear.candidate == 0


def test_draws_that_nobody_can_serve_count_as_failures() -> None:
    carried = np.stack([[64.0, 0.0, 64.0, 0.0]], axis=1)
    found = recommend(carried, [4.0], 200, LEVELS)
    assert found.success == found.worth == 0.5
    with pytest.raises(Infeasible, match="loosen"):
        recommend(np.zeros((5, 2)), [1.0, 2.0], 200, LEVELS)


@pytest.mark.parametrize("seed", range(3))
def test_expected_worth_beats_trusting_the_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = 2.0 ** np.arange(8)
    prices = np.array([2.0, 4.0, 8.0, 16.0])
    gained = []
    for _ in range(800):
        middle = rng.uniform(3.0, 6.5, 4)
        spread = rng.choice([0.2, 1.2], 4)
        draws = 2.0 ** np.clip(middle + spread * rng.standard_normal((200, 4)), 0, 7)
        truth = 2.0 ** np.clip(middle + spread * rng.standard_normal(4), 0, 7)
        least = float(np.min(np.ceil(200 / truth) * prices))
        worths = []
        for known in (draws, 2.0 ** np.clip(middle[None, :], 0, 7)):
            found = recommend(known, prices, 200, levels)
            carries = found.instances * truth[found.candidate] >= 200
            worths.append((2.0 - found.usd_per_hour / least) * carries)
        gained.append(worths[0] - worths[1])
    assert np.mean(gained) > 2.0 * np.std(gained) / np.sqrt(len(gained))


@pytest.mark.parametrize(
    ("carried", "usd", "users", "said"),
    [
        (np.ones(3), [1.0, 1.0, 1.0], 200.0, "draws, candidates"),
        (np.ones((2, 3)), [1.0], 200.0, "draws, candidates"),
        (np.ones((2, 1)), [0.0], 200.0, "above 0"),
        (np.ones((2, 1)), [1.0], 0.0, "above 0"),
    ],
)
def test_bad_input_is_refused(
    carried: np.ndarray, usd: list[float], users: float, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        recommend(carried, usd, users, LEVELS)
