"""The figures of `serving_truth.py` as Markdown, on the terminal and in docs/serving.md."""

from typing import Any

from serving_runs import shown_runs

Result = dict[str, Any]
WAYS = ("with tables", "without tables", "as an unknown model")


def shown(result: Result) -> list[str]:
    """The result as Markdown tables, for the terminal and the documentation alike."""
    lines = [f"{result['rows']} rows, left out: {result['left_out']}. {result['date']}."]
    lines += [f"- {note}" for note in result["assumed"]]
    ways = [way for way in WAYS if way in result]
    for way in ways:
        lines += ["", f"### {way.capitalize()}", "", *_HEAD, _line("all rows", result[way]["all"])]
        lines.append(_line("each run once", result[way]["once"]))
        for key in ("mode", "tier", "engine", "device", "model", "group"):
            if way == ways[0] or key == "mode":
                parts = result[way][f"by {key}"].items()
                lines += [_line(f"{key}: {name}", part) for name, part in parts]
        lines += ["", "| predicted best within 5 % of the measured best | of | share |"]
        lines += ["|---|---:|---:|"]
        for goal, race in result[way]["ranking"].items():
            share = "-" if race["near"] is None else f"{race['near']:.0%}"
            lines.append(f"| {goal} | {race['groups']} | {share} |")
    return lines + (shown_runs(result["runs"]) if "runs" in result else [])


_HEAD = (
    "| | rows | TPOT | groups | inside | TTFT | groups | inside |",
    "|---|---:|---:|---:|---:|---:|---:|---:|",
)


def _line(name: str, part: Result) -> str:
    cells = [
        f"{part[metric][key]:.1%}"
        for metric in ("tpot", "ttft")
        for key in ("median_error", "median_of_groups", "inside")
    ]
    return f"| {name} | {part['rows']} | {' | '.join(cells)} |"


BEGIN, END = "<!-- figures: benchmarks/serving_truth.py -->", "<!-- end of figures -->"


def renewed(text: str, result: Result) -> str:
    """The page with its figures between `BEGIN` and `END` taken from `result`."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    figures = "\n".join(shown(result))
    return f"{before}{BEGIN}\n\n{figures}\n\n`{result['command']}`\n\n{END}{after}"
