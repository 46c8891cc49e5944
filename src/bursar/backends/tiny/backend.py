"""`TinyBackend`: the built-in model behind the backend protocol. No torch, no network.

Calls that are waiting on the same event loop are merged into one engine run. In a run, a prompt +
prefix that several requests share is run once. Each of them pays its tokens, as hosted APIs bill
them, so that a price does not depend on a request's company; what sharing saves shows in FLOPs
and bytes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from bursar.backends.base import Completion, Request
from bursar.backends.tiny.dial import effort_words
from bursar.backends.tiny.engine import Engine, Generation
from bursar.backends.tiny.model import Llama
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.backends.token_price import TokenPrice
from bursar.errors import BackendError, BadInput
from bursar.usage import Usage

WEIGHTS = Path(__file__).parent / "weights"
DIALS = WEIGHTS / "dials"


def tiny_sizes() -> list[str]:
    """Names of the built-in models, smallest file first."""
    files = sorted(WEIGHTS.glob("*/model.safetensors"), key=lambda file: file.stat().st_size)
    return [file.parent.name for file in files]


def tiny_dials() -> list[str]:
    """Names of the built-in models with an effort dial; they answer chains only."""
    return sorted(file.parent.name for file in DIALS.glob("*/model.safetensors"))


def open_tiny(size: str = "tiny-1m", **options: Any) -> TinyBackend:
    """The built-in model named `size`, `options` to its constructor. Raises `BadInput` with the
    names there are.
    """
    known = tiny_sizes() + tiny_dials()
    if size not in known:
        raise BadInput(f"{size!r} is not a built-in model; there are: {', '.join(known) or 'none'}")
    return TinyBackend((DIALS if size in tiny_dials() else WEIGHTS) / size, **options)


@dataclass(slots=True)
class _Call:
    requests: tuple[Request, ...]
    answer: asyncio.Future[list[Completion]]


class TinyBackend:
    """A model folder (`config.json`, `model.safetensors`) of plain Llama shape and our vocabulary.

    `max_tokens` is clipped to the room left in the context (stop reason "length"); a prompt that
    leaves no room is `BadInput`. `seconds` of a completion are its share, by FLOPs, of the time its
    run took on `clock`. Dollars are unknown unless a price is given.
    One thread is the default because the matrices are too small for two to help.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_batch: int = 256,
        threads: int = 1,
        price: TokenPrice | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = folder.name
        self._efforts: str = json.loads((folder / "config.json").read_text()).get("efforts", "")
        self.engine = Engine(Llama.load(folder), Tokenizer(), max_batch=max_batch)
        self.unclaimed = Usage.zero()
        """What was generated for calls that were cancelled during their run."""
        self.price = price
        self._threads, self._clock = threads, clock
        self._pools = ThreadpoolController()
        self._queue: list[_Call] = []
        self._flushing: asyncio.Task[None] | None = None

    def upper_bound(self, request: Request) -> Usage:
        """The full prompt and all of `max_tokens`, alone in the batch; seconds are not bounded."""
        tokens, most = self.engine.tokenize(self._worded(request))
        return self._usage(
            prompt=len(tokens),
            pays_prompt=True,
            said=most,
            fed=most - 1 + request.want_hidden,
            steps_share=1.0 + most,
            seconds=None,
        )

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order; runs together with the other calls waiting.

        Texts leave out the stop string that ended them (`meta["stop"]` names it); the token that
        completed it, like the end-of-text token, is in `tokens_out` and `logprobs`.
        """
        requests = [self._worded(request) for request in requests]
        for request in requests:  # refuse here, so that a bad request fails only its own call
            self.engine.tokenize(request)
        loop = asyncio.get_running_loop()
        call = _Call(tuple(requests), loop.create_future())
        self._queue.append(call)
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush())
        return await call.answer

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _worded(self, request: Request) -> Request:
        """The request with its effort said in the prompt."""
        if request.effort is None:
            return request
        words = effort_words(self.name, self._efforts, request.effort)
        return replace(request, prompt=words + request.prompt, effort=None)

    async def _flush(self) -> None:
        calls: list[_Call] = []
        try:
            while self._queue:
                await self._settled()
                calls, self._queue = self._queue, []
                calls = [call for call in calls if not call.answer.done()]
                await self._run(calls)
        except BaseException as error:
            for call in calls + self._queue:
                if call.answer.done():
                    continue
                if isinstance(error, Exception):
                    call.answer.set_exception(_failure(self.name, error))
                else:
                    call.answer.cancel()
            self._queue = []
            if not isinstance(error, Exception):
                raise
        finally:
            self._flushing = None

    async def _settled(self) -> None:
        """Until two turns of the event loop have brought no new call."""
        seen = -1
        while seen != len(self._queue):
            seen = len(self._queue)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _run(self, calls: Sequence[_Call]) -> None:
        requests = [request for call in calls for request in call.requests]
        # in a thread, so that the event loop goes on; one run at a time
        generations, seconds = await asyncio.to_thread(self._generate, requests)
        works = [self._measured(r, g, None) for r, g in zip(requests, generations, strict=True)]
        flops = sum(work.flops or 0.0 for work in works) or 1.0  # none: time ran out before
        completions = iter(
            [
                self._completion(r, g, seconds * (work.flops or 0.0) / flops)
                for r, g, work in zip(requests, generations, works, strict=True)
            ]
        )
        for call in calls:
            answer = [next(completions) for _ in call.requests]
            if call.answer.done():
                self.unclaimed += Usage.total(c.usage for c in answer)
            else:
                call.answer.set_result(answer)

    def _generate(self, requests: Sequence[Request]) -> tuple[list[Generation], float]:
        start = self._clock()
        with self._pools.limit(limits=self._threads, user_api="blas"):
            generations = self.engine.run(requests, self._clock)
        return generations, self._clock() - start

    def _completion(self, request: Request, said: Generation, seconds: float) -> Completion:
        return Completion(
            text=said.text,
            usage=self._measured(request, said, seconds),
            stop_reason=said.stop_reason,
            logprobs=said.logprobs,
            hidden=said.hidden,
            meta={} if said.stop is None else {"stop": said.stop},
        )

    def _measured(self, request: Request, said: Generation, seconds: float | None) -> Usage:
        return self._usage(
            prompt=said.prompt_tokens,
            pays_prompt=said.pays_prompt,
            said=len(said.tokens),
            fed=max(0, len(said.tokens) - 1 + request.want_hidden),
            steps_share=said.steps_share,
            seconds=seconds,
        )

    def _usage(
        self, *, prompt: int, pays_prompt: bool, said: int, fed: int, steps_share: float,
        seconds: float | None,
    ) -> Usage:  # fmt: skip
        """Of one request: `fed` tokens were run one by one after the prompt.

        FLOPs: 2 per parameter and token, 4 x heads x head_dim per layer and attended pair. Bytes:
        the weights once per step, shared by the rows in it, and each key and value read or written.
        Padding is not counted.
        """
        model, c = self.engine.model, self.engine.model.config
        new = prompt if pays_prompt else 0
        read = fed * prompt + fed * (fed + 1) // 2
        pairs = read + new * (new + 1) // 2
        heads = fed + pays_prompt
        return Usage(
            tokens_in=prompt,
            tokens_out=said,
            flops=2.0 * (model.matmul_params * (new + fed) + model.head_params * heads)
            + 4.0 * c.layers * c.heads * c.head_dim * pairs,
            bytes_moved=4.0 * (model.matmul_params + model.head_params) * steps_share
            + float(c.kv_bytes_per_token * (new + fed + read)),
            seconds=seconds,
            usd=None if self.price is None else self.price.usd(prompt, said),
            tool_calls=0,
        )


def _failure(name: str, error: Exception) -> BackendError:
    failure = BackendError(f"{name} failed: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure
