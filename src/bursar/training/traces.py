"""Training documents: solved questions step by step, many with several attempts and verdicts.

A document is a list of (text, whether to learn it). Never learnt: the prompt; a deliberately wrong
choice or number (the model should know what follows from it, not to make it); the verdict "wrong"
after a right chain, which only teaches what comes next when a caller asks for another attempt.
What follows from a wrong choice *is* learnt: with whole failed attempts masked the model learnt to
claim the target.
"""

import random
from collections.abc import Callable, Iterator

from bursar.backends.tiny.tokenizer import Tokenizer
from bursar.workload.tasks import chain, countdown, sudoku4
from bursar.workload.tasks.split import split_of
from bursar.workload.tasks.verdicts import REVISE_MARKER, RIGHT

Document = list[tuple[str, bool]]

CONTEXT = 512
MAX_ROUNDS = 8
"""Most failed attempts before the success."""
_ROUNDS = (range(1, MAX_ROUNDS + 1), [1 / n for n in range(1, MAX_ROUNDS + 1)])
_SHARES = {"chain": 0.5, "countdown": 0.25, "sudoku4": 0.25}
_CHAIN_LEVELS = ((1, 2, 3, 4, 5, 6, 7, 8), (1, 1, 1, 1.5, 1.5, 2, 2, 3))


def chain_document(rng: random.Random) -> Document:
    """A chain reduced in random legal order; one in seven documents solves it several times."""
    pieces = chain.draw_expression(rng, rng.choices(*_CHAIN_LEVELS)[0])
    if split_of(chain.canonical(pieces)) == "test":
        return chain_document(rng)
    document: Document = [(f"chain {''.join(pieces)}\n", False)]
    rounds = rng.choices(*_ROUNDS)[0] if rng.random() < 1 / 7 else 0
    for _ in range(rounds):
        slip = rng.random() < 0.5
        document += chain_attempt(rng, pieces, slip)
        document.append((REVISE_MARKER, slip))
    return [*document, *chain_attempt(rng, pieces, slip=False), (RIGHT, True)]


