"""The stopping rule of voting."""

import pytest
from scipy.integrate import quad
from scipy.stats import beta

from bursar.errors import BadInput
from bursar.value import p_top_beats_second


@pytest.mark.parametrize(("top", "second"), [(0, 0), (3, 1), (7, 0), (2.5, 1.5)])
def test_stopping_rule_is_the_beta_integral(top: float, second: float) -> None:
    exact = quad(beta(top + 1, second + 1).pdf, 0.5, 1)[0]
    assert p_top_beats_second(top, second) == pytest.approx(exact, rel=1e-6)


def test_stopping_rule_stops_at_four_unanimous_votes() -> None:
    assert p_top_beats_second(3, 0) < 0.95 < p_top_beats_second(4, 0)


def test_negative_votes_are_refused() -> None:
    with pytest.raises(BadInput, match="zero or more"):
        p_top_beats_second(-1, 0)
