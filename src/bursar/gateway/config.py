"""What a gateway is told: a TOML file, read and checked as a whole before anything is opened.

`docs/gateway.toml` is an example with every setting and a comment for each. Secrets are not in it:
a setting names the environment variable, or the private file, that holds one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bursar.backends.token_price import TokenPrice, listed_price
from bursar.errors import BadInput
from bursar.limits import limit_grains

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Section):
    """Where to listen, and what to put up with."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 4000
    workers: Count = 1
    request_bytes: Count = 8_000_000
    """Longest body of a request; above it: 413."""
    head_bytes: Count = 65_536
    """Longest head of a request, its headers and address; above it: 431."""
    connections: Count = 4096
    """Connections of one worker; above it: 503."""
    read_s: Positive = 30.0
    """Within which a client must have sent its request; above it: 408."""
    drain_s: Positive = 60.0
    """How long requests under way may go on after the gateway was told to stop."""


class LedgerAt(_Section):
    """Where the books are."""

    place: str = "gateway.sqlite"
    """A file, or ``postgresql+psycopg://user@host/database`` (password in PGPASSWORD)."""
    place_env: str = ""
    """Environment variable that holds the place, for an address with a password in it."""
    ttl_s: Positive = 900.0
    """After which the hold of a worker that died is charged at its bound; above `timeout_s`."""

    sync: Literal["behind", "commit"] = "behind"
    """SQLite only. "behind": no answer leaves before its bill is on disk, but a call may leave
    while its hold is in the operating system's hands, where no crash of ours loses it. "commit":
    neither."""

    @property
    def where(self) -> str:
        """The place itself."""
        if not self.place_env:
            return self.place
        if found := os.environ.get(self.place_env):
            return found
        raise BadInput(
            f"ledger.place_env: environment variable {self.place_env} is not set; set it to the "
            "ledger's address"
        )


