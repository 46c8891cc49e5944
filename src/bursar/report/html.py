"""One HTML file for a run: works offline, light and dark, by keyboard and on a phone."""

from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path

from bursar.report.compare_page import compare_body
from bursar.report.plan_page import plan_body
from bursar.report.record import CompareRecord, Record, SolveRecord
from bursar.report.serving_record import PlanRecord, SimulateRecord
from bursar.report.simulate_page import simulate_body
from bursar.report.solve_page import solve_body


def write_page(record: Record, file: Path) -> Path:
    """Write the report of `record` to `file`, whole or not at all, and return it."""
    part = file.with_name(file.name + ".part")
    try:
        part.write_text(page(record), encoding="utf-8")
        return part.replace(file)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def page(record: Record) -> str:
    """The report as one self-contained document. Equal records give equal text."""
    match record:
        case SolveRecord():
            title, body = f"{record.task}, {record.strategy}", solve_body(record)
        case CompareRecord():
            title, body = "strategies at equal budgets", compare_body(record)
        case SimulateRecord():
            title, body = f"{record.model} on {record.device}, simulated", simulate_body(record)
        case PlanRecord():
            title, body = f"a fleet for {record.model}", plan_body(record)
    style = files("bursar.report").joinpath("style.css").read_text("utf-8")
    script = files("bursar.report").joinpath("page.js").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>bursar: {escape(title)}</title>\n<style>\n{style}</style>\n"
        f'<main>\n{body}\n</main>\n<div id="tip" role="status" hidden></div>\n'
        f"<script>\n{script}</script>\n</html>\n"
    )
