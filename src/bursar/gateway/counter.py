"""The counter: what all endpoints share, and the record that each request leaves behind."""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass, field

from starlette.types import Scope

from bursar.gateway.ask import Ask
from bursar.gateway.bill import Bill
from bursar.gateway.config import Config
from bursar.gateway.desk import Desk
from bursar.gateway.errors import Failure
from bursar.gateway.idempotency import Answers
from bursar.gateway.principal import Directory, Principal
from bursar.gateway.record import OnRecord, Record
from bursar.gateway.seen.traces import UNTRACED, UNTRACED_REQUEST, Trace, Traces
from bursar.usage import Usage

LOG = logging.getLogger("bursar.gateway")
LEFT = 499
"""Status in records of a request whose client went away before the answer."""


@dataclass(slots=True)
class Counter:
    """Serves requests: who asks (`directory`), who answers (`desk`), who is told (`listeners`)."""

    config: Config
    desk: Desk
    directory: Directory
    answers: Answers
    traces: Traces = UNTRACED
    listeners: list[OnRecord] = field(default_factory=list)
    live: dict[str, Visit] = field(default_factory=dict)
    """Requests under way, by id."""

    def visit(self, endpoint: str, scope: Scope) -> Visit:
        """A request has come."""
        trace = UNTRACED_REQUEST
        if self.traces is not UNTRACED:
            headers = {str(k, "latin-1"): str(v, "latin-1") for k, v in scope["headers"]}
            trace = self.traces.begin(headers, endpoint)
        number = "req_" + secrets.token_hex(12)
        visit = Visit(self, endpoint, number, time.perf_counter(), time.time(), trace)
        self.live[visit.request_id] = visit
        return visit

    def log_bug(self, request_id: str, bug: Exception) -> None:
        """Where it happened, but not its message, which may quote a request."""
        trace, where = bug.__traceback__, ""
        while trace is not None:
            code = trace.tb_frame.f_code
            where, trace = f"{code.co_filename}:{trace.tb_lineno} {code.co_name}", trace.tb_next
        LOG.error("bug", extra={"request_id": request_id, "kind": type(bug).__name__, "at": where})


@dataclass(slots=True)
class Visit:
    """One request from its coming to its end."""

    counter: Counter
    endpoint: str
    request_id: str
    began: float
    began_at: float
    trace: Trace
    principal: Principal | None = None
    ask: Ask | None = None
    status: int = 200
    error: str = ""
    first_token_s: float | None = None

    def begun(self) -> None:
        """A stream has begun."""
        self.first_token_s = time.perf_counter() - self.began

    def failed(self, failure: Failure) -> None:
        """It was answered with an error."""
        self.status, self.error = failure.status, failure.code

    def left(self) -> None:
        """The client went away."""
        self.status, self.error = LEFT, "client_left"

    def end(self) -> None:
        """Tell whoever listens."""
        record = self.record()
        self.trace.end(record)
        for listener in self.counter.listeners:
            listener(record)
        self.counter.live.pop(self.request_id, None)

    def record(self) -> Record:
        """What is known by now."""
        ask, bill = self.ask, self.ask.bill if self.ask else None
        served = "" if bill is None or not bill.calls else _served(bill)
        return Record(
            request_id=self.request_id,
            began_at=self.began_at,
            account=ask.account if ask else self.principal.account if self.principal else "",
            key_id=self.principal.key_id if self.principal else "",
            endpoint=self.endpoint,
            model=ask.model if ask else "",
            served_by=served,
            strategy=bill.strategy if bill else "",
            status=self.status,
            error=self.error,
            seconds=time.perf_counter() - self.began,
            first_token_s=self.first_token_s,
            queued_s=ask.queued_s if ask else 0.0,
            calls=len(bill.calls) if bill else 0,
            spent=bill.spent if bill else Usage.zero(),
            allowed=bill.allowed if bill else Usage.zero(),
            saved_usd=bill.saved_usd if bill else None,
            estimated=bool(bill and bill.estimated),
            streamed=bool(ask and ask.streamed),
            hold=bill.hold if bill else 0,
        )


def _served(bill: Bill) -> str:
    call = bill.calls[-1]
    return f"{call.model}@{call.upstream}" if call.upstream else ""
