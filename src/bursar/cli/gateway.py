"""`bursar serve`: the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bursar.cli.screen import AsJson, emit, screen
from bursar.errors import BadInput

if TYPE_CHECKING:
    from bursar.gateway.config import Config


def serve(
    config: Annotated[
        Path | None,
        typer.Option(help="a TOML file (docs/gateway.toml); default: built-in models"),
    ] = None,
    host: Annotated[str, typer.Option(help="where to listen; in place of the file's")] = "",
    port: Annotated[int | None, typer.Option(help="0 takes a free one")] = None,
    workers: Annotated[int | None, typer.Option(help="processes")] = None,
    check: Annotated[bool, typer.Option("--check", help="only say whether it would start")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve an OpenAI-compatible gateway on which nothing can overspend."""
    try:
        from bursar.gateway.serve import check as check_config
        from bursar.gateway.serve import serve as run
    except ModuleNotFoundError as missing:
        raise BadInput(
            f"the gateway needs {missing.name}: pip install 'bursar[gateway]'"
        ) from missing
    asked = _config(config, {"host": host or None, "port": port, "workers": workers})
    lines = check_config(asked)
    if check:
        for line in lines:
            screen(as_json).print(line, highlight=False)
        if as_json:
            emit({"ok": True, "models": [model.name for model in asked.models]})
        return
    where = f"http://{asked.server.host}:{asked.server.port}"
    screen(as_json).print(
        f"bursar serves {', '.join(m.name for m in asked.models)} on {where}/v1, "
        f"books in {asked.ledger.place}; the dashboard is at {where}/dashboard/",
        highlight=False,
        soft_wrap=True,
    )
    if as_json:
        emit({"url": f"{where}/v1", "models": [model.name for model in asked.models]})
    run(asked, config)


def _config(path: Path | None, server: dict[str, object]) -> Config:
    from bursar.gateway.config import built_in, read_config, with_server

    given = {name: value for name, value in server.items() if value is not None}
    return with_server(built_in() if path is None else read_config(path), given)
