"""`bursar calibrate`: sample labelled questions, fit, and leave a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.ledger import Ledger
from bursar.reason.calibrate import calibrate, check_samples
from bursar.reason.profile import Profile
from bursar.reason.purse import Purse
from bursar.run.booked import is_hosted
from bursar.run.checks import check_gradable, check_limits
from bursar.run.job import Job
from bursar.run.models import running
from bursar.units import parse_amounts
from bursar.usage import Usage


def run_calibrate(
    job: Job,
    samples: int,
    out: Path,
    *,
    limits: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Profile, Usage]:
    """Calibrate on a job's questions (the training split of built-in tasks); saves the profile.

    Raises `BadInput`, having spent nothing, when `out` can't be written or a question is not
    labelled.
    """
    amounts = parse_amounts(limits) if limits is not None else {}
    check_samples(samples)
    if out.is_dir() or not out.parent.is_dir():
        why = "is a folder" if out.is_dir() else "is in no folder that there is"
        raise BadInput(f"the profile {out} {why}; name a file to write, such as profile.json")
    questions, tasks = replace(job, split="train").load(job.seed)
    check_gradable(questions, tasks, "calibrating")
    models = job.open_models()
    check_limits(questions, job.bench(Purse(Budget(amounts), models), tasks, job.seed), amounts)
    with running(models) as runner, _budget(amounts, models, out) as budget:
        purse = Purse(budget, models)
        bench = job.bench(purse, tasks, job.seed)
        profile = runner.run(calibrate(questions, bench, samples, on_progress))
        spent = purse.spent
    try:
        profile.save(out)
    except OSError as error:
        raise BadInput(
            f"the profile {out} can't be written ({error.strerror}); choose another place"
        ) from None
    return profile, spent


@contextmanager
def _budget(
    amounts: Mapping[str, float], models: Mapping[str, Backend], out: Path
) -> Iterator[Budget]:
    """Of an account of its own in a ledger beside the profile; local models cost nobody money."""
    if not any(is_hosted(name) for name in models):
        yield Budget(amounts, name="calibrate")
        return
    with Ledger(str(out.with_suffix(".ledger.sqlite"))) as book:
        yield book.budget(f"calibrate/{len(book.accounts())}", amounts)
