"""What a hosted model charges for a request: a price list, so exact when the tokens are."""

from bursar.catalog import ApiPrice
from bursar.errors import BadInput
from bursar.usage import Usage


def hosted_cost(
    price: ApiPrice, tokens_in: float, tokens_out: float, *, cached_in: float = 0.0
) -> Usage:
    """Tokens and dollars of one request; everything else is the provider's secret, so None.

    `cached_in` of the `tokens_in` come from the provider's cache; without a price for these they
    are charged in full. Dollars are None for a prompt longer than the listed price holds for.
    """
    if not 0 <= cached_in <= tokens_in or tokens_out < 0:
        raise BadInput(
            f"{tokens_in:g} tokens in ({cached_in:g} of them cached), {tokens_out:g} out; "
            "amounts must be zero or more, and no more cached than given"
        )
    usd = None
    if price.up_to_tokens_in is None or tokens_in <= price.up_to_tokens_in:
        cached = price.usd_per_mtok_cached
        cached_price = price.usd_per_mtok_in if cached is None else cached
        usd = (
            (tokens_in - cached_in) * price.usd_per_mtok_in
            + cached_in * cached_price
            + tokens_out * price.usd_per_mtok_out
        ) / 1e6
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out, usd=usd, tool_calls=0.0)
