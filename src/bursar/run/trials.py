"""The trials of a comparison: which there are to run, where they are noted, who runs them.

Each is noted as soon as it is done, so that a comparison that was cut short can be resumed, and one
that is done can be widened by strategies, models, budgets or seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bursar.backends.base import Backend
from bursar.budget import Budget
from bursar.errors import BadInput
from bursar.reason.compare import Trial
from bursar.reason.counted import Counted, check_books
from bursar.reason.memo import Memo
from bursar.reason.purse import Purse
from bursar.reason.solve import solve
from bursar.run.booked import booking, is_hosted
from bursar.run.job import Job
from bursar.run.models import running
from bursar.workload.tasks.base import Question, Task

NOTES = "trials.jsonl"
Limit = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Batch:
    """The trials that share their draws: one set of models, one seed."""

    job: Job
    seed: int
    wanted: tuple[tuple[str, Limit], ...]
    """(strategy, its limit), in order."""
    out: Path | None = None

    @property
    def model(self) -> str:
        return ", ".join(self.job.models)

    def run(self) -> Iterator[Trial]:
        """Run them one after another; each question's draws are generated once."""
        questions, tasks = self.job.load(self.seed)
        models = self.job.open_models()
        with booking(models, self.out) as booked, running(models) as runner:
            memo = {name: Memo(model) for name, model in booked.items()}
            for name, limit in self.wanted:
                yield runner.run(self._trial(name, limit, questions, tasks, memo))

    async def _trial(
        self,
        name: str,
        limit: Limit,
        questions: Sequence[Question],
        tasks: Mapping[str, Task],
        models: Mapping[str, Backend],
    ) -> Trial:
        ((resource, amount),) = limit.items()
        counted = {model: Counted(backend) for model, backend in models.items()}
        bench = self.job.bench(Purse(Budget(limit), counted), tasks, self.seed)
        solution = await solve(self.job.strategy(name), questions, bench)
        if bench.purse.failure:
            raise bench.purse.failure
        check_books(bench.purse, counted.values(), name)
        return Trial(
            self.model,
            name,
            amount,
            self.seed,
            tuple(q.task for q in questions),
            tuple(bool(c) for c in solution.correct),
            solution.spent.get(resource) or 0.0,
            tuple(a.usage.get(resource) or 0.0 for a in solution.answers),
        )


def run_here(batches: Sequence[Batch]) -> Iterator[Trial]:
    """One batch after another, in this process."""
    for batch in batches:
        yield from batch.run()


def run_on_ray(batches: Sequence[Batch]) -> Iterator[Trial]:
    """Each batch a task of a Ray cluster: the one of RAY_ADDRESS, else one started here.

    Raises `BadInput` where Ray is not installed, or a model's spend would be booked elsewhere.
    """
    hosted = sorted({name for batch in batches for name in batch.job.models if is_hosted(name)})
    if hosted:
        raise BadInput(
            f"{hosted[0]} can't be compared on ray: what it costs is booked in a ledger on this "
            "machine; leave --on out"
        )
    try:
        import ray
    except ImportError:
        raise BadInput(
            'ray is not installed; pip install "bursar[ray]", or leave --on out'
        ) from None
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        task = ray.remote(_whole)
        waiting = [task.remote(batch) for batch in batches]
        while waiting:
            (done, *_), waiting = ray.wait(waiting)
            yield from ray.get(done)
    finally:
        if started:
            ray.shutdown()


PLACES = {"here": run_here, "ray": run_on_ray}
"""Where a comparison's batches are run."""


def _whole(batch: Batch) -> list[Trial]:
    return list(batch.run())


class Notes:
    """The file of a comparison's trials in its run folder."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._file = folder / NOTES
        self._about = dict(about)

    def read(self) -> list[Trial]:
        """The trials noted. Raises `BadInput` where they are of another comparison."""
        try:
            first, *lines = self._file.read_text(encoding="utf-8").splitlines()
            known = json.loads(first)
            trials = [_trial_of(json.loads(line)) for line in lines if line.endswith("}")]
        except OSError as error:
            raise BadInput(
                f"{self._file} can't be read ({error.strerror}); give --resume the folder of a "
                "comparison"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{self._file} does not hold a comparison's trials ({error})") from None
        for name, value in self._about.items():
            if known.get(name) != json.loads(json.dumps(value)):
                raise BadInput(
                    f"{self._file.parent} was made with {name} {known.get(name)!r}, now it is "
                    f"{value!r}; only strategies, models, budgets and seeds may be others"
                )
        return trials

    def begin(self) -> None:
        """A new file, with what all its trials have in common."""
        self._file.write_text(json.dumps(self._about) + "\n", encoding="utf-8")

    def add(self, trial: Trial) -> None:
        """Note one more."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial)) + "\n")


def _trial_of(noted: dict[str, Any]) -> Trial:
    trial = Trial(**noted)
    return replace(
        trial,
        tasks=tuple(trial.tasks),
        correct=tuple(trial.correct),
        spent_by_question=tuple(trial.spent_by_question),
    )
