"""All operator tables below a folder, whichever of the known formats they have."""

from pathlib import Path

from bursar.cost.tables.aiconfigurator import read_aiconfigurator
from bursar.cost.tables.llmservingsim import read_llmservingsim
from bursar.cost.tables.operator import OperatorTable
from bursar.cost.tables.vidur import read_vidur
from bursar.errors import BadInput


def read_tables(folder: str | Path, *, device_name: str | None = None) -> tuple[OperatorTable, ...]:
    """Tables of AIConfigurator, Vidur and LLMServingSim, or only those of one catalogue device.

    Raises `BadInput` when the folder is not there or holds none.
    """
    path = Path(folder)
    if not path.is_dir():
        raise BadInput(f"{path} is no folder; name the one that holds the operator tables")
    found = (
        *read_aiconfigurator(path, device_name=device_name),
        *read_vidur(path, device_name=device_name),
        *read_llmservingsim(path, device_name=device_name),
    )
    if not found:
        whose = "" if device_name is None else f" of {device_name}"
        raise BadInput(f"no operator tables{whose} below {path}; give a folder that has them")
    return found
