"""Train the built-in mixture of experts from scratch on generated traces.

    python -m bursar.training.train_moe --minutes 12 --balance 0.003
    python -m bursar.training.train_moe --minutes 8 --seed 1 --start-from <the folder written>

The documents, optimizers and rate of `train` (on SIGUSR1 it falls from now on), in float32 on one
thread (bfloat16 took 0.46 s a step instead of 0.34). Writes the moving average of the weights.
"""

import argparse
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.training.moe import MOE_SHAPES, MoeShape, TinyMoe, load_moe, save_moe
from bursar.training.traces import batches
from bursar.training.train import Recipe, lower_now, optimizers, rate, to_tensors

MOE_WEIGHTS = Path(__file__).parents[1] / "backends" / "moe" / "weights"
BALANCE = 0.01
"""Weight of the load-balancing loss, as in the Switch Transformer."""


def train_moe(
    shape: MoeShape,
    recipe: Recipe,
    *,
    balance: float = BALANCE,
    log_every: int = 100,
    start_from: Path | None = None,
) -> Iterator[tuple[int, float, float, TinyMoe]]:
    """Yields (step, loss, imbalance, averaged model) every `log_every` steps and at the end."""
    torch.manual_seed(recipe.seed)
    model, averaged = TinyMoe(shape), TinyMoe(shape)
    if start_from is not None:
        model = load_moe(start_from).train()
    averaged.load_state_dict(model.state_dict())
    optims = optimizers(model, recipe)
    start, limit = time.process_time(), 60 * recipe.minutes
    losses, uneven = torch.zeros(log_every), torch.zeros(log_every)
    stream = batches(random.Random(recipe.seed), Tokenizer(), recipe.batch_tokens)
    for step, rows in enumerate(stream):
        spent = time.process_time() - start
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
        loss = F.cross_entropy(model.logits(model(inputs)).flatten(0, 1), targets.flatten())
        imbalance = model.imbalance(inputs.flatten() != Tokenizer.pad_id)
        (loss + balance * imbalance).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optim in optims:
            optim.step()
            optim.zero_grad()
        losses[step % log_every], uneven[step % log_every] = loss.detach(), imbalance.detach()
        if step % 10 == 9:
            with torch.no_grad():
                old, new = list(averaged.parameters()), list(model.parameters())
                keep = min(recipe.average, 1 - 10 / (step + 1))
                torch._foreach_lerp_(old, new, 1 - keep)
        if step % log_every == log_every - 1:
            yield step + 1, float(losses.mean()), float(uneven.mean()), averaged
    yield step, float(losses.mean()), float(uneven.mean()), averaged


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", choices=MOE_SHAPES, default="tiny-moe")
    parser.add_argument("--minutes", type=float, default=12.0, help="of processor time")
    parser.add_argument("--balance", type=float, default=BALANCE)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-from", type=Path, help="go on from a saved model")
    parser.add_argument("--out", type=Path, default=None, help="default: the package's weights")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGUSR1, lambda *_: lower_now.set())
    recipe = Recipe(chosen.minutes, seed=chosen.seed)
    folder = chosen.out or MOE_WEIGHTS / chosen.size
    for step, loss, imbalance, averaged in train_moe(
        MOE_SHAPES[chosen.size], recipe, balance=chosen.balance, start_from=chosen.start_from
    ):
        seconds = time.process_time()
        print(f"{seconds:6.0f}s step {step} loss {loss:.4f} uneven {imbalance:.3f}", flush=True)
        save_moe(averaged, folder)


if __name__ == "__main__":
    main()
