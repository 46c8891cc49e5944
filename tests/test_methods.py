"""The headers of the methods: complete, their tests exist, PAPERS.md is written from them."""

import ast
from pathlib import Path

import pytest

from bursar.errors import BadInput
from bursar.methods import PACKAGE, ROOT, main, methods, methods_table, papers_markdown, read_header
from test_layers import imports

GOOD = '''"""Vote: takes the commonest of several answers.

Paper: A. Author, B. Writer, "On votes", 2023, arXiv:2203.11171; section 2, eq. (1).
Symbols: m -> num_samples;
  q -> question.
Differs: ties go to the
  first answer seen.
Checked: tests/papers/test_vote.py: beats one sample on a 3-choice toy.
Seed: 77

Prose that belongs to no field.
"""
'''


def write(folder: Path, text: str) -> Path:
    file = folder / "reason" / "vote.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_header_becomes_a_record(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "baseline.py").write_text('"""Not from a paper."""\n', encoding="utf-8")
    (method,) = methods(tmp_path)
    assert (method.name, method.package, method.file) == ("Vote", "reason", "reason/vote.py")
    assert method.arxiv == "2203.11171"
    assert method.symbols == "m -> num_samples; q -> question."
    assert method.differs == "ties go to the first answer seen."
    assert method.claim_test == "tests/papers/test_vote.py"
    assert method.claim == "beats one sample on a 3-choice toy."
    assert method.seeds_row == 77


def test_the_json_keys_are_the_contract(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (row,) = methods_table(tmp_path)["methods"]
    assert {"name", "package", "paper", "arxiv", "seeds_row", "claim_test"} <= set(row)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Differs: ties go to the\n  first answer seen.\n", "", "Differs"),
        ("Checked: tests/papers/test_vote.py: beats", "Cheked: beats", "Checked"),
        ("test_vote.py: beats one sample on a 3-choice toy.", "test_vote.py", "Checked"),
        ("Vote: takes the commonest", "Takes the commonest", "first line"),
        ("Seed: 77", "Seed: a lucky one", "Seed"),
    ],
)
def test_a_malformed_header_names_its_file(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(BadInput, match=rf"reason/vote\.py: .*{said}"):
        read_header(file, tmp_path)


def test_papers_lists_each_method_once_with_its_link(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    page = papers_markdown(tmp_path)
    assert page.count("### Vote") == 1
    assert "[arXiv:2203.11171](https://arxiv.org/abs/2203.11171)" in page


def test_every_header_in_the_package_is_well_formed() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    faults = []
    for file in files:
        try:
            method = read_header(file)
        except BadInput as error:
            faults.append(str(error))
            continue
        if method is not None and not (ROOT / method.claim_test).is_file():
            faults.append(f"{method.file}: Checked names {method.claim_test}, which is not there")
    assert not faults, "\n".join(faults)


def test_every_method_is_used_by_its_folder() -> None:
    """The line in the folder's dict (or whatever uses the method) was not forgotten."""
    used = {
        imported.module
        for file in PACKAGE.rglob("*.py")
        for imported in imports(
            ast.parse(file.read_text(encoding="utf-8")),
            ".".join(("bursar", *file.relative_to(PACKAGE).parts[:-1])),
        )
    }
    forgotten = []
    for method in methods():
        module = "bursar." + method.file.removesuffix(".py").replace("/", ".")
        if not any(name == module or name.startswith(module + ".") for name in used):
            forgotten.append(f"{method.file}: nothing imports it; name it in its folder's dict")
    assert not forgotten, "\n".join(forgotten)


def test_papers_md_is_up_to_date() -> None:
    written = (ROOT / "PAPERS.md").read_text(encoding="utf-8")
    assert written == papers_markdown(), "PAPERS.md is stale: run `make papers`"


def test_the_command_says_what_it_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--write" in capsys.readouterr().err
