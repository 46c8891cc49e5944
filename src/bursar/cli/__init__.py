"""The command line: thin. Exit codes: 0 done, 1 can't be met, 2 bad input, 3 an upstream failed."""

import sys
from collections.abc import Callable

import typer

from bursar.cli import calibrating, gateway, look, serving, spend, tenancy
from bursar.cli.screen import fail
from bursar.errors import BursarError

app = typer.Typer(
    name="bursar",
    help="Spend compute well: a limit in, a plan, the spending, never over, a receipt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_commands: tuple[Callable[..., None], ...] = (
    *(spend.solve, spend.compare, calibrating.calibrate, spend.report),
    *(look.cost, look.catalog, look.methods),
    *(serving.simulate, serving.plan, gateway.serve),
)
for _command in _commands:
    app.command()(_command)
app.add_typer(look.ledgers, name="ledger")
for _name in ("keys", "teams", "budgets"):
    app.add_typer(getattr(tenancy, _name), name=_name)

INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C ended."""


def main() -> None:
    """Entry point: bursar's own errors become one message and their exit code."""
    try:
        code = app(prog_name="bursar", standalone_mode=False)
    except BursarError as error:
        fail(str(error), error.exit_code)
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # whoever read our output has seen enough
            sys.exit(0)
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}; check the path, its rights and the free space", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # the parser's complaints about the arguments
            raise
        if not (said := error.format_message().strip()):  # the help was asked for, and shown
            sys.exit(2)
        context = getattr(error, "ctx", None)
        fail(f"{said.rstrip('.')}. See {context.command_path if context else 'bursar'} --help", 2)
    if code == INTERRUPTED:  # the parser makes this of Ctrl-C
        fail("stopped; what was spent is in the ledger", code)
