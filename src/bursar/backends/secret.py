"""API keys: read from the environment or a private file, never shown."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bursar.errors import BadInput


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A key that does not show itself: not in `repr`, and `redact` takes it out of any text."""

    _value: str

    def __repr__(self) -> str:
        return "Secret(***)"

    def reveal(self) -> str:
        """The key itself, for the one header that carries it."""
        return self._value

    def redact(self, text: str) -> str:
        """`text` without the key."""
        return text.replace(self._value, "***")


def read_key(
    variable: str = "OPENAI_API_KEY",
    *,
    file: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Secret | None:
    """The key in `file` when one is named, else in the environment; None when there is none.

    Raises `BadInput` for a file that others may read, and for a key that no header can carry.
    """
    if file is not None:
        key, source = _read_private(Path(file)), f"key file {file}"
    else:
        key = (os.environ if environ is None else environ).get(variable, "").strip()
        source = f"environment variable {variable}"
        if not key:
            return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadInput(f"{source}: must hold one key of printable ASCII without spaces")
    return Secret(key)


def _read_private(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise BadInput(
                    f"key file {path} has mode {mode:o}, so others can read it; chmod 600 {path}"
                )
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadInput(f"key file {path}: can't be read ({reason})") from None
