"""`bursar calibrate`: sample labelled questions, fit, and leave a profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.calibrate import MIN_SAMPLES, calibrate
from bursar.reason.profile import Profile
from bursar.reason.purse import Purse
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
    if samples < MIN_SAMPLES:
        raise BadInput(f"{samples} samples a question can't be fitted; take at least {MIN_SAMPLES}")
    if out.is_dir() or not out.parent.is_dir():
        why = "is a folder" if out.is_dir() else "is in no folder that there is"
        raise BadInput(f"the profile {out} {why}; name a file to write, such as profile.json")
    questions, tasks = replace(job, split="train").load(job.seed)
    check_gradable(questions, tasks, "calibrating")
    models = job.open_models()
    purse = Purse(Budget(amounts, name="calibrate"), models)
    bench = job.bench(purse, tasks, job.seed)
    check_limits(questions, bench, amounts)
    with running(models) as runner:
        profile = runner.run(calibrate(questions, bench, samples, on_progress))
    try:
        profile.save(out)
    except OSError as error:
        raise BadInput(
            f"the profile {out} can't be written ({error.strerror}); choose another place"
        ) from None
    return profile, purse.spent
