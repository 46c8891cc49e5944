"""A model that clients may ask for: what it costs, how much it may say, who serves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bursar.backends import open_backend
from bursar.backends.base import Backend
from bursar.backends.secret import Secret, read_key
from bursar.backends.token_price import TokenPrice
from bursar.errors import BadInput
from bursar.gateway.bounds import CountTokens, utf8_bytes
from bursar.gateway.config import Config, ModelAt, UpstreamAt
from bursar.gateway.schedule import Schedule
from bursar.gateway.upstream import AnthropicUpstream, OpenAIUpstream
from bursar.gateway.upstream.base import Tokens, Upstream
from bursar.gateway.upstream.breaker import BreakerSettings
from bursar.gateway.upstream.choice import CHOICES
from bursar.gateway.upstream.in_turn import InTurn
from bursar.gateway.upstream.local import open_local
from bursar.gateway.upstream.places import Member
from bursar.gateway.upstream.pool import Hedge, Pool, Retry
from bursar.usage import Usage

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Rates:
    """What tokens cost, in each resource; None where nobody has said."""

    price: TokenPrice | None
    cached_usd_per_mtok: float | None = None
    joules_in: float | None = None
    joules_out: float | None = None
    grams_per_joule: float | None = None

    def usage(self, tokens: Tokens, seconds: float) -> Usage:
        """What a call used, or may use."""
        joules = grams = None
        if self.joules_in is not None and self.joules_out is not None:
            joules = tokens.tokens_in * self.joules_in + tokens.tokens_out * self.joules_out
            if self.grams_per_joule is not None:
                grams = joules * self.grams_per_joule
        return Usage(
            tokens_in=tokens.tokens_in,
            tokens_out=tokens.tokens_out,
            seconds=seconds,
            joules=joules,
            usd=self._usd(tokens),
            tool_calls=0,
            grams_co2e=grams,
            requests=1,
        )

    def _usd(self, tokens: Tokens) -> float | None:
        if self.price is None:
            return None
        usd = self.price.usd(tokens.tokens_in, tokens.tokens_out)
        if usd is None or not tokens.cached or self.cached_usd_per_mtok is None:
            return usd
        saved = self.price.usd_per_mtok_in - self.cached_usd_per_mtok
        return usd - tokens.cached * saved / 1e6


@dataclass(slots=True, eq=False)
class Model:
    """One model. `rates` are those of each upstream; a bound is the dearest of them."""

    at: ModelAt
    upstream: Upstream
    rates: Mapping[str, Rates]
    backend: Backend | None = None
    """The model itself, where it runs in this process: strategies may see more of it."""
    count: CountTokens = field(default=utf8_bytes)

    @property
    def name(self) -> str:
        return self.at.name

    def usage(self, tokens: Tokens, seconds: float, upstream: str) -> Usage:
        """What a call to `upstream` used."""
        return self.rates[upstream].usage(tokens, seconds)

    def upper(self, tokens_in: int, tokens_out: int, seconds: float, times: int = 1) -> Usage:
        """The most that a call with at most so many tokens can use, `times` attempts billed."""
        bounds = [
            rates.usage(Tokens(tokens_in, tokens_out), seconds) for rates in self.rates.values()
        ]
        unpriced = [bound for bound in bounds if bound.usd is None]
        dearest = unpriced[0] if unpriced else max(bounds, key=lambda bound: bound.usd or 0.0)
        return dearest if times == 1 else dearest * times

    async def aclose(self) -> None:
        await self.upstream.aclose()


def open_upstream(at: ModelAt) -> Upstream:
    """What serves a model: its upstreams behind one, or the one model in this process."""
    members = [
        Member(
            _open_one(at, upstream),
            weight=upstream.weight,
            most_calls=upstream.concurrency,
            usd_per_mtok=_usd_per_mtok(at, upstream),
        )
        for upstream in at.upstreams
    ]
    if len(members) == 1 and at.upstreams[0].kind == "local":
        return members[0].upstream
    pool = Pool(
        at.name,
        members,
        rule=CHOICES[at.choice](),
        most_waiting=at.queue,
        retry=Retry(rounds=at.retries + 1),
        breaker=BreakerSettings(most_failures=at.failures_to_pause),
        hedge=None if at.hedge_quantile is None else Hedge(at.hedge_quantile),
        clock=time.monotonic,  # the event loop's, and can be read from other threads
    )
    schedule = Schedule(at.name, lambda: pool.capacity, most_waiting=at.queue, clock=time.monotonic)
    return InTurn(pool, schedule)


def _usd_per_mtok(model: ModelAt, at: UpstreamAt) -> float:
    """Of as much input as output: by this an upstream is the cheaper one."""
    price = rates_of(model, at).price
    return 0.0 if price is None else (price.usd_per_mtok_in + price.usd_per_mtok_out) / 2


def _open_one(model: ModelAt, at: UpstreamAt) -> Upstream:
    name, known_as = upstream_name(at), at.model or model.name
    if at.kind == "local":
        return open_local(name, known_as)
    key = key_of(at)
    if at.kind == "anthropic":
        return AnthropicUpstream(name, known_as, at.url, key=key, bills_errors=at.bills_errors)
    return OpenAIUpstream(
        name,
        known_as,
        at.url,
        key=key,
        limit_field=at.limit_field,
        bills_errors=at.bills_errors,
    )


def open_models(
    config: Config, opened: Callable[[ModelAt], Upstream] = open_upstream
) -> dict[str, Model]:
    """The models of a configuration by name; `opened` makes what serves one."""
    return {
        at.name: Model(
            at,
            opened(at),
            {upstream_name(u): rates_of(at, u) for u in at.upstreams},
            backend=open_backend(at.upstreams[0].model or at.name)
            if at.upstreams[0].kind == "local"
            else None,
            count=_tokenizer(at.tokenizer) if at.tokenizer else utf8_bytes,
        )
        for at in config.models
    }


def upstream_name(at: UpstreamAt) -> str:
    """What receipts call an upstream: its name, else its host; never more of its URL."""
    return at.name or urlsplit(at.url).netloc.rpartition("@")[2] or at.kind


def rates_of(model: ModelAt, upstream: UpstreamAt) -> Rates:
    """What tokens cost at one upstream of a model."""
    price = model.price
    if upstream.usd_per_mtok_in is not None and upstream.usd_per_mtok_out is not None:
        price = TokenPrice(upstream.usd_per_mtok_in, upstream.usd_per_mtok_out)
    grams = model.grams_co2e_per_kwh
    return Rates(
        price,
        model.usd_per_mtok_cached,
        model.joules_per_token_in,
        model.joules_per_token_out,
        None if grams is None else grams / JOULES_PER_KWH,
    )


def key_of(at: UpstreamAt) -> Secret | None:
    """The key for an upstream, from where the configuration says. Raises `BadInput`."""
    if at.key_file:
        return read_key(file=at.key_file)
    if not at.key_env:
        return None
    key = read_key(at.key_env)
    if key is None:
        raise BadInput(
            f"upstream {upstream_name(at)}: environment variable {at.key_env} is not set; set it "
            "to the API key, or name a key_file"
        )
    return key


def _tokenizer(path: str) -> CountTokens:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise BadInput(
            "tokenizer: needs the package tokenizers: pip install tokenizers; or leave it out, and "
            "prompts are bounded by their bytes"
        ) from None
    if not Path(path).is_file():
        raise BadInput(f"tokenizer {path!r}: there is no such file; name a tokenizer.json")
    loaded = Tokenizer.from_file(path)
    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids) + 1
