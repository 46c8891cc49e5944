"""OpenTelemetry traces: request -> hold, calls to upstreams, settle. Nothing of what was said.

Attributes follow the GenAI semantic conventions (open-telemetry/semantic-conventions-genai). Spans
are children by being told, not by the context of a task: a fan-out's calls run side by side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from bursar.errors import BadInput
from bursar.gateway.record import Record
from bursar.gateway.seen.sums import team_of
from bursar.gateway.upstream.base import Tokens
from bursar.version import __version__

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

OPERATIONS = {
    "chat/completions": "chat",
    "responses": "chat",
    "completions": "text_completion",
    "embeddings": "embeddings",
}
"""Our endpoints as `gen_ai.operation.name`."""


class CallTrace(Protocol):
    """One call to an upstream."""

    @property
    def headers(self) -> Mapping[str, str]:
        """To be sent along, so that the upstream's spans become children of this."""
        ...

    def answered(self, model: str, tokens: Tokens | None, first_chunk_s: float | None) -> None:
        """The model that answered, what it reports to have used, when its stream began."""
        ...


class Trace(Protocol):
    """One request. An exception that leaves a step, or a call, is noted on its span by type."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """A step of ours: "hold", "queue", "settle"."""
        ...

    def call(
        self, endpoint: str, model: str, upstream: str, url: str
    ) -> AbstractContextManager[CallTrace]:
        """A call to `model` at `upstream`; `url` is empty for a model in this process."""
        ...

    def end(self, record: Record) -> None:
        """The request has ended; once."""
        ...


class Traces(Protocol):
    """Begins traces."""

    def begin(self, headers: Mapping[str, str], endpoint: str) -> Trace:
        """A request with these headers (lower case), of which traceparent is gone on from."""
        ...

    def close(self) -> None:
        """Send what waits."""
        ...


class _Untraced:
    """Every part of a trace that nobody wants."""

    headers: Mapping[str, str] = {}
    _nothing: AbstractContextManager[Any] = nullcontext()

    def __init__(self) -> None:
        self._self = nullcontext(self)

    def begin(self, headers: Mapping[str, str], endpoint: str) -> Trace:
        return self

    def step(self, name: str) -> AbstractContextManager[None]:
        return self._nothing

    def call(
        self, endpoint: str, model: str, upstream: str, url: str
    ) -> AbstractContextManager[CallTrace]:
        return self._self

    def answered(self, model: str, tokens: Tokens | None, first_chunk_s: float | None) -> None: ...

    def end(self, record: Record) -> None: ...

    def close(self) -> None: ...


UNTRACED: Traces = _Untraced()
UNTRACED_REQUEST: Trace = UNTRACED.begin({}, "")


def traces(endpoint: str = "", *, exporter: SpanExporter | None = None) -> Traces:
    """Traces sent to `endpoint` (OTLP over HTTP), or to what the OTEL_ variables name; else none.

    The rest of OpenTelemetry's own variables (service name, sampler, headers) hold as usual. Make
    it in the worker, after any fork. Raises `BadInput` when `endpoint` is no http address.
    """
    named = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    )
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not (endpoint or named or exporter):
        return UNTRACED
    if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
        raise BadInput(f"traces can't be sent to {endpoint!r}: give http://host:4318")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    service = {"service.version": __version__}
    if "OTEL_SERVICE_NAME" not in os.environ:
        service["service.name"] = "bursar"
    provider = TracerProvider(resource=Resource.create(service))
    if exporter is None:
        address = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
        exporter = OTLPSpanExporter(endpoint=address)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return _OpenTelemetry(provider)


class _OpenTelemetry:
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("bursar", __version__)

    def begin(self, headers: Mapping[str, str], endpoint: str) -> Trace:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        span = self._tracer.start_span(
            f"POST /v1/{endpoint}",
            TraceContextTextMapPropagator().extract(headers),
            SpanKind.SERVER,
            {"http.request.method": "POST", "http.route": f"/v1/{endpoint}"},
        )
        return _Request(self._tracer, span)

    def close(self) -> None:
        self._provider.shutdown()


class _Request:
    def __init__(self, tracer: Tracer, span: Span) -> None:
        from opentelemetry.trace import set_span_in_context

        self._tracer, self._span = tracer, span
        self._context: Context = set_span_in_context(span)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        span = self._tracer.start_span(name, self._context)
        with _ended(span):
            yield

    @contextmanager
    def call(self, endpoint: str, model: str, upstream: str, url: str) -> Iterator[CallTrace]:
        from opentelemetry.trace import SpanKind

        operation = OPERATIONS.get(endpoint, endpoint)
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": upstream,
            "gen_ai.request.model": model,
        }
        if url:
            address = urlsplit(url)
            attributes["server.address"] = address.hostname or ""
            attributes["server.port"] = address.port or (443 if address.scheme == "https" else 80)
        kind = SpanKind.CLIENT if url else SpanKind.INTERNAL
        span = self._tracer.start_span(f"{operation} {model}", self._context, kind, attributes)
        with _ended(span):
            yield _Call(span)

    def end(self, record: Record) -> None:
        from opentelemetry.trace import StatusCode

        seen: dict[str, Any] = {
            "http.response.status_code": record.status,
            "gen_ai.operation.name": OPERATIONS.get(record.endpoint, record.endpoint),
            "gen_ai.request.model": record.model,
            "gen_ai.response.model": record.served_by.rpartition("@")[0],
            "gen_ai.usage.input_tokens": _whole(record.spent.tokens_in),
            "gen_ai.usage.output_tokens": _whole(record.spent.tokens_out),
            "gen_ai.request.stream": record.streamed,
            "gen_ai.response.time_to_first_chunk": record.first_token_s,
            "error.type": record.error,
            "bursar.request_id": record.request_id,
            "bursar.team": team_of(record.account),
            "bursar.strategy": record.strategy,
            "bursar.calls": record.calls,
            "bursar.hold": record.hold,
            "bursar.spent.usd": record.spent.usd,
            "bursar.saved.usd": record.saved_usd,
            "bursar.estimated": record.estimated,
        }
        self._span.set_attributes({k: v for k, v in seen.items() if v is not None and v != ""})
        if record.status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _Call:
    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def headers(self) -> Mapping[str, str]:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._span))
        return carrier

    def answered(self, model: str, tokens: Tokens | None, first_chunk_s: float | None) -> None:
        self._span.set_attribute("gen_ai.response.model", model)
        if tokens is not None:
            self._span.set_attribute("gen_ai.usage.input_tokens", tokens.tokens_in)
            self._span.set_attribute("gen_ai.usage.output_tokens", tokens.tokens_out)
            self._span.set_attribute("gen_ai.usage.cache_read.input_tokens", tokens.cached)
        if first_chunk_s is not None:
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", first_chunk_s)


@contextmanager
def _ended(span: Span) -> Iterator[None]:
    """Ends `span`; of an exception only its type: its text may quote what was said."""
    from opentelemetry.trace import StatusCode

    try:
        yield
    except BaseException as error:
        status = getattr(error, "status", 0)
        span.set_attribute("error.type", str(status) if status else type(error).__qualname__)
        span.set_status(StatusCode.ERROR)
        raise
    finally:
        span.end()


def _whole(amount: float | None) -> int | None:
    return None if amount is None else int(amount)
