"""`SpeculativeBackend`: two built-in models, one that drafts and one that decides, as one backend.

Texts are the target's in distribution, and greedy ones are its own. Tokens are billed as the
target's alone; FLOPs, bytes and seconds are of both models. Calls that wait on the same event loop
are run together, and every request runs its own prompt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from bursar.backends.base import Completion, Request
from bursar.backends.merging import Merged
from bursar.backends.speculative.decoder import SpeculativeDecoder, Spoken
from bursar.backends.speculative.iid_trees import IndependentTree
from bursar.backends.speculative.rsd import RsdC, RsdS
from bursar.backends.speculative.tree import Doubles, Shape
from bursar.backends.tiny.backend import WEIGHTS, tiny_sizes
from bursar.backends.tiny.model import Ints, Llama
from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.backends.token_price import TokenPrice
from bursar.errors import BadInput
from bursar.usage import Usage

SHAPES: dict[str, Callable[[tuple[int, ...]], Shape]] = {
    "chain": lambda sizes: IndependentTree((1,) * sizes[0]),
    "iid": IndependentTree,
    "rsd-c": RsdC.constant,
    "rsd-s": lambda sizes: RsdS(sizes[0], sizes[1]),
}
"""Name of a draft -> what makes it of the numbers after the colon."""

WRITTEN = "chain:4, iid:2,1,1 or rsd-c:2,1,1 (draws per level), rsd-s:2x4 (width x depth)"
MOST_NODES = 128
"""Most candidates in a tree, so that there are tokens enough for siblings to differ."""
DEFAULT_SHAPE = "chain:8"
"""What `cost.speculative.best_length` picks for tiny-0.3m and tiny-1m at a price on bytes, and the
best of those measured (benchmarks/speculative.py)."""


def read_shape(text: str) -> Shape:
    """A shape by its name and numbers. Raises `BadInput` with the ways to write one."""
    name, _, numbers = text.partition(":")
    try:
        sizes = tuple(int(n) for n in numbers.replace("x", ",").split(","))
        if min(sizes) < 1 or len(sizes) != {"chain": 1, "rsd-s": 2}.get(name, len(sizes)):
            raise ValueError(numbers)
        make = SHAPES[name]
    except (KeyError, ValueError) as error:
        raise BadInput(f"{text!r} is no draft; write {WRITTEN}") from error
    if prod(sizes) > MOST_NODES or (shape := make(sizes)).most_nodes > MOST_NODES:
        raise BadInput(f"{text!r} is more than {MOST_NODES} candidates; draw fewer")
    return shape


def open_speculative(rest: str, **options: Any) -> SpeculativeBackend:
    """From "DRAFT+TARGET" or "DRAFT+TARGET#SHAPE", two built-in models by name.

    Raises `BadInput` for what is not there.
    """
    models, _, shape = rest.partition("#")
    draft, plus, target = models.partition("+")
    for name in (draft, target):
        if not plus or name not in tiny_sizes():
            raise BadInput(
                f"speculative:{rest} must name two built-in models, as in "
                f"speculative:tiny-0.3m+tiny-1m; there are: {', '.join(tiny_sizes())}"
            )
    return SpeculativeBackend(draft, target, shape or DEFAULT_SHAPE, **options)


class SpeculativeBackend:
    """Built-in model `target`, with `draft` guessing ahead in a tree of `shape` (see `WRITTEN`).

    `seconds` of a completion are its share, by FLOPs, of the time its run took on `clock`.
    """

    def __init__(
        self,
        draft: str,
        target: str,
        shape: str = DEFAULT_SHAPE,
        *,
        max_batch: int = 32,
        threads: int = 1,
        price: TokenPrice | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = f"speculative:{draft}+{target}#{shape}"
        self.decoder = SpeculativeDecoder(
            Llama.load(WEIGHTS / draft),
            Llama.load(WEIGHTS / target),
            Tokenizer(),
            read_shape(shape),
            max_batch=max_batch,
        )
        self.price = price
        self._threads, self._clock = threads, clock
        self._pools = ThreadpoolController()
        self._merged = Merged(self.name, self._run)

    def upper_bound(self, request: Request) -> Usage:
        """Every round gives one token and fills its tree; alone in the batch; seconds unbounded."""
        tokens, most = self.decoder.tokenize(request)
        nodes, depth = self.decoder.shape.most_nodes, self.decoder.shape.most_depth
        length = len(tokens) + np.arange(most)  # of the text before each round
        new = np.where(length == len(tokens), length, 2)  # of it, what a model has not seen
        draft = _bound(self.decoder.draft, length, new + nodes, nodes + 1, depth)
        target = _bound(self.decoder.target, length, new + nodes, nodes + 1, 1)
        return self._usage(len(tokens), most, draft + target, None)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """One completion per request, in order; runs together with the other calls waiting.

        Texts leave out the stop string that ended them (`meta["stop"]` names it). `meta` has
        `proposed` candidates, how many were `accepted`, `target_calls` and `draft_calls`.
        """
        for request in requests:  # refuse here, so that a bad request fails only its own call
            self.decoder.tokenize(request)
        return await self._merged.complete(requests)

    async def aclose(self) -> None:
        """Nothing to give back."""

    async def _run(self, requests: list[Request]) -> list[Completion]:
        # in a thread, so that the event loop goes on; one run at a time
        texts, seconds = await asyncio.to_thread(self._speak, requests)
        flops = sum(text.draft.flops + text.target.flops for text in texts) or 1.0
        return [
            self._completion(text, seconds * (text.draft.flops + text.target.flops) / flops)
            for text in texts
        ]

    def _speak(self, requests: Sequence[Request]) -> tuple[list[Spoken], float]:
        start = self._clock()
        with self._pools.limit(limits=self._threads, user_api="blas"):
            texts = self.decoder.run(requests, self._clock)
        return texts, self._clock() - start

    def _completion(self, text: Spoken, seconds: float) -> Completion:
        work = np.array([text.draft.flops, text.draft.bytes_moved])
        work += (text.target.flops, text.target.bytes_moved)
        began = len(text.prompt) if text.target.passes else 0
        counts = {
            "accepted": text.accepted,
            "proposed": text.proposed,
            "target_calls": text.target.passes,
            "draft_calls": text.draft.passes,
        }
        meta = {name: str(count) for name, count in counts.items()}
        return Completion(
            text=text.text,
            usage=self._usage(began, len(text.tokens), work, seconds),
            stop_reason=text.stop_reason,
            logprobs=np.array(text.logprobs, np.float32),
            meta=meta if text.stop is None else meta | {"stop": text.stop},
        )

    def _usage(self, prompt: int, said: int, work: Doubles, seconds: float | None) -> Usage:
        """`work`: FLOPs and bytes of both models."""
        return Usage(
            tokens_in=prompt,
            tokens_out=said,
            flops=float(work[0]),
            bytes_moved=float(work[1]),
            seconds=seconds,
            usd=None if self.price is None else self.price.usd(prompt, said),
            tool_calls=0,
        )


def _bound(model: Llama, length: Ints, new: Ints, heads: int, passes: int) -> Doubles:
    """FLOPs and bytes of rounds of `passes` passes that run `new` tokens by a text of `length`."""
    c = model.config
    flops = 2.0 * (model.matmul_params * new + model.head_params * heads)
    flops = flops + 4.0 * c.layers * c.heads * c.head_dim * new * (length + new)
    weights = 4.0 * (model.matmul_params + model.head_params) * passes
    return np.array(
        [flops.sum(), (weights + c.kv_bytes_per_token * (passes * (length + new) + 2 * new)).sum()]
    )
