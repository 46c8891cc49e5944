"""The command line: thin. Exit codes: 0 done, 1 can't be met, 2 bad input, 3 an upstream failed."""

from collections.abc import Callable

import typer

from bursar.cli import look, spend
from bursar.cli.screen import fail
from bursar.errors import BursarError

app = typer.Typer(
    help="Spend compute well: a limit in, a plan, the spending, never over, a receipt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_commands: tuple[Callable[..., None], ...] = (
    *(spend.solve, spend.compare, spend.calibrate, spend.report),
    *(look.cost, look.catalog, look.methods),
)
for _command in _commands:
    app.command()(_command)
app.add_typer(look.ledgers, name="ledger")


def main() -> None:
    """Entry point: bursar's own errors become one message and their exit code."""
    try:
        app(standalone_mode=False)
    except BursarError as error:
        fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        fail("stopped; what was spent is in the ledger", 130)
    except Exception as error:
        if not hasattr(error, "format_message"):  # the parser's complaints about the arguments
            raise
        fail(error.format_message(), 2)
