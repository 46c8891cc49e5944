"""Supervised start of the models with an effort dial: chains solved once or several times.

    python -m bursar.training.supervise --minutes 3 --out runs/rounds

Four rounds without an effort and for High, two for Medium, one for Low: a long text, and what is
left of it when it is cut at half and at a quarter. A dial from 5 to 20 (twentieths) comes with any
number of rounds: what it means is left to what follows. The usual recipe at a lower rate, from the
weights of tiny-0.3m.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bursar.backends.tiny.tokenizer import EFFORT_WORDS, Tokenizer
from bursar.training.effort_traces import mode_document, rounds_document
from bursar.training.model import EMBEDDING_STD, WEIGHTS, TinyLlama, load, save
from bursar.training.traces import Document
from bursar.training.train import Recipe, train


def document(rng: random.Random) -> Document:
    """A text of a mode, of a dial, or without an effort."""
    if rng.random() < 0.8:
        return mode_document(rng)
    return rounds_document(rng, f"effort {rng.randint(5, 20)} ", lambda _: rng.randint(1, 4))


def supervise(
    model: TinyLlama,
    make: Callable[[random.Random], Document],
    rate: float,
    minutes: float,
    seed: int,
) -> TinyLlama:
    """The averaged model after processor `minutes` on documents of `make`."""
    recipe = Recipe(
        minutes, learning_rate=rate, warmup_steps=50, decay=0.4, seed=seed, compile=False
    )
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder))
        for step, _, loss, averaged in train(
            model.shape, recipe, start_from=Path(folder), make=make
        ):
            print(f"{time.process_time():6.0f}s step {step} loss {loss:.4f}", flush=True)
            model = averaged
    return model


def _begin_words(model: TinyLlama, seed: int) -> None:
    """New embeddings for the words of effort: on ids never used, training only pushed them away."""
    torch.manual_seed(seed)
    tokenizer, weight = Tokenizer(), model.model.embed_tokens.weight
    with torch.no_grad():
        for word in EFFORT_WORDS:
            weight[tokenizer.encode(word)[0]].normal_(std=EMBEDDING_STD)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = load(WEIGHTS / "tiny-0.3m")
    _begin_words(model, chosen.seed)
    save(supervise(model, document, 2e-3, chosen.minutes, chosen.seed), chosen.out)


if __name__ == "__main__":
    main()
