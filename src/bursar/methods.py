"""The published methods in this package, read from the headers of their files.

A method's file opens with a docstring that names its paper (`Paper:`), maps the paper's symbols
to our names (`Symbols:`), lists each departure (`Differs:`) and names the test of its claim
(`Checked:`). `PAPERS.md` and `bursar methods` are written from these headers, and nothing is
imported to read them. ``python -m bursar.methods --write`` writes `PAPERS.md` again.
"""

import ast
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from bursar.errors import BadInput

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parents[1]
"""The checkout: tests and PAPERS.md are there. An installed package has only the headers."""

FIELDS = ("Paper", "Symbols", "Differs", "Checked", "Seed")
_FIELD = re.compile(rf"^({'|'.join(FIELDS)}):\s*", re.MULTILINE)
_ARXIV = re.compile(r"arXiv:\s*(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})")


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what its file's header says."""

    name: str
    what: str
    package: str
    """The package it lives in, such as "reason" or "allocate"."""
    file: str
    """Relative to `src/bursar`."""
    paper: str
    arxiv: str | None
    symbols: str | None
    differs: str
    claim_test: str
    """The test of its claim, relative to the checkout."""
    claim: str
    seeds_row: int | None


class MethodsTable(TypedDict):
    """What `bursar methods --json` prints."""

    methods: list[dict[str, str | int | None]]


def methods(package: Path = PACKAGE) -> list[Method]:
    """Every method under `package`, by package and then by file.

    Raises `BadInput` naming the first file whose header is malformed.
    """
    found = [read_header(file, package) for file in sorted(package.rglob("*.py"))]
    return [method for method in found if method is not None]


def read_header(file: Path, package: Path = PACKAGE) -> Method | None:
    """The method of one file; None when its docstring names no paper.

    Raises `BadInput` when a header names a paper but lacks `Differs:` or `Checked:`, or its
    first line is not "<Method>: <what it does>".
    """
    source = file.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source, filename=str(file)))
    if docstring is None or re.search(r"^Paper:", docstring, re.MULTILINE) is None:
        return None
    where = file.relative_to(package).as_posix()
    intro, *rest = _FIELD.split(docstring)
    # A field ends at a blank line: what follows is prose about the method.
    texts = (_one_line(text.split("\n\n")[0]) for text in rest[1::2])
    fields = dict(zip(rest[0::2], texts, strict=True))
    name, colon, what = _one_line(intro.split("\n\n")[0]).partition(": ")
    if not colon:
        raise BadInput(f"{where}: the first line is {name!r}, write '<Method>: <what it does>.'")
    for needed in ("Differs", "Checked"):
        if not fields.get(needed):
            raise BadInput(f"{where}: the header has no '{needed}:' line; add it")
    claim_test, _, claim = fields["Checked"].partition(": ")
    if not claim:
        raise BadInput(f"{where}: write 'Checked: <test file>: <the claim, at what scale>.'")
    seed = fields.get("Seed")
    if seed is not None and not seed.rstrip(".").isdigit():
        raise BadInput(f"{where}: Seed is {seed!r}, it must be a row number")
    arxiv = _ARXIV.search(fields["Paper"])
    return Method(
        name=name,
        what=what,
        package=where.split("/")[0].removesuffix(".py"),
        file=where,
        paper=fields["Paper"],
        arxiv=arxiv[1] if arxiv else None,
        symbols=fields.get("Symbols"),
        differs=fields["Differs"],
        claim_test=claim_test.strip(" `"),
        claim=claim,
        seeds_row=int(seed.rstrip(".")) if seed is not None else None,
    )


def methods_table(package: Path = PACKAGE) -> MethodsTable:
    """All methods as the JSON document of `bursar methods`."""
    return {"methods": [asdict(method) for method in methods(package)]}


def papers_markdown(package: Path = PACKAGE) -> str:
    """`PAPERS.md`: the methods of each package with paper, departures and claim."""
    found = methods(package)
    lines = [
        "# Papers",
        "",
        "Written by `make papers` from the headers of the files named here; do not edit.",
        f"Methods: {len(found)}.",
    ]
    for name in sorted({method.package for method in found}):
        lines += ["", f"## {name}"]
        for method in (m for m in found if m.package == name):
            lines += [
                "",
                f"### {method.name}",
                f"{method.what} [`{method.file}`](src/bursar/{method.file})",
                f"- Paper: {_linked(method)}",
                f"- Differs: {method.differs}",
                f"- Checked: [`{method.claim_test}`]({method.claim_test}): {method.claim}",
            ]
    return "\n".join(lines) + "\n"


def _linked(method: Method) -> str:
    if method.arxiv is None:
        return method.paper
    link = f"[arXiv:{method.arxiv}](https://arxiv.org/abs/{method.arxiv})"
    return _ARXIV.sub(link, method.paper, count=1)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def main(arguments: list[str]) -> int:
    """``--write`` writes PAPERS.md; ``--check`` says (and exits 1) when it is stale."""
    papers = ROOT / "PAPERS.md"
    if arguments == ["--write"]:
        papers.write_text(papers_markdown(), encoding="utf-8")
    elif arguments == ["--check"]:
        if not papers.exists() or papers.read_text(encoding="utf-8") != papers_markdown():
            print("PAPERS.md is stale: run `make papers`", file=sys.stderr)
            return 1
    else:
        print("say --write or --check", file=sys.stderr)
        return BadInput.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
