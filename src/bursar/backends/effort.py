"""Effort: how hard a model is asked to think, on the scale of hosted APIs' `reasoning_effort`.

A mode (low, medium, high), or a share of the length that a question usually takes. Who can't follow
an effort refuses it: ignored in silence, it would give a cheap answer's name to a dear one.
"""

from collections.abc import Sequence
from dataclasses import replace

from bursar.backends.base import Backend, Completion, Effort, Request
from bursar.errors import BadInput
from bursar.usage import Usage

MODES = ("low", "medium", "high")


def parse_effort(text: str) -> Effort:
    """ "low", "medium", "high", or a share such as "0.5". Raises `BadInput` for anything else."""
    if text in MODES:
        return text
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise BadInput(
            f"effort {text!r} is not known; write {', '.join(MODES)}, or a share above 0 and up to "
            "1, such as 0.5"
        )
    return share


def refuse_effort(name: str, requests: Sequence[Request]) -> None:
    """Raises `BadInput` if one of `requests` asks for an effort: model `name` has no dial."""
    for request in requests:
        if request.effort is not None:
            raise BadInput(
                f"{name} can't follow an effort ({request.effort} was asked for); leave it out, or "
                "use tiny-dial, tiny-e1 or an openai: model"
            )


class Dialled:
    """A backend at one effort, as a model of its own: planners then compare efforts like models."""

    def __init__(self, backend: Backend, effort: Effort) -> None:
        self.name = f"{backend.name}@{effort}"
        self._backend, self._effort = backend, effort

    def upper_bound(self, request: Request) -> Usage:
        return self._backend.upper_bound(replace(request, effort=self._effort))

    async def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return await self._backend.complete([replace(r, effort=self._effort) for r in requests])

    async def aclose(self) -> None:
        await self._backend.aclose()
