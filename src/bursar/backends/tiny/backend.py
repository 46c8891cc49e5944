"""`TinyBackend`: the built-in model behind the backend protocol. No torch, no network.

Calls that are waiting on the same event loop are merged into one engine run. In a run, a prompt +
prefix that several requests share is run once. Each of them pays its tokens, as hosted APIs bill
them, so that a price does not depend on a request's company; what sharing saves shows in FLOPs
and bytes. Going on from a text that was kept (`Request.keep`, `after`) is another matter: whoever
holds it has paid for it once.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from bursar.backends.base import Completion, Request
from bursar.backends.merging import Merged
from bursar.backends.tiny.dial import effort_words
from bursar.backends.tiny.engine import Engine, Generation
from bursar.backends.tiny.guided import generate
from bursar.backends.tiny.model import Llama
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.backends.token_price import TokenPrice
from bursar.errors import BadInput
from bursar.usage import Usage

WEIGHTS = Path(__file__).parent / "weights"
STEERABLE = WEIGHTS / "steerable"
"""Models that write chains only, more or less at length; not among `tiny_sizes`."""
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
    for folder in (WEIGHTS / size, STEERABLE / size, DIALS / size):
        if (folder / "model.safetensors").is_file():
            return TinyBackend(folder, **options)
    steerable = [folder.name for folder in sorted(STEERABLE.glob("*"))]
    names = ", ".join([*tiny_sizes(), *steerable, *tiny_dials()])
    raise BadInput(f"{size!r} is not a built-in model; there are: {names or 'none'}")


class TinyBackend:
    """A model folder (`config.json`, `model.safetensors`) of plain Llama shape and our vocabulary.

    `max_tokens` is clipped to the room left in the context (stop reason "length"); a prompt that
    leaves no room is `BadInput`. `seconds` of a completion are its share, by FLOPs, of the time its
    run took on `clock`. Dollars are unknown unless a price is given.
    One thread is the default because the matrices are too small for two to help.
    """

    steers = True

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
        self.price = price
        self._threads, self._clock = threads, clock
        self._pools = ThreadpoolController()
        self._merged = Merged(self.name, self._run)

    @property
    def unclaimed(self) -> Usage:
        """What was generated for calls that were cancelled during their run."""
        return self._merged.unclaimed

    def upper_bound(self, request: Request) -> Usage:
        """The full prompt and all of `max_tokens`, alone in the batch; seconds are not bounded."""
        tokens, most = self.engine.tokenize(self._worded(request))
        return self._usage(
            past=request.after.length if request.after else len(tokens),
            tokens_in=len(tokens),
            runs_prompt=not request.after,
            said=most,
            fed=max(0, most - 1 + (request.want_hidden or request.keep)),
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
        return await self._merged.complete(requests)

    async def embed(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]:
        """Final hidden states, their mean over a text's tokens at length 1: (n, width).

        And the number of tokens of each text. Raises `BadInput` for a text it can't read.
        """
        requests = [Request(text, 1) for text in texts]
        tokens = [self.engine.tokenize(request)[0] for request in requests]
        return await asyncio.to_thread(self._embed, tokens), [len(ids) for ids in tokens]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def pieces(self, text: str) -> list[str]:
        """`text` cut into its tokens. Raises `BadInput` for one that it would never say."""
        tokenizer = self.engine.tokenizer
        return [tokenizer.decode([token]) for token in tokenizer.encode(text)]

    def _embed(self, texts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        means = []
        for tokens in texts:
            hidden, _, _ = self.engine.model.prefill(np.array([tokens], np.int64))
            means.append(hidden[0].mean(axis=0))
        found = np.stack(means)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    def _worded(self, request: Request) -> Request:
        """The request with its effort said in the prompt.

        Raises `BadInput` for what a model with a dial was never trained on.
        """
        if self._efforts and not request.prompt.startswith("chain "):
            raise BadInput(
                f"{self.name} answers chains only, not {request.prompt.strip()!r}; use tiny-1m"
            )
        if request.effort is None:
            return request
        words = effort_words(self.name, self._efforts, request.effort)
        return replace(request, prompt=words + request.prompt, effort=None)

    async def _run(self, requests: list[Request]) -> list[Completion]:
        # in a thread, so that the event loop goes on; one run at a time
        generations, seconds = await asyncio.to_thread(self._generate, requests)
        works = [self._measured(r, g, None) for r, g in zip(requests, generations, strict=True)]
        flops = sum(work.flops or 0.0 for work in works) or 1.0  # none: time ran out before
        return [
            self._completion(r, g, seconds * (work.flops or 0.0) / flops)
            for r, g, work in zip(requests, generations, works, strict=True)
        ]

    def _generate(self, requests: Sequence[Request]) -> tuple[list[Generation], float]:
        start = self._clock()
        with self._pools.limit(limits=self._threads, user_api="blas"):
            generations = self._run_by_steer(requests)
        return generations, self._clock() - start

    def _run_by_steer(self, requests: Sequence[Request]) -> list[Generation]:
        """The engine runs what is not steered, `guided` the rest, steer by steer."""
        done: dict[int, Generation] = {}
        for steer in dict.fromkeys(r.steer for r in requests):
            mine = [i for i, r in enumerate(requests) if r.steer == steer]
            asked = [requests[i] for i in mine]
            said = (
                self.engine.run(asked, self._clock)
                if steer is None
                else generate(self.engine, asked, steer, self._clock)
            )
            done.update(zip(mine, said, strict=True))
        return [done[i] for i in range(len(requests))]

    def _completion(self, request: Request, said: Generation, seconds: float) -> Completion:
        return Completion(
            text=said.text,
            usage=self._measured(request, said, seconds),
            stop_reason=said.stop_reason,
            logprobs=said.logprobs,
            hidden=said.hidden,
            kept=said.kept,
            meta={} if said.stop is None else {"stop": said.stop},
        )

    def _measured(self, request: Request, said: Generation, seconds: float | None) -> Usage:
        return self._usage(
            past=said.prompt_tokens,
            tokens_in=0 if request.after else said.prompt_tokens,
            runs_prompt=said.pays_prompt,
            said=len(said.tokens),
            fed=max(0, len(said.tokens) - 1 + (request.want_hidden or said.kept is not None)),
            steps_share=said.steps_share,
            seconds=seconds,
        )

    def _usage(
        self, *, past: int, tokens_in: int, runs_prompt: bool, said: int, fed: int,
        steps_share: float, seconds: float | None,
    ) -> Usage:  # fmt: skip
        """Of one request: `fed` tokens were run one by one after the `past` ones of its prompt.

        FLOPs: 2 per parameter and token, 4 x heads x head_dim per layer and attended pair. Bytes:
        the weights once per step, shared by the rows in it, and each key and value read or written.
        Padding is not counted.
        """
        model, c = self.engine.model, self.engine.model.config
        new = past if runs_prompt else 0
        read = fed * past + fed * (fed + 1) // 2
        pairs = read + new * (new + 1) // 2
        heads = fed + runs_prompt
        return Usage(
            tokens_in=tokens_in,
            tokens_out=said,
            flops=2.0 * (model.matmul_params * (new + fed) + model.head_params * heads)
            + 4.0 * c.layers * c.heads * c.head_dim * pairs,
            bytes_moved=4.0 * (model.matmul_params + model.head_params) * steps_share
            + float(c.kv_bytes_per_token * (new + fed + read)),
            seconds=seconds,
            usd=None if self.price is None else self.price.usd(tokens_in, said),
            tool_calls=0,
        )
