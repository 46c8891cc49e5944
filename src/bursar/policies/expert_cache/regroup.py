"""Forms batches of tokens that are expected at the same experts (ExpertFlow's token scheduler)."""

import numpy as np
from numpy.typing import NDArray

from bursar.errors import BadInput

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


def regroup(expected: Floats, *, batch_tokens: int, top_k: int) -> Ints:
    """(batches, batch_tokens) row numbers of `expected` (tokens, layers, experts), each once.

    Each batch begins with the first token left and takes, one by one, the token that adds the
    fewest experts to the batch; a token counts with its `top_k` likeliest of each layer. Raises
    `BadInput` when the tokens do not fill whole batches.
    """
    if len(expected) % batch_tokens:
        raise BadInput(
            f"{len(expected)} tokens do not fill batches of {batch_tokens}; give a multiple"
        )
    likeliest = np.argsort(-expected, axis=2, kind="stable")[:, :, :top_k]
    likely = np.zeros(expected.shape, np.float32)
    np.put_along_axis(likely, likeliest, 1.0, axis=2)
    routes: Floats = likely.reshape(len(expected), -1)
    left = np.ones(len(expected), bool)
    batches = np.empty((len(expected) // batch_tokens, batch_tokens), np.int64)
    for batch in batches:
        outside = np.ones(routes.shape[1], np.float32)
        for place in range(batch_tokens):
            added = np.where(left, routes @ outside, np.inf)
            batch[place] = chosen = int(left.argmax() if place == 0 else added.argmin())
            left[chosen] = False
            outside[routes[chosen] > 0] = 0.0
    return batches
