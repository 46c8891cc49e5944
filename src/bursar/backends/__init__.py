"""What generates. `open_backend` finds a backend by its name; nothing heavy is imported before."""

from collections.abc import Callable
from typing import Any

from bursar.backends.base import Backend, Completion, Request
from bursar.errors import BadInput

__all__ = ["BACKENDS", "Backend", "Completion", "Request", "open_backend"]


def _tiny(size: str, **options: Any) -> Backend:
    from bursar.backends.tiny import open_tiny

    return open_tiny(f"tiny-{size}", **options)


def _speculative(rest: str, **options: Any) -> Backend:
    from bursar.backends.speculative import open_speculative

    return open_speculative(rest, **options)


def _replay(rest: str, **options: Any) -> Backend:
    from bursar.backends.replay import ReplayBackend, read_samples

    path, _, arm = rest.partition("#")
    return ReplayBackend(read_samples(path, arm=arm or None), name=f"replay:{rest}", **options)


def _simulated(rest: str, **options: Any) -> Backend:
    from bursar.backends.simulated import parse_simulated

    return parse_simulated(rest, **options)


def _openai(rest: str, **options: Any) -> Backend:
    from bursar.backends.openai import open_openai

    return open_openai(rest, **options)


def _transformers(rest: str, **options: Any) -> Backend:
    from bursar.backends.transformers import TransformersBackend

    return TransformersBackend.open(rest, **options)


BACKENDS: dict[str, tuple[str, Callable[..., Backend]]] = {
    "tiny-": ("tiny-0.3m, tiny-1m, tiny-dial, tiny-e1", _tiny),
    "speculative:": ("speculative:DRAFT+TARGET or speculative:DRAFT+TARGET#SHAPE", _speculative),
    "replay:": ("replay:FILE or replay:FILE#ARM", _replay),
    "simulated": ("simulated or simulated:right=2,wrong=3,median_tokens=200", _simulated),
    "openai:": ("openai:MODEL@BASE_URL", _openai),
    "transformers:": ("transformers:PATH_OR_NAME", _transformers),
}
"""How a name begins -> (how it is written, what opens it)."""


def open_backend(spec: str, **options: Any) -> Backend:
    """The backend that `spec` names; `options` go to its constructor. Close it with `aclose`.

    Raises `BadInput` with the list of names for one that is not known.
    """
    for prefix, (_, opener) in BACKENDS.items():
        if spec.startswith(prefix):
            return opener(spec.removeprefix(prefix), **options)
    known = "; ".join(written for written, _ in BACKENDS.values())
    raise BadInput(f"unknown model {spec!r}; known are: {known}")
