"""Runs the command line inside the test's process, which is much quicker than a new one."""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from unittest.mock import patch

from bursar.cli import main


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The last line of stdout."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found

    @property
    def errors(self) -> list[str]:
        """The error messages on stderr: there should be one, or none."""
        return [line for line in self.err.splitlines() if line.startswith("error:")]


def bursar(*arguments: str) -> Ran:
    """`bursar arguments...`."""
    out, err = StringIO(), StringIO()
    code: Any = 0
    with (
        patch.object(sys, "argv", ["bursar", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    return Ran(code, out.getvalue(), err.getvalue())
