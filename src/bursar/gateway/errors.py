"""Errors as OpenAI's clients expect them: a status, `retry-after` where it helps, one object.

| what happened                          | status | code                    |
|----------------------------------------|--------|-------------------------|
| no key, a wrong or an expired one      | 401    | invalid_api_key         |
| a key that may not do this             | 403    | permission_denied       |
| a value that can't be used             | 400    | invalid_request         |
| no such model                          | 404    | model_not_found         |
| a limit for all time is reached        | 402    | budget_exceeded         |
| a limit of a period is reached         | 429    | budget_exceeded         |
| a limit that nothing bounds            | 400    | unbounded               |
| too long a body, a client too slow     | 413, 408 | request_too_large, request_timeout |
| too many requests wait                 | 429    | overloaded              |
| an idempotency key that is in use      | 409    | idempotency_key_in_use  |
| one that came with another request     | 422    | idempotency_key_reused  |
| the upstream refused the request       | its own | its own                |
| the upstream failed, or was too slow   | 502, 504 | upstream_failed       |
| the ledger can't be written            | 503    | ledger_unavailable      |
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from bursar.errors import BackendError, BadInput, BudgetExceeded, BursarError, Infeasible, Unbounded
from bursar.gateway.principal import Denied
from bursar.gateway.upstream.base import UpstreamFailed

_WAIT_S = 60.0
"""Clients retry by themselves; above this wait they are told not to."""


class Refused(BursarError):
    """A request that is not served, for a reason of the gateway's own."""

    def __init__(
        self, message: str, *, status: int, code: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s


@dataclass(frozen=True, slots=True)
class Failure:
    """What a client is told."""

    status: int
    code: str
    kind: str
    message: str
    retry_after_s: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    billed: bool = False
    """Whether it may have been billed: clients that repeat it by themselves would pay again."""

    @property
    def document(self) -> dict[str, Any]:
        """The body, in OpenAI's shape; `bursar` has numbers for programs."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        return {"error": error | ({"bursar": self.details} if self.details else {})}

    @property
    def headers(self) -> dict[str, str]:
        wait_s = self.retry_after_s
        late = wait_s is not None and wait_s > _WAIT_S
        never = self.billed or (wait_s is None and self.status in (402, 409))
        shown = {} if wait_s is None else {"retry-after": str(max(1, math.ceil(wait_s)))}
        return shown | ({"x-should-retry": "false"} if late or never else {})


def failure_of(error: BaseException) -> Failure:
    """What to tell a client of `error`. Bugs are told as such, without their insides."""
    match error:
        case Denied():
            code = "invalid_api_key" if error.status == 401 else "permission_denied"
            kind = "authentication_error" if error.status == 401 else "permission_error"
            return Failure(error.status, code, kind, str(error))
        case Refused():
            kind = "rate_limit_error" if error.status == 429 else "invalid_request_error"
            return Failure(error.status, error.code, kind, str(error), error.retry_after_s)
        case BudgetExceeded():
            return _exceeded(error)
        case Unbounded():
            return Failure(400, "unbounded", "invalid_request_error", str(error))
        case Infeasible():
            return Failure(402, "budget_exceeded", "insufficient_quota", str(error))
        case UpstreamFailed():
            return _upstream(error)
        case BackendError():
            return Failure(502, "upstream_failed", "api_error", str(error))
        case BadInput() if error.__cause__ is not None:  # the ledger's storage gave way
            return Failure(503, "ledger_unavailable", "api_error", str(error), 5.0)
        case BadInput():
            return Failure(400, "invalid_request", "invalid_request_error", str(error))
        case _:
            return Failure(500, "internal_error", "api_error", "the gateway failed; see its log")


def _exceeded(error: BudgetExceeded) -> Failure:
    resets_at: float | None = getattr(error, "resets_at", None)
    details = {
        "scope": error.scope,
        "resource": error.resource,
        "limit": error.limit,
        "committed": error.committed,
        "asked": error.asked,
        "window": getattr(error, "window", None),
        "resets_at": resets_at,
    }
    if resets_at is None:
        return Failure(402, "budget_exceeded", "insufficient_quota", str(error), details=details)
    wait = max(0.0, resets_at - time.time())
    return Failure(429, "budget_exceeded", "insufficient_quota", str(error), wait, details)


def _upstream(error: UpstreamFailed) -> Failure:
    said = (error.document or {}).get("error")
    own = said if isinstance(said, dict) else {}
    if error.status in (400, 404, 409, 413, 415, 422):  # what was asked is at fault, not we
        code = own.get("code") if isinstance(own.get("code"), str) else "invalid_request"
        return Failure(error.status, str(code), "invalid_request_error", str(error))
    if error.status == 429:
        return Failure(
            429, "upstream_rate_limited", "rate_limit_error", str(error), error.retry_after_s or 1.0
        )
    status = 504 if error.status == 504 or "no answer within" in str(error) else 502
    return Failure(
        status,
        "upstream_failed",
        "api_error",
        str(error),
        error.retry_after_s,
        billed=error.may_be_billed,
    )
