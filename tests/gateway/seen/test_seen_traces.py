"""Traces: the tree of spans, the names of the GenAI conventions, nothing that was said."""

from __future__ import annotations

import sys
import time
from subprocess import run

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from seen_records import record

from bursar.errors import BadInput
from bursar.gateway.seen.traces import UNTRACED, traces
from bursar.gateway.upstream.base import Tokens, UpstreamFailed

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENDPOINT", "TRACES_ENDPOINT"):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP_{name}", raising=False)


def spans() -> tuple[dict[str, ReadableSpan], dict[str, str]]:
    exporter = InMemorySpanExporter()
    tracing = traces(exporter=exporter)
    trace = tracing.begin({"traceparent": PARENT}, "chat/completions")
    with trace.step("hold"):
        pass
    with trace.call("chat/completions", "small", "local", "http://10.0.0.1:8000/v1") as call:
        sent = dict(call.headers)
        call.answered("small-0125", Tokens(7, 9, 2), 0.25)
    with (
        pytest.raises(UpstreamFailed),
        trace.call("chat/completions", "large", "far", "https://far.example/v1"),
    ):
        raise UpstreamFailed("the PROMPT", status=503, may_be_billed=False, repeatable=True)
    with trace.step("settle"):
        pass
    trace.end(record())
    tracing.close()
    return {span.name: span for span in exporter.get_finished_spans()}, sent


def test_the_spans_of_a_request() -> None:
    found, sent = spans()
    names = {"POST /v1/chat/completions", "hold", "settle", "chat small", "chat large"}
    assert set(found) == names
    root = found["POST /v1/chat/completions"]
    assert root.kind is SpanKind.SERVER
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT.split("-")[2]
    for name in names - {root.name}:
        parent = found[name].parent
        assert parent is not None
        assert parent.span_id == root.context.span_id
    small = found["chat small"]
    assert small.kind is SpanKind.CLIENT
    assert dict(small.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "local",
        "gen_ai.request.model": "small",
        "gen_ai.response.model": "small-0125",
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "server.address": "10.0.0.1",
        "server.port": 8000,
    }
    assert sent["traceparent"] == f"00-{PARENT.split('-')[1]}-{small.context.span_id:016x}-01"
    large = dict(found["chat large"].attributes or {})
    assert large["error.type"] == "503"
    assert large["server.port"] == 443
    attributes = dict(root.attributes or {})
    assert attributes["gen_ai.usage.output_tokens"] == 50
    assert attributes["bursar.team"] == "acme/blue"


def test_nothing_that_was_said_is_in_a_span() -> None:
    found, _ = spans()
    assert not any("PROMPT" in span.to_json() for span in found.values())


def test_off_unless_asked_for() -> None:
    assert traces() is UNTRACED
    with pytest.raises(BadInput, match="ftp"):
        traces("ftp://host")
    code = (
        "import sys; from bursar.gateway.seen.traces import traces; t = traces().begin({}, 'x')\n"
        "with t.step('hold'), t.call('x', 'm', 'u', '') as call: call.answered('m', None, None)\n"
        "print(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout in (
        "False\n"
    )


def test_off_costs_nothing_to_speak_of() -> None:
    began = time.perf_counter()
    for _ in range(10_000):
        trace = UNTRACED.begin({}, "chat/completions")
        with trace.step("hold"):
            pass
        with trace.call("chat/completions", "m", "u", "") as call:
            assert not call.headers
        trace.end(record)  # type: ignore[arg-type]
    assert time.perf_counter() - began < 0.5  # 50 us a request would be far too slow already
