"""Sends JSON to an HTTP server: paced, patient, and always able to say whether it may cost money.

What became of a request, and whether the server may bill it:

| what came back                                  | may be billed | tried again here |
|-------------------------------------------------|---------------|------------------|
| 200                                             | yes           | no               |
| no connection; 408, 425, 429, 500, 503, 529     | no            | yes              |
| any other 4xx; a redirect                       | no            | no               |
| 502, 504 and other 5xx: a proxy lost the answer | yes           | no               |
| sent, then a timeout or a cut reply             | yes           | no               |
| sent, then cancelled                            | yes           | no               |

An API that answers with an error of its own has not billed the call: so it is with the hosted ones.
`bills_errors` is for a server of which that is not true; then a 500 counts as a lost answer.
Only what costs nothing is tried again here; whoever wants to repeat the rest reserves anew.
"""

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx

from bursar.backends.openai_wire import read_error
from bursar.backends.pacing import Clock, RateLimit, Sleep, full_jitter, retry_after
from bursar.backends.secret import Secret
from bursar.errors import BadInput

FREE_AND_PASSING = frozenset({408, 425, 429, 500, 503, 529})
"""Statuses of an API that has not billed the call and may soon answer it."""
REMEDIES = {
    400: "the server does not accept this request",
    401: "set the API key (OPENAI_API_KEY, or a key file)",
    403: "the key may not use this model; use another key or model",
    404: "check the model's name and that the base URL ends where the API begins, often /v1",
    429: "lower the concurrency or set a rate limit, and try later",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to try. Seconds; waits have full jitter."""

    tries: int = 6
    connect_s: float = 10.0
    try_s: float = 300.0
    total_s: float = 600.0
    backoff_s: float = 0.5
    backoff_cap_s: float = 30.0


@dataclass(slots=True)
class Posted:
    """One request: what came back, and what is known of it should it be cut off now."""

    begun: float
    content: bytes | None = None
    """The body of a reply with status 200; None when there is none."""
    why: str = ""
    """Why there is none."""
    may_be_billed: bool = False
    seconds: float = 0.0

    async def trace(self, event: str, info: object) -> None:
        """Called by the transport: once headers leave, the server may be generating."""
        if event.endswith("send_request_headers.started"):
            self.may_be_billed = True


class Sender:
    """Posts to one server with one key; `concurrency` requests at a time. Close it."""

    def __init__(
        self,
        base_url: str,
        *,
        key: Secret | None,
        concurrency: int,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        patience: Patience,
        bills_errors: bool,
        transport: httpx.AsyncBaseTransport | None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        rng: Random | None = None,
    ) -> None:
        if concurrency < 1 or patience.tries < 1:
            raise BadInput(
                f"concurrency {concurrency} and tries {patience.tries} must both be 1 or more"
            )
        self.base_url, self.patience = checked_url(base_url), patience
        self._key, self._clock, self._sleep = key, clock, sleep
        self._rng = rng or Random()
        self._passing = FREE_AND_PASSING - ({500} if bills_errors else set())
        self._slots = asyncio.Semaphore(concurrency)
        self._rates = [
            (RateLimit(limit, clock=clock, sleep=sleep), by_token)
            for limit, by_token in ((requests_per_minute, False), (tokens_per_minute, True))
            if limit is not None
        ]
        self._traced = transport is None
        self._client = httpx.AsyncClient(
            base_url=self.base_url,
            headers={"Authorization": f"Bearer {key.reveal()}"} if key else {},
            # a whole try is timed below; here only its connecting
            timeout=httpx.Timeout(None, connect=patience.connect_s),
            # less than the usual 5 s of servers: a call on a connection that closes is lost
            limits=httpx.Limits(max_connections=concurrency, keepalive_expiry=3.0),
            transport=transport,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    def check(self, tokens: float) -> None:
        """Raises `BadInput` when the rate limits never let a request of `tokens` through."""
        for rate, by_token in self._rates:
            rate.check(tokens if by_token else 1.0)

    async def post(self, path: str, body: dict[str, Any], tokens: float) -> Posted:
        """Returns whatever happens, cancellation too, so that no spend goes unsaid.

        Run it as a task of its own and cancel that. `tokens` is what the rate limits count.
        """
        posted = Posted(self._clock())
        try:
            async with self._slots:
                await self._pace(tokens)
                posted.begun = self._clock()
                async with asyncio.timeout(self.patience.total_s):
                    await self._tries(posted, path, body, tokens)
        except TimeoutError:
            posted.why = f"no answer within {self.patience.total_s:g} s in all"
        except asyncio.CancelledError:
            posted.why = "cancelled"
        posted.seconds = self._clock() - posted.begun
        if self._key:
            posted.why = self._key.redact(posted.why)
        return posted

    async def _tries(self, posted: Posted, path: str, body: dict[str, Any], tokens: float) -> None:
        for attempt in range(self.patience.tries):
            if attempt:
                await self._pace(tokens)
            asked_s = await self._try(posted, path, body)
            if asked_s is None:
                return
            wait = full_jitter(
                attempt,
                base_s=self.patience.backoff_s,
                cap_s=self.patience.backoff_cap_s,
                rng=self._rng,
            )
            wait = max(wait, asked_s)
            if self._clock() - posted.begun + wait > self.patience.total_s:
                posted.why += f"; the next try would be {wait:.0f} s away, past the time limit"
                return
            if attempt + 1 < self.patience.tries:
                await self._sleep(wait)
        posted.why += f"; {self.patience.tries} tries"

    async def _try(self, posted: Posted, path: str, body: dict[str, Any]) -> float | None:
        """One try, told in `posted`. Returns the least wait before another; None for no other."""
        posted.may_be_billed = not self._traced
        try:
            async with asyncio.timeout(self.patience.try_s):
                response = await self._client.post(
                    path, json=body, extensions={"trace": posted.trace}
                )
        except TimeoutError:
            posted.why = f"no answer within {self.patience.try_s:g} s"
        except httpx.ConnectError as error:
            posted.may_be_billed = False
            posted.why = f"can't connect to {self.base_url} ({error}); is the server running?"
        except (httpx.HTTPError, httpx.StreamError) as error:
            posted.why = f"{type(error).__name__}: {error}"
        else:
            return self._answered(posted, response)
        return None if posted.may_be_billed else 0.0

    def _answered(self, posted: Posted, response: httpx.Response) -> float | None:
        status = response.status_code
        if status == 200:
            posted.may_be_billed, posted.content = True, response.content
            return None
        passing = status in self._passing
        posted.may_be_billed = status >= 500 and not passing
        remedy = REMEDIES.get(status, "try later" if status >= 500 else "check the base URL")
        posted.why = f"HTTP {status}: {read_error(response.content)}; {remedy}"
        return (retry_after(response.headers) or 0.0) if passing else None

    async def _pace(self, tokens: float) -> None:
        for rate, by_token in self._rates:
            await rate.take(tokens if by_token else 1.0)


def checked_url(text: str) -> str:
    """A base URL without its last slash. Raises `BadInput` for one that no server can have."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise BadInput(
            "base URL: can't be read; use for example http://localhost:8000/v1"
        ) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise BadInput("base URL: must begin with http:// or https:// and name a host")
    if url.userinfo or url.query:
        raise BadInput(
            f"base URL of {url.host}: must hold no key, user or query; put the key into the "
            "environment (OPENAI_API_KEY) or a key file"
        )
    return str(url).rstrip("/")
