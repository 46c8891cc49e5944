"""Batched sampling in torch, for evaluation and verifier data; prompts of equal length together."""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.model import TinyLlama
from bursar.workload.tasks.verdicts import REVISE_MARKER

_TOKENIZER = Tokenizer()
_WRONG = _TOKENIZER.encode(REVISE_MARKER)[0]


@torch.inference_mode()
def sample(
    model: TinyLlama,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    temperature: float,
    seed: int = 0,
    revise: bool = False,
    batch: int = 256,
) -> list[str]:
    """One completion per prompt (temperature 0: greedy), cut after its verdict.

    With `revise` the model goes on after its own verdict "wrong", up to `max_tokens`.
    """
    generator = torch.Generator().manual_seed(seed)
    groups: dict[int, list[int]] = defaultdict(list)
    encoded = [_TOKENIZER.encode(p) for p in prompts]
    for index, ids in enumerate(encoded):
        groups[len(ids)].append(index)
    texts = [""] * len(prompts)
    for members in groups.values():
        for start in range(0, len(members), batch):
            chosen = members[start : start + batch]
            ids = torch.tensor([encoded[i] for i in chosen])
            outputs = _generate(model, ids, max_tokens, temperature, generator, revise)
            for index, output in zip(chosen, outputs, strict=True):
                texts[index] = _TOKENIZER.decode(output)
    return texts


def _generate(
    model: TinyLlama,
    ids: Tensor,
    max_tokens: int,
    temperature: float,
    generator: torch.Generator,
    revise: bool,
) -> list[list[int]]:
    caches: list[list[Tensor]] = [[] for _ in model.model.layers]
    outputs: list[list[int]] = [[] for _ in ids]
    rows = torch.arange(len(ids))
    limit = min(max_tokens, model.shape.max_position_embeddings - ids.shape[1])
    for _ in range(limit):
        logits = model.logits(model(ids, caches)[:, -1])
        if temperature == 0:
            ids = logits.argmax(-1, keepdim=True)
        else:
            ids = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)
        for row, token in zip(rows.tolist(), ids[:, 0].tolist(), strict=True):
            outputs[row].append(token)
        alive = ids[:, 0] != Tokenizer.eos_id
        if not revise:
            alive &= ids[:, 0] != _WRONG
        if not alive.all():
            rows, ids = rows[alive], ids[alive]
            for cache in caches:
                cache[:] = [part[alive] for part in cache]
        if not len(rows):
            break
    return outputs
