"""A price learnt from the recent past: near the clairvoyant optimum, never over, and adaptive."""

import numpy as np
import pytest

from bursar.allocate import Options, WindowPrice, allocate, best_option
from bursar.errors import BadInput

SAMPLES = np.array([0.0, 1, 2, 4, 8, 16])


def stream(seed: int, items: int = 1200, easy_later: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    chance = rng.beta(0.5, 1.0, (items, 1))
    if easy_later:
        chance[: items // 2] *= 0.2
    return 1 - (1 - chance) ** SAMPLES, SAMPLES * rng.uniform(50, 500, (items, 1))


def serve(
    values: np.ndarray, costs: np.ndarray, limit: float, size: int = 128
) -> tuple[float, float]:
    """(value, spent) when each item is decided at the window's price before the next is seen."""
    window, spent, total = WindowPrice("tokens", size), 0.0, 0.0
    for number, (value, cost) in enumerate(zip(values, costs, strict=True)):
        window = window.after(value, cost)
        price = window.price(limit - spent, len(values) - number)
        assert price is not None
        option = best_option(value, cost, price.of("tokens"), limit - spent)
        assert option is not None
        spent, total = spent + cost[option], total + value[option]
    return total, spent


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
def test_nears_the_clairvoyant_optimum_without_a_first_price(seed: int, share: float) -> None:
    values, costs = stream(seed)
    limit = share * float(costs[:, -1].sum())
    best = allocate(Options(values, costs), limit)
    total, spent = serve(values, costs, limit)
    assert spent <= limit
    assert total >= 0.97 * best.total_value


def test_follows_a_drifting_stream() -> None:
    values, costs = stream(5, easy_later=True)
    limit = 0.1 * float(costs[:, -1].sum())
    best = allocate(Options(values, costs), limit)
    total, spent = serve(values, costs, limit)
    assert spent <= limit
    assert total >= 0.9 * best.total_value


def test_knows_nothing_before_the_first_item() -> None:
    assert WindowPrice("tokens").price(100.0, 10) is None


def test_items_must_have_as_many_options() -> None:
    window = WindowPrice("tokens").after([0.0, 1.0], [0.0, 5.0])
    with pytest.raises(BadInput, match="pad"):
        window.after([0.0, 0.5, 1.0], [0.0, 5.0, 6.0])
    padded = window.after([0.0, -np.inf], [0.0, np.inf])
    assert padded.price(5.0, 2) is not None


def test_best_option() -> None:
    values, costs = [0.0, 0.6, 0.9, -np.inf], [0.0, 1.0, 2.0, 0.0]
    assert best_option(values, costs, 0.0) == 2
    assert best_option(values, costs, 0.0, at_most=1.5) == 1
    assert best_option(values, costs, 0.5) == 1
    assert best_option(values, costs, 0.7) == 0
    assert best_option([1.0], [2.0], 0.0, at_most=1.0) is None
