"""Logs: one JSON object a line, without prompts, answers or keys, written by a thread."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

import orjson

from bursar.errors import BadInput
from bursar.gateway.record import Record
from bursar.gateway.seen.beat import Beat
from bursar.units import RESOURCES

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_SECRETS = re.compile(
    r"""(?ix)
    (?P<kept> \b bearer\s+ | \b basic\s+ | :// [^\s/:@]* : (?= [^\s/@]* @ )
      | \b (?:api[-_]?key|authorization|password|passwd|secret|token) ["']? \s*[:=]\s* ["']? )
      [^\s"'@,;}]+
    | \b (?:sk|pk|rk|ak|xox[abprs]|gh[opsur]|glpat|hf|gsk|AIza|AKIA|ASIA) [-_]? [A-Z0-9_-]{12,}
    | \b eyJ [\w-]+ \. [\w-]+ (?: \. [\w-]+)?
    | \b (?= [\w+-]* [0-9]) (?= [\w+-]* [a-z]) [\w+-]{40,} =* \b
    """
)
HIDDEN = "[hidden]"


def redacted(text: str) -> str:
    """`text` without anything that looks like a key, a password or a token."""
    return _SECRETS.sub(lambda match: (match["kept"] or "") + HIDDEN, text)


class Logs:
    """An `OnRecord` that writes a line for each request, and for each `event`.

    At most `most` lines wait; while the stream does not take them further ones are dropped, and
    their number is told later.
    """

    def __init__(
        self,
        level: str = "info",
        stream: BinaryIO | None = None,
        *,
        every_s: float = 0.2,
        most: int = 50_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if level not in LEVELS:
            raise BadInput(f"there is no log level {level!r}: one of {', '.join(LEVELS)}")
        self._least, self._clock, self._most = LEVELS[level], clock, most
        self._stream = stream or sys.stdout.buffer
        self._waiting: deque[Record | dict[str, Any]] = deque()
        self._dropped = 0
        self._beat = Beat("bursar-logs", every_s, self.flush)

    def __call__(self, record: Record) -> None:
        if LEVELS["error" if record.status >= 500 else "info"] >= self._least:
            self._put(record)

    def event(self, event: str, level: str = "info", **fields: Any) -> None:
        """Something that happened to the gateway: "start", "reload", "upstream_down"."""
        if LEVELS[level] >= self._least:
            self._put({"at": self._clock(), "level": level, "event": event, **fields})

    def handler(self) -> logging.Handler:
        """For `logging`: what libraries and our own modules say comes out as lines too."""
        return _Handler(self)

    def flush(self) -> None:
        """Write what waits."""
        lines = []
        for _ in range(len(self._waiting)):
            line = self._waiting.popleft()
            lines.append(_of_record(line) if isinstance(line, Record) else _line(line))
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            told = {"at": self._clock(), "level": "error", "event": "log_lines_dropped"}
            lines.append(_line({**told, "lines": dropped}))
        if lines:
            self._stream.write(b"".join(lines))
            self._stream.flush()

    def close(self) -> None:
        """Write what waits, and no more."""
        self._beat.close()

    def _put(self, line: Record | dict[str, Any]) -> None:
        if len(self._waiting) >= self._most:
            self._dropped += 1
        else:
            self._waiting.append(line)


class _Handler(logging.Handler):
    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        level = next((n for n, at in reversed(LEVELS.items()) if record.levelno >= at), "debug")
        said = record.getMessage()
        if record.exc_info and (error := record.exc_info[1]):
            said += f"; {type(error).__name__}: {error}"
        extra = {k: v for k, v in record.__dict__.items() if k not in _OF_EVERY_RECORD}
        more = {"extra": extra} if extra else {}
        self._logs.event("log", level, logger=record.name, message=said, **more)


_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def _of_record(record: Record) -> bytes:
    line: dict[str, Any] = {
        "at": _written(record.began_at + record.seconds),
        "level": "error" if record.status >= 500 else "info",
        "event": "request",
        "request_id": _whole(record.request_id),
        "account": _shown(record.account),
        "key_id": record.key_id,
        "endpoint": record.endpoint,
        "model": _shown(record.model),
        "served_by": record.served_by,
        "strategy": record.strategy,
        "status": record.status,
        "seconds": round(record.seconds, 6),
        "queued_s": round(record.queued_s, 6),
        "calls": record.calls,
        "spent": {n: v for n in RESOURCES if (v := record.spent.get(n)) is not None},
        "hold": record.hold,
    }
    if record.error:
        line["error"] = _shown(record.error)
    if record.first_token_s is not None:
        line["first_token_s"] = round(record.first_token_s, 6)
    if record.saved_usd is not None:
        line["saved_usd"] = record.saved_usd
    if record.estimated:
        line["estimated"] = True
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _line(fields: dict[str, Any]) -> bytes:
    shown = {k: v if k in ("at", "level", "event") else _shown(v) for k, v in fields.items()}
    shown["at"] = _written(fields["at"])
    return orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE)


def _written(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(_whole(value))
    if isinstance(value, dict):
        return {str(k): _shown(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(v) for v in value]
    return value if isinstance(value, int | float | bool) or value is None else _shown(str(value))


def _whole(text: str) -> str:
    """Text that JSON can hold, not too long."""
    return text[:2000].encode("utf-8", "replace").decode()
