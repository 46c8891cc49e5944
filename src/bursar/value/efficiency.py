"""E3: how much right a token buys, with accuracy counted twice, so that cheap nonsense scores low.

Lin et al., "Plan and Budget", 2025, arXiv:2505.16122: accuracy squared over mean tokens a question.
"""

from bursar.errors import BadInput


def e3(accuracy: float, tokens: float) -> float:
    """A^2 / T of an `accuracy` in [0, 1] bought with `tokens` > 0 a question."""
    if not 0 <= accuracy <= 1 or not 0 < tokens < float("inf"):
        raise BadInput(f"accuracy {accuracy} must lie in [0, 1] and tokens {tokens} be above 0")
    return accuracy**2 / tokens