class UpstreamAt(_Section):
    """One server that serves a model; for kind "local" a model in this process."""

    kind: Literal["openai", "anthropic", "local"] = "openai"
    url: str = ""
    """Where its API begins, such as ``https://api.openai.com/v1``."""
    model: str = ""
    """The model's name there; empty: the same as here."""
    name: str = ""
    """What receipts and metrics call it; empty: the URL's host."""
    key_env: str = ""
    key_file: str = ""
    weight: Positive = 1.0
    concurrency: Count = 256
    usd_per_mtok_in: NotNegative | None = None
    """Where it differs from the model's price."""
    usd_per_mtok_out: NotNegative | None = None
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Which of the two the server understands."""
    bills_errors: bool = False
    """Whether it may bill a call that it answers with an error 500."""

    @model_validator(mode="after")
    def _has_url(self) -> UpstreamAt:
        if self.kind != "local" and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url is {self.url!r}: it must begin with http:// or https://")
        return self


class ModelAt(_Section):
    """A model that clients may ask for by name."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    usd_per_mtok_in: NotNegative | None = None
    """Dollars per million tokens; None: the catalogue's list price, where it has one."""
    usd_per_mtok_out: NotNegative | None = None
    usd_per_mtok_cached: NotNegative | None = None
    """For input tokens that the upstream had cached; None: as other input."""
    joules_per_token_in: NotNegative | None = None
    joules_per_token_out: NotNegative | None = None
    grams_co2e_per_kwh: NotNegative | None = None
    context_tokens: Count = 128_000
    max_output_tokens: Count = 16_384
    default_output_tokens: Count = 1024
    """The bound on output when a request names none."""
    tokens_per_image: Count | None = None
    """The most input tokens of one image; None: images are refused, as nothing bounds them."""
    tokenizer: str = ""
    """A ``tokenizer.json``, to bound prompts more closely than by their bytes."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    failures_to_pause: Count = 5
    """Failures of an upstream within half a minute after which it is left alone for a while."""
    choice: Literal["least_outstanding", "by_weight", "cheapest_first"] = "least_outstanding"
    """Which upstream a call goes to, of those that work and have room."""
    hedge_quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Ask a second upstream when the first has taken longer than this share of calls does; holds
    then cover both."""
    queue: Annotated[int, Field(ge=0)] = 1024
    """Calls that may wait for an upstream; above it: 429."""
    upstreams: Annotated[tuple[UpstreamAt, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _both_prices(self) -> ModelAt:
        if (self.usd_per_mtok_in is None) != (self.usd_per_mtok_out is None):
            raise ValueError("give usd_per_mtok_in and usd_per_mtok_out, or neither")
        return self

    @property
    def price(self) -> TokenPrice | None:
        """Dollars for tokens; None where nobody has said."""
        if self.usd_per_mtok_in is not None and self.usd_per_mtok_out is not None:
            return TokenPrice(self.usd_per_mtok_in, self.usd_per_mtok_out)
        return listed_price(self.name)


class RouteAt(_Section):
    """A name behind which a router chooses a model for each request."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    models: Annotated[tuple[str, ...], Field(min_length=2)]
    router: Literal["similarity", "classifier", "blend", "best_single", "random"] = "similarity"
    outcomes: str
    """A JSONL file of questions and who answers them right, to learn from."""
    worth_usd: Positive
    """What a right answer is worth, in dollars."""


class Access(_Section):
    """Who may ask."""

    keys: Literal["required", "none"] = "none"
    """"none" is for one's own machine: it is refused unless `server.host` is loopback."""
    limits: str = ""
    """With keys "none": limits of everybody together, such as "5 USD per day"."""

    secret_env: str = ""
    """Environment variable with 32 or more random characters, for cookies and webhooks; empty: a
    private file beside a SQLite ledger, made when it is not there."""
    webhook_hosts: tuple[str, ...] = ()
    """Hosts of webhooks that may be private, or answer without https."""

    @field_validator("limits")
    @classmethod
    def _readable(cls, text: str) -> str:
        if text:
            limit_grains(text)
        return text


class Requests(_Section):
    """What holds for every request."""

    timeout_s: Positive = 300.0
    """After which an upstream is no longer waited for."""
    budget: str = ""
    """A budget for requests that bring none; empty: what `max_tokens` bounds."""
    strategy_calls: Count = 8
    """Budget of ``strategy:model`` and ``auto`` without one: so many calls at their bound."""
    auto: tuple[str, ...] = ()
    """Models among which ``auto`` chooses; empty: the first one."""


class Near(_Section):
    """What to do near a limit, before anything is refused."""

    near: Annotated[float, Field(gt=0, le=1)] = 0.9
    """From this share of a limit on, budgets of strategies are cut and cheaper models are used."""
    fewer: Annotated[float, Field(gt=0, le=1)] = 0.5
    """To this share."""
    wait_s: NotNegative = 5.0
    """A request that does not fit waits, where the limit's period ends within so long."""


class Seen(_Section):
    """What the gateway tells of itself."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    keep_days: Positive = 30.0
    """How long single requests are kept for the dashboard; sums are kept for good."""
    traces: str = ""
    """Where OpenTelemetry traces go, such as ``http://localhost:4318``; empty: as OTEL_ says."""


class Config(_Section):
    """Everything a gateway is told."""

    server: Server = Server()
    ledger: LedgerAt = LedgerAt()
    access: Access = Access()
    requests: Requests = Requests()
    near: Near = Near()
    seen: Seen = Seen()
    models: tuple[ModelAt, ...] = ()
    routes: tuple[RouteAt, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        names = [model.name for model in self.models]
        asked = [*names, *(route.name for route in self.routes)]
        if twice := sorted({name for name in asked if asked.count(name) > 1}):
            raise ValueError(f"models: {twice[0]!r} is there twice; give each its own name")
        for route in self.routes:
            if lost := [name for name in route.models if name not in names]:
                raise ValueError(f"routes.{route.name} names {lost[0]!r}, which is no model")
        if unknown := [name for name in self.requests.auto if name not in names]:
            raise ValueError(f"requests.auto names {unknown[0]!r}, which is none of the models")
        if self.access.keys == "none" and self.server.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                f'access.keys is "none" and server.host is {self.server.host!r}: anybody there '
                'could spend; set access.keys to "required", or listen on 127.0.0.1'
            )
        if self.ledger.ttl_s <= self.requests.timeout_s:
            raise ValueError(
                f"ledger.ttl_s is {self.ledger.ttl_s:g}: it must be above requests.timeout_s "
                f"({self.requests.timeout_s:g}), or live calls are charged as if dead"
            )
        return self


def built_in() -> Config:
    """A gateway for one's own machine with the built-in models, free of charge."""
    models = tuple(
        ModelAt(
            name=name,
            usd_per_mtok_in=0.0,
            usd_per_mtok_out=0.0,
            context_tokens=512,
            max_output_tokens=256,
            default_output_tokens=128,
            upstreams=(UpstreamAt(kind="local", name="built-in"),),
        )
        for name in ("tiny-1m", "tiny-0.3m")
    )
    return Config(models=models)


def read_config(path: Path) -> Config:
    """The configuration in a TOML file. Raises `BadInput`: which setting, what rule, a remedy."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"config {path}: {error.strerror}; name a file that can be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"config {path}: is no TOML ({error})") from None
    config = _checked(document, f"config {path}: ")
    if not config.models:
        raise BadInput(
            f"config {path}: names no model; add a [[models]] section with [[models.upstreams]]"
        )
    return config


def with_server(config: Config, settings: Mapping[str, object]) -> Config:
    """`config` with other settings of its server. Raises `BadInput`, as a file would."""
    if not settings:
        return config
    document = config.model_dump()
    return _checked({**document, "server": {**document["server"], **settings}}, "")


def _checked(document: Mapping[str, Any], where: str) -> Config:
    try:
        return Config.model_validate(document)
    except ValidationError as invalid:
        raise BadInput(f"{where}{_said(invalid)}") from None


def _said(invalid: ValidationError) -> str:
    """What is wrong, each in a clause of its own; never a value that might be a secret."""
    found = []
    for error in invalid.errors(include_url=False, include_input=False)[:5]:
        where = ".".join(str(part) for part in error["loc"])
        what = error["msg"].removeprefix("Value error, ")
        found.append(f"{where}: {what}" if where else what)
    return "; ".join(found)
