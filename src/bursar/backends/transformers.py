"""Transformers: a local Hugging Face model, in batches, with exact token counts. Needs torch.

Every request has a random stream of its own: the next token is the one with the largest
log-probability / temperature plus Gumbel noise, which draws from the softmax exactly, so a sample
does not depend on its batch (but for rounding in the model's own arithmetic).
"""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bursar.backends.base import Completion, Request
from bursar.backends.draws import whole_number
from bursar.backends.effort import refuse_effort
from bursar.errors import BadInput
from bursar.usage import Usage

try:
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        LogitsProcessor,
        LogitsProcessorList,
    )
except ImportError:
    raise BadInput(
        "transformers backend: torch and transformers are missing; pip install 'bursar[torch]'"
    ) from None

if TYPE_CHECKING:
    from numpy.typing import NDArray


class TransformersBackend:
    """`model.generate` over batches of at most `batch_size`, one batch at a time, off the loop.

    `chat` wraps prompts in the tokenizer's chat template; by default when it has one. Usage holds
    tokens (exact) and seconds (a batch's, in equal shares); what a token costs here is not known.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "transformers",
        batch_size: int = 32,
        chat: bool | None = None,
    ) -> None:
        self.name = name
        self._model, self._tokenizer = model.eval(), tokenizer
        self._batch_size = batch_size
        self._chat = bool(tokenizer.chat_template) if chat is None else chat
        self._turn = asyncio.Lock()
        self._pad = tokenizer.pad_token_id
        if self._pad is None:
            self._pad = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else 0

    @classmethod
    def open(cls, path: str, *, device: str = "cpu", dtype: str = "auto", **options: Any) -> Self:
        """From a folder or a model name. Raises `BadInput` when there is no such model."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
            model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).to(device)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise BadInput(f"transformers: can't load {path!r} ({reason})") from None
        return cls(model, tokenizer, name=f"transformers:{path}", **options)

    def upper_bound(self, request: Request) -> Usage:
        """Tokens: exact for the prompt. Seconds and dollars are not known beforehand."""
        refuse_effort(self.name, [request])
        return Usage(tokens_in=len(self._encode(request)), tokens_out=request.max_tokens)

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Equal limits and stops go together, in batches; a batch runs in a thread of its own."""
        refuse_effort(self.name, requests)
        done: dict[int, Completion] = {}
        groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for i, request in enumerate(requests):
            groups.setdefault((request.max_tokens, request.stop), []).append(i)
        async with self._turn:
            for members in groups.values():
                for start in range(0, len(members), self._batch_size):
                    part = members[start : start + self._batch_size]
                    batch = [requests[i] for i in part]
                    completions = await asyncio.to_thread(self._generate, batch)
                    done.update(zip(part, completions, strict=True))
        return [done[i] for i in range(len(requests))]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _encode(self, request: Request) -> list[int]:
        if self._chat:
            text = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": request.prompt}],
                tokenize=False,
                add_generation_prompt=True,
            )
            ids = self._tokenizer.encode(text + request.prefix, add_special_tokens=False)
        else:
            ids = self._tokenizer.encode(request.prompt + request.prefix)
        return list(ids)

    def _generate(self, batch: Sequence[Request]) -> list[Completion]:
        begun = time.monotonic()
        rows = [self._encode(request) for request in batch]
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):  # padded on the left: every row ends where it is to go on
            ids[i, width - len(row) :] = torch.tensor(row)
            mask[i, width - len(row) :] = 1
        noise = _GumbelNoise(batch)
        with torch.inference_mode():
            out = self._model.generate(
                ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=batch[0].max_tokens,
                do_sample=False,
                pad_token_id=self._pad,
                logits_processor=LogitsProcessorList([noise]),
                output_logits=True,
                return_dict_in_generate=True,
                **self._stops(batch[0].stop),
            )
        new = out.sequences[:, width:].cpu().numpy()
        logprobs = [torch.log_softmax(step.float(), dim=-1) for step in out.logits]
        chosen = np.stack(
            [p.gather(1, out.sequences[:, width + t, None])[:, 0].cpu().numpy()
             for t, p in enumerate(logprobs)], axis=1
        )  # fmt: skip
        seconds = (time.monotonic() - begun) / len(batch)
        return [
            self._completion(request, len(row), tokens, probs, seconds)
            for request, row, tokens, probs in zip(batch, rows, new, chosen, strict=True)
        ]

    def _stops(self, stop: tuple[str, ...]) -> dict[str, Any]:
        return {"stop_strings": list(stop), "tokenizer": self._tokenizer} if stop else {}

    def _completion(
        self,
        request: Request,
        tokens_in: int,
        tokens: "NDArray[np.int64]",
        logprobs: "NDArray[np.float32]",
        seconds: float,
    ) -> Completion:
        """One row of a batch: its tokens up to the end of text, its text up to a stop string."""
        count, stop_reason = self._length(request, tokens)
        text = self._tokenizer.decode(tokens[:count], skip_special_tokens=True)
        for stop in request.stop:
            text = text.split(stop)[0]
        return Completion(
            text=text,
            usage=Usage(tokens_in=tokens_in, tokens_out=count, seconds=seconds),
            stop_reason=stop_reason,
            logprobs=logprobs[:count].astype(np.float32),
        )

    def _length(self, request: Request, tokens: "NDArray[np.int64]") -> tuple[int, str]:
        """How many of a row's tokens are its own, and why it ended there.

        A row that ends before the longest one is padded after its end.
        """
        ends = self._model.generation_config.eos_token_id
        ends = {self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        own = next((t + 1 for t, token in enumerate(tokens.tolist()) if token in ends), None)
        if request.stop:
            for t in range(1, (own or len(tokens)) + 1):
                text = self._tokenizer.decode(tokens[:t], skip_special_tokens=True)
                if any(stop in text for stop in request.stop):
                    return t, "stop"
        return (len(tokens), "length") if own is None else (own, "stop")


class _GumbelNoise(LogitsProcessor):
    """Turns the largest logit into a draw at each row's temperature, from each row's stream."""

    def __init__(self, batch: Sequence[Request]) -> None:
        self._temperatures = [request.temperature for request in batch]
        self._streams = [
            np.random.default_rng(
                whole_number(request.seed, request.question_id or request.prompt, request.sample)
            )
            for request in batch
        ]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        noise = np.zeros(scores.shape, dtype=np.float32)
        for i, (stream, temperature) in enumerate(
            zip(self._streams, self._temperatures, strict=True)
        ):
            if temperature > 0:
                noise[i] = temperature * stream.gumbel(size=scores.shape[1])
        return scores + torch.from_numpy(noise).to(scores.device, scores.dtype)
