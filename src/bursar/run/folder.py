"""The run folder: made fresh for one run, gone again when the run could not begin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bursar.errors import BadInput
from bursar.report.html import write_page
from bursar.report.record import Record
from bursar.run.job import Job


def run_dir(root: Path, job: Job, kind: str = "solve") -> Path:
    """A fresh folder's name for a run: by time, what was asked, and the seed."""
    what = "-".join(Path(s).stem for s in job.sources)[:60]
    return fresh_dir(root, f"{kind}-{what}-{job.seed}")


def fresh_dir(root: Path, what: str) -> Path:
    """A folder's name in `root` that no other has: by time, and what was asked."""
    first = root / f"{time.strftime('%Y%m%d-%H%M%S')}-{what}"
    folder, i = first, 1
    while folder.exists():
        folder, i = first.with_name(f"{first.name}-{i}"), i + 1
    return folder


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """`out`, made now. If the body fails while it is still empty, it is taken away again.

    Raises `BadInput` when it can't be made.
    """
    made = [p for p in (out, *out.parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"the run folder {out} can't be made ({error.strerror}); choose a place with --runs"
        ) from None
    try:
        yield out
    except BaseException:
        for folder in made:
            with suppress(OSError):  # not empty: it holds what was spent
                folder.rmdir()
        raise


def write(record: Record, out: Path) -> Path:
    """Leave the record in `out`/run.json, whole or not at all, and its report; the report's path.

    Raises `BadInput` when it can't be written.
    """
    part = out / "run.json.part"
    try:
        out.mkdir(parents=True, exist_ok=True)
        part.write_text(record.model_dump_json(indent=1), encoding="utf-8")
        part.replace(out / "run.json")
        return write_page(record, out / "report.html")
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise BadInput(
            f"the run folder {out} can't be written ({error.strerror}); free some space or choose "
            "another place with --runs"
        ) from None
