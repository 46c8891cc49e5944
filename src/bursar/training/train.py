"""Train a built-in model from scratch on generated traces.

    python -m bursar.training.train --size tiny-1m --minutes 25
    python -m bursar.training.train --size tiny-0.3m --minutes 15

One thread of one CPU core; Muon for matrices and AdamW for embeddings and norms; the rate warms up,
stays, and falls linearly to zero over the last part (on SIGUSR1: from now on). Writes the moving
average of the weights, so that the file is usable long before the rate has fallen.
"""

import argparse
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.model import SHAPES, WEIGHTS, Shape, TinyLlama, load, save
from bursar.training.traces import Document, batches, bucket_of, mixed_document

lower_now = threading.Event()
"""Set it to begin lowering the rate at once."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of one run; the last `decay` share of the time lowers the rate to zero."""

    minutes: float = 25.0
    """Of processor time, so that it does not matter what else runs."""
    max_steps: int = 10**9
    batch_tokens: int = 4096
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    warmup_steps: int = 100
    decay: float = 0.25
    average: float = 0.98
    """Weight of the old average, once every 10 steps."""
    seed: int = 0
    bf16: bool = True
    compile: bool = True


def to_tensors(rows: list[tuple[list[int], list[bool]]]) -> tuple[Tensor, Tensor]:
    """(inputs, targets) of encoded documents; -100 where nothing is learnt."""
    width = bucket_of(max(len(ids) for ids, _ in rows))
    inputs = torch.full((len(rows), width), Tokenizer.pad_id)
    targets = torch.full((len(rows), width), -100)
    for row, (ids, learn) in enumerate(rows):
        length = len(ids) - 1
        inputs[row, :length] = torch.tensor(ids[:-1])
        wanted = torch.tensor(learn[1:])
        targets[row, :length] = torch.where(wanted, torch.tensor(ids[1:]), -100)
    return inputs, targets


def optimizers(model: TinyLlama, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the rest."""
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    rest = [p for p in model.parameters() if not any(p is m for m in matrices)]
    muon = torch.optim.Muon(
        matrices,
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    adam = torch.optim.AdamW(rest, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adam]


def rate(recipe: Recipe, step: int, done: float) -> float:
    """Share of the full learning rate after `step` steps and a share `done` of the run."""
    warm = min(1.0, (step + 1) / recipe.warmup_steps)
    return warm * min(1.0, max(0.0, (1.0 - done) / recipe.decay))


def train(
    shape: Shape,
    recipe: Recipe,
    *,
    save_every: float = 180.0,
    folder: Path | None = None,
    log_every: int = 100,
    start_from: Path | None = None,
    make: Callable[[random.Random], Document] = mixed_document,
) -> Iterator[tuple[int, int, float, TinyLlama]]:
    """Yields (step, tokens, loss, averaged model) every `log_every` steps and at the end."""
    torch.manual_seed(recipe.seed)
    model, averaged = TinyLlama(shape), TinyLlama(shape)
    if start_from is not None:
        model = load(start_from).train()
    averaged.load_state_dict(model.state_dict())
    optims = optimizers(model, recipe)

    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.bf16):
            logits = model.logits(model(inputs))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    if recipe.compile:  # layer by layer: one short compilation serves them all
        for layer in model.model.layers:
            layer.compile(dynamic=False)
    start, saved = time.process_time(), time.monotonic()
    limit = 60 * recipe.minutes
    tokens, losses = 0, torch.zeros(log_every)
    stream = batches(random.Random(recipe.seed), Tokenizer(), recipe.batch_tokens, make=make)
    for step, rows in enumerate(stream):
        now, spent = time.monotonic(), time.process_time() - start
        if lower_now.is_set():
            limit = spent / (1 - recipe.decay)
            lower_now.clear()
        done = max(spent / limit, step / recipe.max_steps)
        if done >= 1:
            break
        for optim in optims:
            for group in optim.param_groups:
                group["lr"] = recipe.learning_rate * rate(recipe, step, done)
        inputs, targets = to_tensors(rows)
        loss = loss_of(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim in optims:
            optim.step()
            optim.zero_grad()
        tokens += inputs.numel()
        losses[step % log_every] = loss.detach()
        if step % 10 == 9:
            with torch.no_grad():
                old, new = list(averaged.parameters()), list(model.parameters())
                keep = min(recipe.average, 1 - 10 / (step + 1))
                torch._foreach_lerp_(old, new, 1 - keep)
        if folder is not None and now - saved > save_every:
            save(averaged, folder)
            saved = now
        if step % log_every == log_every - 1:
            yield step + 1, tokens, float(losses.mean()), averaged
    if folder is not None:
        save(averaged, folder)
    yield step, tokens, float(losses.mean()), averaged


def main() -> None:
    """Command line."""
    usual = Recipe()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=SHAPES, required=True)
    parser.add_argument("--minutes", type=float, default=usual.minutes)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--learning-rate", type=float, default=usual.learning_rate)
    parser.add_argument("--start-from", type=Path, help="go on from a saved model")
    parser.add_argument("--out", type=Path, default=None, help="default: the package's weights")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGUSR1, lambda *_: lower_now.set())
    recipe = Recipe(chosen.minutes, seed=chosen.seed, learning_rate=chosen.learning_rate)
    folder = chosen.out or WEIGHTS / chosen.size
    for step, tokens, loss, _ in train(
        SHAPES[chosen.size], recipe, folder=folder, start_from=chosen.start_from
    ):
        seconds = time.process_time()
        print(f"{seconds:6.0f}s step {step} tokens {tokens / 1e6:.2f}M loss {loss:.4f}", flush=True)


if __name__ == "__main__":
    main()
