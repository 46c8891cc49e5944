"""What pages are put together from, as HTML text. Texts are escaped here, unless called HTML."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from bursar.report.charts import Legend
from bursar.report.format import UNKNOWN


def cards(rows: Iterable[tuple[str, str, str]]) -> str:
    """The headline: rows of (name, figure, HTML that says more)."""
    body = "".join(
        f'<div><dt>{escape(name)}</dt><dd class="big">{escape(value)}</dd>'
        f'<dd class="soft">{more}</dd></div>'
        for name, value, more in rows
    )
    return f'<dl class="cards">{body}</dl>'


def section(title: str, says: str, body: str) -> str:
    """A heading, what it means (text; may be empty), and its content (HTML)."""
    said = f'<p class="soft">{escape(says)}</p>' if says else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>"


def legend(rows: Legend) -> str:
    """What the marks and lines of a chart stand for."""
    items = []
    for style, shape, words in rows:
        # A bare line such as "M-11 0h22" has no area to fill.
        drawn = f'<path class="{"mark" if shape.endswith("z") else "line"} {style}" d="{shape}"/>'
        icon = f'<svg viewBox="-13 -8 26 16" aria-hidden="true">{drawn}</svg>'
        items.append(f"<li>{icon}{escape(words)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def table(head: Sequence[str], lines: Iterable[Sequence[str]], numeric: range) -> str:
    """A table of texts; the columns in `numeric` are aligned to the right."""

    def cells(texts: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} class="{"n" if i in numeric else "t"}">{escape(text)}</{tag}>'
            for i, text in enumerate(texts)
        )

    rows = "".join(f"<tr>{cells(line, 'td')}</tr>" for line in lines)
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{cells(head, "th")}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def facts(title: str, given: Mapping[str, object]) -> str:
    """A section of names and values; None is unknown."""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(UNKNOWN if value is None else str(value))}</dd>"
        for name, value in given.items()
    )
    return section(title, "", f'<dl class="facts">{rows}</dl>')


def copyable(text: str) -> str:
    """Text in fixed type that one click selects."""
    return f'<pre tabindex="0">{escape(text)}</pre>'
