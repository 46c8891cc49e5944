"""What the prompts of a trace begin with, in the form that a prefix cache looks up."""

import numpy as np

from bursar.errors import BadInput
from bursar.policies.batching import Segment
from bursar.workload.traces import Blocks, Labels, Trace

Prefixes = list[tuple[Segment, ...]]


def prefixes(trace: Trace, block_tokens: int) -> Prefixes:
    """The shareable parts of each prompt: its hashed blocks, or else its `prefix_id`.

    A block that the prompt does not fill is not shared. How long the text of a `prefix_id` is no
    trace says: it is taken to be its shortest prompt, the most that all its requests can share.
    Raises `BadInput` when hashed blocks are not whole blocks of `block_tokens` tokens.
    """
    if trace.blocks is not None:
        return _by_hash(trace.blocks, trace.input_tokens.tolist(), block_tokens)
    if trace.prefix_id is not None:
        return _by_name(trace.prefix_id, trace, block_tokens)
    return [()] * len(trace)


def _by_hash(blocks: Blocks, prompts: list[int], block_tokens: int) -> Prefixes:
    size = blocks.block_tokens
    if size % block_tokens:
        raise BadInput(
            f"the trace hashes blocks of {size} tokens, the cache has blocks of {block_tokens}; "
            "choose block_tokens that divide them"
        )
    known: dict[tuple[int, int], Segment] = {}  # by the key of the part before, and the hash
    hashes, offsets = blocks.hashes.tolist(), blocks.offsets.tolist()
    found = []
    for start, end, prompt in zip(offsets[:-1], offsets[1:], prompts, strict=True):
        before, parts = -1, []
        for place, hash_ in enumerate(hashes[start : min(end, start + prompt // size)], 1):
            if (part := known.get((before, hash_))) is None:
                part = Segment(len(known), size // block_tokens, place * size)
                known[before, hash_] = part
            before = part.key
            parts.append(part)
        found.append(tuple(parts))
    return found


def _by_name(names: Labels, trace: Trace, block_tokens: int) -> Prefixes:
    shortest = np.full(len(names.names), np.iinfo(np.int64).max)
    np.minimum.at(shortest, names.codes, trace.input_tokens)
    shared = {
        code: (Segment(code, tokens // block_tokens, tokens - tokens % block_tokens),)
        for code, tokens in enumerate(shortest.tolist())
        if names.names[code] and tokens >= block_tokens
    }
    return [shared.get(code, ()) for code in names.codes.tolist()]
