"""Profile: what `bursar calibrate` learned on labelled questions, and `auto` starts from.

A profile is one JSON file: per task the models' laws of success, how wrong answers agree, and,
for people, the curves of accuracy over samples.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.errors import BadInput
from bursar.value.answer_belief import AnswerLaw

VERSION = 1
MOST_QUESTIONS = 30.0
"""As how many questions a profile counts at most, so that new ones can still correct it."""


def task_entry(law: AnswerLaw, backends: Sequence[str]) -> dict[str, Any]:
    """A task's part of a profile: what was learned of it."""
    return {
        "alphas": list(law.alphas),
        "trust": law.trust,
        "questions": law.questions,
        "models": {
            name: {"mean": law.mean[i], "slope": law.slope[i], "spread": law.spread[i]}
            for i, name in enumerate(backends)
        },
    }


@dataclass(frozen=True, slots=True)
class Profile:
    """Task name -> what is known of it; the JSON document as it was read."""

    tasks: Mapping[str, Mapping[str, Any]]

    def law(self, task: str, backends: tuple[str, ...]) -> AnswerLaw | None:
        """The law of `task` for these models, in their order; None where one of them is unknown."""
        known = self.tasks.get(task)
        if known is None or any(name not in known["models"] for name in backends):
            return None
        laws = [known["models"][name] for name in backends]
        return AnswerLaw(
            mean=tuple(x["mean"] for x in laws),
            slope=tuple(x["slope"] for x in laws),
            spread=tuple(x["spread"] for x in laws),
            alphas=tuple(known["alphas"]),
            trust=known["trust"],
            questions=min(known["questions"], MOST_QUESTIONS),
        )

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        part = path.with_name(path.name + ".part")
        part.write_text(
            json.dumps({"version": VERSION, "tasks": self.tasks}, indent=1), encoding="utf-8"
        )
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read the file; raises `BadInput` when it is not a profile of this version."""
        remedy = "write one with bursar calibrate"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            tasks = data["tasks"]
            if data["version"] != VERSION:
                raise BadInput(f"profile {path} is of version {data['version']}; {remedy}")
            for task in tasks.values():
                _ = (
                    task["alphas"],
                    task["questions"],
                    task["trust"],
                    [(x["mean"], x["slope"], x["spread"]) for x in task["models"].values()],
                )
        except OSError as error:
            raise BadInput(f"profile {path}: can't be read ({error.strerror}); {remedy}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"profile {path}: not a profile ({error}); {remedy}") from None
        return cls(tasks)