def chain_attempt(rng: random.Random, pieces: list[str], slip: bool) -> Document:
    """One reduction to `#answer`; with `slip` one result on the way is wrong, and not learnt."""
    attempt: Document = []
    slip_at = rng.randrange(len(pieces) // 2) if slip else -1
    for line in range(len(pieces) // 2):
        place = rng.choice(chain.legal_pairs(pieces))
        pair = "".join(pieces[place - 1 : place + 2])
        pieces = chain.reduce_pair(pieces, place)
        if line == slip_at:
            pieces[place - 1] = str((int(pieces[place - 1]) + rng.randint(1, 96)) % chain.MODULUS)
        rest = ">" + "".join(pieces) if len(pieces) > 1 else ""
        attempt += [
            (pair + "=", True),
            (pieces[place - 1], line != slip_at),
            (rest + "\n", True),
        ]
    return [*attempt, (f"#{pieces[0]}\n", True)]


def countdown_document(rng: random.Random) -> Document:
    """A solution, in half of the documents after 1-8 failed attempts, near misses the likeliest."""
    numbers, solution = countdown.draw_solved(rng, rng.choice((3, 4, 4, 5, 5)))
    target = solution[-1].result
    if split_of(countdown.canonical_prompt(numbers, target)) == "test":
        return countdown_document(rng)
    document: Document = [(f"countdown {','.join(map(str, numbers))}={target}\n", False)]
    rounds = rng.choices(*_ROUNDS)[0] if rng.random() < 0.5 else 0
    for _ in range(rounds):
        for step in _near_miss(rng, numbers, target):
            document += [(step.choice, False), (step.outcome, True)]
        document.append((REVISE_MARKER, True))
    document += [(step.choice + step.outcome, True) for step in solution]
    return [*document, (RIGHT, True)]


def _near_miss(rng: random.Random, numbers: list[int], target: int) -> list[countdown.Step]:
    """The nearest to the target of a few failed playouts."""
    misses: list[list[countdown.Step]] = []
    while not misses:
        tried = [countdown.playout(rng, numbers) for _ in range(rng.choice((1, 2, 4)))]
        misses = [steps for steps in tried if steps[-1].result != target]
    return min(misses, key=lambda steps: abs(steps[-1].result - target))


def sudoku_document(rng: random.Random) -> Document:
    """A filled grid, in one of seven documents after attempts with one wrong cell."""
    givens, grid = sudoku4.draw_puzzle(rng, rng.randint(6, 11))
    if split_of("".join(map(str, grid))) == "test":
        return sudoku_document(rng)
    document: Document = [(sudoku4.prompt_of(givens), False)]
    rounds = rng.choices(*_ROUNDS)[0] if rng.random() < 1 / 7 else 0
    for _ in range(rounds):
        document += _sudoku_attempt(rng, givens, grid, slip=True)
        document.append((REVISE_MARKER, True))
    return [*document, *_sudoku_attempt(rng, givens, grid, slip=False), (RIGHT, True)]


def _sudoku_attempt(rng: random.Random, givens: list[int], grid: list[int], slip: bool) -> Document:
    """Cells with one candidate left come first: each step is then a short deduction.

    With `slip` one value is wrong; it and every value after it are not learnt.
    """
    state = list(givens)
    attempt: Document = []
    blanks = [cell for cell in range(16) if not state[cell]]
    slip_at = rng.randrange(len(blanks)) if slip else -1
    right = True
    for line in range(len(blanks)):
        cell = _next_cell(rng, state, blanks)
        blanks.remove(cell)
        state[cell] = grid[cell]
        if line == slip_at:
            state[cell] = rng.choice([v for v in (1, 2, 3, 4) if v != grid[cell]])
            right = False
        attempt += [(sudoku4.CELLS[cell], True), (str(state[cell]), right), ("\n", True)]
    return attempt


def _next_cell(rng: random.Random, state: list[int], blanks: list[int]) -> int:
    order = rng.sample(blanks, len(blanks))
    return min(order, key=lambda c: 4 - len({state[p] for p in sudoku4.PEERS[c]} - {0}) > 1)


MAKERS = {"chain": chain_document, "countdown": countdown_document, "sudoku4": sudoku_document}


def document_ids(tokenizer: Tokenizer, document: Document) -> tuple[list[int], list[bool]]:
    """(token ids ending in eos, whether each is learnt), cut to the context."""
    ids: list[int] = []
    learn: list[bool] = []
    for text, wanted in document:
        piece = tokenizer.encode(text)
        ids += piece
        learn += [wanted] * len(piece)
    return [*ids, tokenizer.eos_id][:CONTEXT], [*learn, True][:CONTEXT]


def mixed_document(rng: random.Random) -> Document:
    """A document of one of the three tasks."""
    return MAKERS[rng.choices(list(_SHARES), list(_SHARES.values()))[0]](rng)


def batches(
    rng: random.Random,
    tokenizer: Tokenizer,
    tokens: int,
    pool: int = 4096,
    make: Callable[[random.Random], Document] = mixed_document,
) -> Iterator[list[tuple[list[int], list[bool]]]]:
    """Endless batches of encoded documents of similar length, about `tokens` padded tokens each."""
    while True:
        documents = [document_ids(tokenizer, make(rng)) for _ in range(pool)]
        buckets: dict[int, list[tuple[list[int], list[bool]]]] = {}
        for encoded in documents:
            buckets.setdefault(bucket_of(len(encoded[0])), []).append(encoded)
        ready = []
        for width, rows in buckets.items():
            count = max(1, tokens // width)
            ready += [rows[i : i + count] for i in range(0, len(rows) - count + 1, count)]
        rng.shuffle(ready)
        yield from ready


def bucket_of(length: int) -> int:
    """The padded length: few distinct shapes, little padding."""
    return next(width for width in (32, 64, 96, 160, 288, 512) if length <= width)
