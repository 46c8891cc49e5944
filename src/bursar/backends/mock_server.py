"""A mock OpenAI-compatible server on loopback that counts every token, and fails on demand.

It ships so that tests and examples need no network and no key. One token is one UTF-8 byte, and a
chat template adds `TEMPLATE_TOKENS`; `MockServer.spent` is what a provider would bill.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self

from bursar.backends.draws import whole_number
from bursar.usage import Usage

TEMPLATE_TOKENS = 8

Kind = Literal[
    "ok",
    "429", "401", "503", "500",  # refused: nothing generated, nothing billed
    "500 after",  # an error, after generating: billed
    "hang",  # generates and never answers
    "cut",  # generates, then closes in the middle of the reply
    "garbage",  # generates, then answers what is no JSON
    "no usage", "lies",  # answers without usage; answers with (and bills) a made-up usage
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request. `usage` (tokens in, out) is what a "lies" bills."""

    kind: Kind = "ok"
    delay_s: float = 0.0
    retry_after: str | None = None
    usage: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the server saw it, and what it generated for it."""

    body: dict[str, Any]
    authorization: str | None
    fault: Fault
    tokens_in: int = 0
    tokens_out: int = 0


def default_reply(prompt: str, seed: int) -> str:
    """A number after 0 to 9 words, fixed by the prompt and the seed."""
    draw = whole_number(prompt, seed)
    return "so " * (draw % 10) + str(draw % 97)


class MockServer:
    """Serves between `with` and its end. `fault(n)` decides on request number n, from 0."""

    def __init__(
        self,
        *,
        fault: Callable[[int], Fault] = lambda n: Fault(),
        reply: Callable[[str, int], str] = default_reply,
    ) -> None:
        self._fault, self._reply = fault, reply
        self._lock = threading.Lock()
        self._arrived = 0
        self.closing = threading.Event()
        self.seen: list[Seen] = []
        """One entry per request, at the latest when it is answered; read it when none is open."""

    def __enter__(self) -> Self:
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.mock = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.hang_up()
        self._http.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def spent(self) -> Usage:
        """All that was generated, delivered or not."""
        with self._lock:
            return Usage(
                tokens_in=sum(s.tokens_in for s in self.seen),
                tokens_out=sum(s.tokens_out for s in self.seen),
            )

    def serve(self, path: str, body: dict[str, Any], authorization: str | None) -> "_Plan":
        """Generates and counts, before a byte is sent."""
        with self._lock:
            fault = self._fault(self._arrived)
            self._arrived += 1
        plan = self._plan(path, body, fault)
        billed = fault.usage if fault.kind == "lies" else (plan.tokens_in, plan.tokens_out)
        with self._lock:
            self.seen.append(Seen(body, authorization, fault, *billed))
        return plan

    def _plan(self, path: str, body: dict[str, Any], fault: Fault) -> "_Plan":
        if fault.kind in ("429", "401", "503", "500"):
            said = {"error": {"message": f"mock {fault.kind}"}}
            return _Plan(fault, int(fault.kind), said)
        chat = path.endswith("/chat/completions")
        prompt = "".join(m["content"] for m in body["messages"]) if chat else body["prompt"]
        limit = body.get("max_tokens", body.get("max_completion_tokens"))
        if not isinstance(limit, int):
            return _Plan(fault, 400, {"error": {"message": "mock: max_tokens is missing"}})
        full = self._reply(prompt, body.get("seed", 0))
        for stop in body.get("stop", ()):
            full = full.split(stop)[0]
        data = full.encode()[:limit]
        tokens_in = len(prompt.encode()) + (TEMPLATE_TOKENS if chat else 1)
        # the end of text is a token too, when there is room for it
        tokens_out = min(len(full.encode()) + 1, limit)
        text = data.decode("utf-8", "ignore")
        finish = "length" if tokens_out == limit and len(full.encode()) >= limit else "stop"
        document: dict[str, Any] = {
            "id": f"mock-{whole_number(prompt, body.get('seed', 0))}",
            "object": "chat.completion" if chat else "text_completion",
            "model": body["model"],
            "choices": [_choice(text, finish, chat=chat, logprobs=bool(body.get("logprobs")))],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        }
        if fault.kind == "no usage":
            del document["usage"]
        if fault.kind == "lies":
            document["usage"] = dict(
                zip(("prompt_tokens", "completion_tokens"), fault.usage, strict=True)
            )
        return _Plan(fault, 200, document, tokens_in, tokens_out)


@dataclass(frozen=True, slots=True)
class _Plan:
    fault: Fault
    status: int
    document: dict[str, Any]
    tokens_in: int = 0
    tokens_out: int = 0


def _choice(text: str, finish: str, *, chat: bool, logprobs: bool) -> dict[str, Any]:
    count = len(text.encode())
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
    if chat:
        choice["message"] = {"role": "assistant", "content": text}
        if logprobs:
            choice["logprobs"] = {"content": [{"token": "?", "logprob": -0.5}] * count}
    else:
        choice["text"] = text
        if logprobs:
            choice["logprobs"] = {"token_logprobs": [-0.5] * count}
    return choice


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for every request, so that none is left uncounted
    request_queue_size = 256
    mock: MockServer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends the connections that a client keeps alive, whose threads wait for more."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30.0
    wbufsize = 1 << 16  # head and body in one packet: two would wait on an acknowledgment
    server: _Http

    def do_POST(self) -> None:
        mock = self.server.mock
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        plan = mock.serve(self.path, body, self.headers.get("authorization"))
        kind = plan.fault.kind
        mock.closing.wait(plan.fault.delay_s)
        if kind == "hang":
            mock.closing.wait()
            self.close_connection = True
            return
        payload = json.dumps(plan.document).encode()
        status = 500 if kind == "500 after" else plan.status
        if kind == "garbage":
            payload = b"<html>a proxy's idea of an answer</html>"
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        if plan.fault.retry_after is not None:
            self.send_header("retry-after", plan.fault.retry_after)
        self.end_headers()
        self.wfile.write(payload[: len(payload) // 2] if kind == "cut" else payload)
        self.close_connection = self.close_connection or kind == "cut" or mock.closing.is_set()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
