"""What an upstream is: it takes a call in OpenAI's shape and answers in OpenAI's shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bursar.errors import BackendError

Path = Literal["chat/completions", "completions", "embeddings"]


@dataclass(frozen=True, slots=True)
class Who:
    """For whom a call is, where calls take turns.

    `cost` is the most tokens it can take, `worth` what a token is worth to who asks, relative to
    others. `waited` is told the seconds that it waited for its turn.
    """

    tenant: str = ""
    weight: float = 1.0
    priority: int = 0
    cost: int = 1
    worth: float = 1.0
    waited: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `body` is OpenAI's, with bounded output; the upstream puts its own model's name in.

    `deadline` is on the event loop's clock (`loop.time()`); after it nobody waits any more.
    `attempts` is how many of them, billed at the bound of one, the caller's hold covers: with 1,
    what may have been billed is not tried again, and two upstreams are never asked at a time.
    """

    path: Path
    body: dict[str, Any]
    deadline: float
    request_id: str = ""
    attempts: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    """To be sent along: those of a trace."""
    who: Who = Who()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an upstream reports to have used.

    Of `tokens_in`, which are all, `cached` came out of its cache and `cache_written` went into it.
    """

    tokens_in: int
    tokens_out: int
    cached: int = 0
    cache_written: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that did not give the answer and may be billed all the same.

    `tokens` None: nobody reported them, charge the bound of one attempt.
    """

    upstream: str
    tokens: Tokens | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. `tokens` is None where the upstream reported no believable usage.

    `others` are the attempts beside it that may be billed: fewer than `Call.attempts`.
    """

    document: dict[str, Any]
    tokens: Tokens | None
    upstream: str
    others: tuple[Attempt, ...] = ()


class UpstreamFailed(BackendError):
    """An upstream did not answer a call.

    `status` is the HTTP status it gave, 0 when none came. `may_be_billed`: it may have generated,
    so that the call is charged at its bound. `repeatable`: another upstream, or the same later, may
    do better. `retry_after_s` is what it asked for. `document` is its own error, where it gave one.
    `upstream` is which one it was, where there are several; `others` are attempts before this one
    that may be billed too.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        may_be_billed: bool,
        repeatable: bool,
        retry_after_s: float | None = None,
        document: dict[str, Any] | None = None,
        upstream: str = "",
        others: tuple[Attempt, ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.may_be_billed, self.repeatable = status, may_be_billed, repeatable
        self.retry_after_s, self.document = retry_after_s, document
        self.upstream, self.others = upstream, others


class Chunks(Protocol):
    """A stream that has begun: OpenAI's chunk objects, in order.

    `tokens` is what the upstream reports for the whole answer (for most in the last chunk, which
    has no choices); None until then, so that a cut answer has none. `others` are the attempts
    beside it that may be billed, also when it is cut: iterating then raises `UpstreamFailed`.
    """

    @property
    def upstream(self) -> str: ...

    @property
    def tokens(self) -> Tokens | None: ...

    @property
    def others(self) -> tuple[Attempt, ...]: ...

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]: ...


class Upstream(Protocol):
    """One server, or one model in this process, that can serve one model. Many calls at a time."""

    @property
    def name(self) -> str: ...

    @property
    def most_billed(self) -> int:
        """Attempts of one call that it could have billed; `Call.attempts` says how many it may.

        1, but for several upstreams behind this protocol, which may ask a second one.
        """
        ...

    async def complete(self, call: Call) -> Reply:
        """The whole answer. Raises `UpstreamFailed`; when cancelled, stops the upstream."""
        ...

    def stream(self, call: Call) -> AbstractAsyncContextManager[Chunks]:
        """The answer as it is made; entering waits for its begin and raises `UpstreamFailed`.

        The usage is always asked of the upstream, whatever the client asked for. Leaving before the
        end stops the upstream.
        """
        ...

    async def probe(self) -> None:
        """Ask whether it is there, for nothing. Raises `UpstreamFailed` when it is not."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
