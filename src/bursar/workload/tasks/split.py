"""What the generated tasks share: the held-out split, and drawing distinct questions by level."""

import hashlib
import random
from collections.abc import Callable, Sequence

from bursar.errors import BadInput
from bursar.workload.tasks.base import Question

_TEST_SHARE = 0.1


def split_of(canonical: str) -> str:
    """ "test" for a tenth of all canonical forms, by hash, else "train"."""
    digest = hashlib.blake2b(canonical.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest) < _TEST_SHARE * 2**64 else "train"


def draw_questions(
    task: str,
    draw: Callable[[random.Random, str], tuple[str, str, str, str | None]],
    count: int,
    *,
    seed: int,
    split: str,
    levels: Sequence[str] | None,
    known: tuple[str, ...],
) -> list[Question]:
    """`count` distinct questions of `split`, levels in turn, deterministic in `seed`.

    `draw(rng, level)` gives (distinct key, split key, prompt, answer).
    """
    chosen = known if levels is None else tuple(levels)
    if count < 0:
        raise BadInput(f"count {count} is negative; ask for 0 or more questions")
    if split not in ("train", "test"):
        raise BadInput(f"split {split!r} is not known; use 'train' or 'test'")
    if not chosen or not set(chosen) <= set(known):
        raise BadInput(f"levels {list(chosen)} of {task} are not among {', '.join(known)}")
    rng = random.Random(f"{task}/{split}/{seed}")
    seen: set[str] = set()
    questions: list[Question] = []
    for index in range(count):
        level = chosen[index % len(chosen)]
        for _ in range(100_000):
            key, side, prompt, answer = draw(rng, level)
            if key not in seen and split_of(side) == split:
                break
        else:
            raise BadInput(
                f"{task} level {level} has fewer than {count} distinct questions in split {split}; "
                f"ask for fewer than {index}, or for more levels"
            )
        seen.add(key)
        name = f"{task}-{split}-{seed}-{index}"
        questions.append(Question(name, task, prompt, answer, level))
    return questions
