"""What is asked of a run, checked before anything is opened, made or spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bursar.backends import open_backend
from bursar.backends.base import Backend, Effort
from bursar.backends.effort import Dialled
from bursar.errors import BadInput
from bursar.reason import STEP_SEARCHES, STRATEGIES
from bursar.reason import strategy as strategy_named
from bursar.reason.base import Strategy
from bursar.reason.models import equipped, features
from bursar.reason.profile import Profile
from bursar.reason.purse import Purse
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS
from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.jsonl import load_jsonl

QUESTIONS = 100
"""How many built-in questions are asked when nobody says."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of a run. `sources`: built-in tasks, "mixed" (all of them), or JSONL files.

    `questions` are shared equally by the sources, a file giving its first ones, all it has at most.
    None: `QUESTIONS` of the built-in tasks, and whole files. `hosted` goes to models of servers.
    """

    sources: tuple[str, ...]
    models: tuple[str, ...] = ("tiny-1m",)
    questions: int | None = None
    levels: tuple[str, ...] = ()
    split: str = "test"
    checker: str = "exact"
    check: bool = True
    seed: int = 0
    temperature: float = 0.7
    worth: float | None = None
    profile: Path | None = None
    efforts: tuple[Effort, ...] = ()
    """Every model is opened once at each of these, as a model of its own; none: as it is."""
    hosted: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise BadInput(f"no questions named; choose {_known_tasks()}")
        if not self.models:
            raise BadInput("no model named; choose one such as tiny-1m")
        if self.questions is not None and self.questions < 1:
            raise BadInput(f"{self.questions} questions asked; ask for at least 1")
        if not 0 <= self.seed < 2**63:
            raise BadInput(f"seed {self.seed}; it must be a whole number from 0 to 2^63 - 1")
        if not 0 <= self.temperature < math.inf:
            raise BadInput(
                f"temperature {self.temperature:g}; it must be 0 or more, such as 0.7, and finite"
            )
        if self.worth is not None and not 0 < self.worth < math.inf:
            raise BadInput(
                f"worth {self.worth:g}; a right answer must be worth more than 0 and a finite "
                "amount of the limited resource"
            )

    def load(self, seed: int) -> tuple[list[Question], dict[str, Task]]:
        """The questions, sources mixed in an order fixed by `seed`, and the tasks that grade."""
        names = list(dict.fromkeys(n for s in self.sources for n in self._named(s)))
        built_in = [name for name in names if name in TASKS]
        sharing = names if self.questions is not None else built_in
        total = QUESTIONS if self.questions is None else self.questions
        if total < len(sharing):
            raise BadInput(
                f"{total} questions asked of {len(sharing)} sources; ask for at least one of each"
            )
        loaded = [self._source(name) for name in names]
        self._check_levels([task for task, _ in loaded])
        questions: list[Question] = []
        tasks: dict[str, Task] = {}
        for name, (task, found) in zip(names, loaded, strict=True):
            if task.name in tasks:
                raise BadInput(f"two sources are called {task.name}; rename {name}")
            share = None
            if name in sharing:
                i = sharing.index(name)
                share = (i + 1) * total // len(sharing) - i * total // len(sharing)
            levels = [level for level in self.levels if level in task.levels] or None
            if found is None:
                questions += task.generate(share or 0, seed=seed, split=self.split, levels=levels)
            else:
                chosen = [q for q in found if levels is None or q.level in levels]
                questions += _own_ids(chosen[:share], questions)
            tasks[task.name] = task
        order = np.random.default_rng(seed).permutation(len(questions))
        return [questions[i] for i in order], tasks

    def open_models(self) -> dict[str, Backend]:
        """The models by name, in the order asked."""
        opened = {
            name: open_backend(name, **(self.hosted if name.startswith("openai:") else {}))
            for name in self.models
        }
        if not self.efforts:
            return opened
        return {
            f"{name}@{effort}": Dialled(backend, effort)
            for name, backend in opened.items()
            for effort in self.efforts
        }

    def bench(self, purse: Purse, tasks: Mapping[str, Task], seed: int) -> Workbench:
        """A workbench that knows what each model can do besides answering."""
        bench = equipped(purse, tasks, seed=seed, check=self.check, temperature=self.temperature)
        # a text to go on from is no chat, and only a chat takes an effort
        return replace(bench, revise={}, steps={}) if self.efforts else bench

    def strategies(self) -> list[str]:
        """The strategies that this job's models can follow."""
        first = features(self.models[0])
        able = {"revision": first.revise is not None and not self.efforts}
        able |= dict.fromkeys(STEP_SEARCHES, first.step is not None and not self.efforts)
        able["effort_ladder"] = len(self.efforts) > 1
        return [name for name in STRATEGIES if able.get(name, True)]

    def strategy(self, name: str) -> Strategy:
        """The strategy called `name`, with this job's settings."""
        if name in STRATEGIES and name not in self.strategies():
            lacks = {
                "revision": f"{self.models[0]} can't revise its answers",
                "effort_ladder": "effort_ladder needs several efforts: --effort low,medium,high",
            }
            what = lacks.get(name, f"{self.models[0]} can't be asked for single steps")
            raise BadInput(f"{what}; choose another strategy, such as self_consistency")
        profile = Profile.load(self.profile) if self.profile else None
        return strategy_named(name, worth=self.worth, profile=profile)

    def settings(self) -> dict[str, str | int | float | bool | None]:
        """What a record says of a job."""
        return {
            "questions": self.questions if self.questions is not None else "as many as there are",
            "split": self.split,
            "levels": ", ".join(self.levels) or "all",
            "temperature": self.temperature,
            "checkers asked": self.check,
            "effort": ", ".join(map(str, self.efforts)) or None,
            "worth": self.worth,
        }

    def _named(self, source: str) -> tuple[str, ...]:
        return tuple(TASKS) if source == "mixed" else (source,)

    def _source(self, name: str) -> tuple[Task, list[Question] | None]:
        """A task and, for a file, its questions."""
        if name in TASKS:
            return TASKS[name], None
        if Path(name).suffix in (".jsonl", ".json", ".ndjson") or Path(name).exists():
            return load_jsonl(name, checker=self.checker)
        raise BadInput(f"unknown task {name!r}; choose {_known_tasks()}")

    def _check_levels(self, tasks: list[Task]) -> None:
        if not self.levels:
            return
        known = list(dict.fromkeys(level for task in tasks for level in task.levels if level))
        unknown = [level for level in self.levels if level not in known]
        without = [task.name for task in tasks if not set(task.levels) & set(self.levels)]
        if unknown or without:
            said = f"unknown level {unknown[0]!r}" if unknown else f"{without[0]} has none of them"
            there = "; ".join(
                f"{t.name} has {', '.join(filter(None, t.levels)) or 'none'}" for t in tasks
            )
            raise BadInput(f"--levels {','.join(self.levels)}: {said}; {there}")


def _own_ids(questions: list[Question], others: list[Question]) -> list[Question]:
    """The same, with ids that no other file's questions have."""
    taken = {q.id for q in others}
    if taken.isdisjoint(q.id for q in questions):
        return questions
    return [replace(q, id=f"{q.task}/{q.id}") for q in questions]


def _known_tasks() -> str:
    return f"{', '.join([*TASKS, 'mixed'])}, or a JSONL file"
