"""Teach a built-in model to check its lines: a chain writer whose length can be steered.

    python -m bursar.training.train_checking --minutes 3

    37*54=57>57+53
    (37*54=58>58+53
    58+53=14
    #14
    right

A line that begins with `(` writes the line before it anew, and what stands there counts. Documents
differ in how often they check; a check follows every wrong line (whose result is not learnt), so
checking makes the model more often right, and longer. Goes on from tiny-0.3m; writes
weights/steerable/tiny-0.3m-checks.
"""

import argparse
import random
import time
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.model import WEIGHTS, load, save
from bursar.training.traces import Document, document_ids
from bursar.training.train import Recipe, optimizers, rate, to_tensors
from bursar.workload.tasks import chain
from bursar.workload.tasks.split import split_of
from bursar.workload.tasks.verdicts import RIGHT

BASE = WEIGHTS / "tiny-0.3m"
OUT = WEIGHTS / "steerable" / "tiny-0.3m-checks"
MOST_CHECKS = 3
"""Of one line."""
_SLIP = 0.3


def checking_document(rng: random.Random) -> Document:
    """A chain whose lines are each checked up to `MOST_CHECKS` times."""
    pieces = chain.draw_expression(rng, rng.choices((1, 2, 3, 4, 5, 6), (1, 1, 2, 3, 3, 3))[0])
    if split_of(chain.canonical(pieces)) == "test":
        return checking_document(rng)
    document: Document = [(f"chain {''.join(pieces)}\n", False)]
    eagerness = rng.uniform(0.2, 0.9)
    while len(pieces) > 1:
        place = rng.choice(chain.legal_pairs(pieces))
        checks = next(
            n for n in range(MOST_CHECKS + 1) if n == MOST_CHECKS or rng.random() > eagerness
        )
        slip = checks > 0 and rng.random() < _SLIP
        document += _line(pieces, place, rng.randint(1, 96) if slip else 0)
        for _ in range(checks):
            document += [("(", True), *_line(pieces, place, 0)]
        pieces = chain.reduce_pair(pieces, place)
    return [*document, (f"#{pieces[0]}\n", True), (RIGHT, True)]


def _line(before: list[str], place: int, error: int) -> Document:
    """The line that reduces one pair; with an `error` its result is wrong, and not learnt."""
    after = chain.reduce_pair(before, place)
    after[place - 1] = str((int(after[place - 1]) + error) % chain.MODULUS)
    rest = ">" + "".join(after) if len(after) > 1 else ""
    pair = "".join(before[place - 1 : place + 2])
    return [(pair + "=", True), (after[place - 1], not error), (rest + "\n", True)]


def _batches(
    rng: random.Random, tokens: int, pool: int = 512
) -> Iterator[list[tuple[list[int], list[bool]]]]:
    """Endless batches of documents of like length, about `tokens` tokens each."""
    tokenizer = Tokenizer()
    while True:
        rows = sorted(
            (document_ids(tokenizer, checking_document(rng)) for _ in range(pool)),
            key=lambda row: len(row[0]),
        )
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for row in rows:
            if len(row[0]) * (len(groups[-1]) + 1) > tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from groups


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    recipe = Recipe(chosen.minutes, learning_rate=2e-3, warmup_steps=30, decay=0.6)
    model = load(BASE).train()
    optims = optimizers(model, recipe)
    start, tokens, lately = time.process_time(), 0, 0.0
    for step, rows in enumerate(_batches(random.Random(chosen.seed), recipe.batch_tokens)):
        done = (time.process_time() - start) / (60 * recipe.minutes)
        if done >= 1:
            break
        for optim in optims:
            for group in optim.param_groups:
                group["lr"] = recipe.learning_rate * rate(recipe, step, done)
        inputs, targets = to_tensors(rows)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.logits(model(inputs))
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim in optims:
            optim.step()
            optim.zero_grad()
        tokens += inputs.numel()
        lately += 0.05 * (float(loss.detach()) - lately)
        if step % 50 == 49:
            print(f"step {step + 1} tokens {tokens / 1e6:.2f}M loss {lately:.4f}", flush=True)
    save(model, OUT)


if __name__ == "__main__":
    main()
