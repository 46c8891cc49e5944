"""Logs: a line for each request, no keys, and nothing that blocks."""

from __future__ import annotations

import io
import logging
import secrets
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seen_records import NOON, record

from bursar.errors import BadInput
from bursar.gateway.seen.logs import HIDDEN, Logs, redacted
from bursar.usage import Usage

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
BODY = st.text(LETTERS, min_size=24, max_size=60)


def written(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line() -> None:
    stream = io.BytesIO()
    logs = Logs(stream=stream, every_s=600)
    logs(record(spent=Usage(tokens_in=3, usd=0.5)))
    logs.close()
    (line,) = written(stream)
    assert line["at"] == "2025-10-09T12:00:00.250+00:00"
    assert (line["event"], line["level"], line["status"]) == ("request", "info", 200)
    assert line["spent"] == {"tokens_in": 3.0, "usd": 0.5}
    assert line["account"] == "acme/blue/ann"


def test_the_level_is_kept() -> None:
    stream = io.BytesIO()
    logs = Logs("warning", stream, every_s=600)
    logs(record())
    logs(record(status=502, error="upstream_failed"))
    logs.event("reload")
    logs.event("upstream_down", "warning", upstream="far")
    logs.close()
    assert [line["event"] for line in written(stream)] == ["request", "upstream_down"]
    with pytest.raises(BadInput, match="loud"):
        Logs("loud")


@given(
    st.sampled_from(
        [
            "sk-{}",
            "sk-bursar-{}",
            "sk-ant-api03-{}",
            "sk-proj-{}",
            "ghp_{}",
            "hf_{}",
            "Bearer {}",
            "authorization: {}",
            'api_key="{}"',
            "postgresql://user:{}@host/db",
            "eyJhbGciOi.{}.{}",
        ]
    ),
    BODY,
    st.text(max_size=20),
)
def test_no_key_is_written_wherever_it_stands(shape: str, body: str, around: str) -> None:
    stream = io.BytesIO()
    logs = Logs(stream=stream, every_s=600)
    key = shape.format(body, body)
    logs(record(model=f"{key} {around}", error=key, account=f"acme/blue/ann/{key}"))
    logs.event("reload", text=f"{around} {key}", nested={"a": [key]}, why=BadInput(key))
    logs.close()
    assert body.encode() not in stream.getvalue()
    assert len(written(stream)) == 2


@given(BODY)
def test_a_bare_key_is_hidden(body: str) -> None:
    assert redacted("sk-" + body) == HIDDEN


@pytest.mark.parametrize(
    "text",
    [
        "claude-sonnet-4-5-20250929",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "best_of_n:small",
        "acme/blue/ann",
        "the ledger ledger.sqlite can't be used: database is locked",
        "http://127.0.0.1:8000/v1",
    ],
)
def test_names_are_not_hidden(text: str) -> None:
    assert redacted(text) == text


def test_what_libraries_log_comes_out_redacted() -> None:
    stream = io.BytesIO()
    logs = Logs(stream=stream, every_s=600)
    logger = logging.getLogger("bursar.test_seen_logs")
    logger.addHandler(handler := logs.handler())
    key = "sk-" + secrets.token_urlsafe(30).replace("_", "a")
    logger.error("could not use %s", key, extra={"at": key, "number": 3})
    logger.removeHandler(handler)
    logs.close()
    (line,) = written(stream)
    assert line["message"] == f"could not use {HIDDEN}"
    assert line["extra"] == {"at": HIDDEN, "number": 3}
    assert line["level"] == "error"


def test_a_stuck_stream_costs_lines_not_memory() -> None:
    stream = io.BytesIO()
    logs = Logs(stream=stream, every_s=600, most=5, clock=lambda: NOON)
    for _ in range(9):
        logs(record())
    logs.close()
    lines = written(stream)
    assert len(lines) == 6
    assert lines[-1]["lines"] == 4
