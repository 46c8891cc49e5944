"""What can go wrong on the command line, case by case.

Each case: the exit code of the contract, one message that says what, why and what to do, no
traceback, nothing half-made left behind, and no spend that the ledger does not have.
"""

import json
import os
import re
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from bursar.backends import sender
from bursar.backends.mock_server import Fault, MockServer
from bursar.backends.simulated import SimulatedBackend
from bursar.ledger import Ledger, store
from bursar.usage import Usage
from command_line import Ran, bursar

SOLVE = 'solve good.jsonl --model simulated --budget "20k tokens"'
CHAIN = 'solve chain --questions 4 --model tiny-0.3m --budget "1k tokens"'
COUNTDOWN = CHAIN.replace("chain", "countdown")
COMPARE = 'compare good.jsonl --model simulated --seeds 1 --budgets "10k tokens"'
CALIBRATE = "calibrate good.jsonl --model simulated"
COST = "cost --model llama-3.1-8b --device h100-sxm"

# description, command, exit code, what the message must match
CASES = [
    ("a budget without a unit", "{chain} --budget 100", 2, "no unit in '100': write for"),
    ("an unknown unit", '{chain} --budget "5 parsecs"', 2, "unknown unit 'parsecs'"),
    ("a negative budget", '{chain} --budget "-5 tokens"', 2, "'-5 tokens' must be.* zero or more"),
    ("an absurd budget", '{chain} --budget "1e999 tokens"', 2, "finite"),
    ("an empty budget", '{chain} --budget ""', 2, "empty amount in ''"),
    ("words for a budget", '{chain} --budget "lots of tokens"', 2, "can't read the amount 'lots"),
    ("a resource limited twice", '{chain} --budget "1k tokens, 2k tokens"', 2, "limited twice"),
    ("a budget of zero", '{chain} --budget "0 tokens"', 1, "no attempt at all.*of 0 tokens; raise"),
    ("too little for one call", '{chain} --budget "9 tokens"', 1, r"may take \d+ tokens of 9 tok"),
    ("no budget", "solve chain", 2, "Missing option '--budget'.*solve --help"),
    ("no command of that name", "sovle chain", 2, "sovle.*bursar --help"),
    ("an option that is not there", "{chain} --fast", 2, "--fast"),
    ("an unknown task", 'solve juggling --budget "1k tokens"', 2, "'juggling'; choose chain, cou"),
    ("an unknown strategy", "{chain} --strategy guess", 2, "strategy 'guess'; choose one of singl"),
    ("what is for chains only", "{countdown} --strategy lynx", 2, "knows chain, not countdown"),
    ("a model that can't be steered", "{solve} --strategy lynx", 2, "logits behind every token"),
    ("steps of what has none", "{solve} --strategy beam", 2, "can't be asked for single st"),
    ("a ladder of one rung", "{chain} --strategy effort_ladder", 2, "--effort low,medium,high"),
    ("an unknown effort", "{chain} --effort turbo", 2, "effort 'turbo' is not known; write low"),
    ("an effort without a dial", "{chain} --effort low", 2, "can't follow effort low; use tiny"),
    ("a dial on what it never saw", "{countdown} --model tiny-dial", 2, "chains only.*use tiny-1m"),
    ("an unknown baseline", "{chain} --baseline guess", 2, "strategy 'guess'; choose one of singl"),
    ("an unknown model", "{chain} --model gpt-99", 2, "model 'gpt-99'; known are: tiny-"),
    ("an unknown size", "{chain} --model tiny-9t", 2, "'tiny-9t' is not.* there are: tiny-0.3m"),
    ("no model", '{chain} --model ""', 2, "no model named"),
    ("a key that a model lacks", "{solve} --model simulated:iq=9", 2, "key 'iq'; use right"),
    ("an address that is none", "{solve} --model openai:m", 2, "write openai:MODEL@BASE_URL"),
    ("an empty file", 'solve empty.jsonl --budget "9k tokens"', 2, "no question in it; write"),
    ("a half-written line", 'solve half.jsonl --budget "9k tokens"', 2, "half.jsonl:2: not valid"),
    ("a line without a prompt", 'solve mute.jsonl --budget "9k tokens"', 2, "mute.jsonl:1: prompt"),
    ("an id twice", 'solve twice.jsonl --budget "9k tokens"', 2, "line 1; give every question"),
    ("a file in Latin-1", 'solve latin.jsonl --budget "9k tokens"', 2, "not UTF-8 text"),
    ("a file that is not there", 'solve no.jsonl --budget "9k tokens"', 2, "No such file"),
    ("a folder for a file", 'solve folder --budget "9k tokens"', 2, "folder: can't be read"),
    ("an unknown checker", "{solve} --checker magic", 2, "'magic' is not known; use one of exact"),
    ("a bad pattern", 'solve regex.jsonl --checker regex --budget "9k tokens"', 2, "not a pattern"),
    ("no letter to choose", "{solve} --checker choice", 2, "one letter A-J; use --checker exact"),
    ("an unknown level", "{chain} --levels 99", 2, "unknown level '99'; chain has 1, 2"),
    ("a level of another task", 'solve mixed --levels 1 --budget "9k tokens"', 2, "down has none"),
    ("no questions", "{chain} --questions 0", 2, "0 questions asked; ask for at least 1"),
    ("minus five questions", "{chain} --questions -5", 2, "-5 questions asked"),
    ("more questions than there are", "{chain} --levels 1 --questions 5000", 2, "ask for fewer"),
    ("some questions", "{chain} --questions some", 2, "'--questions'.*valid integer.*--help"),
    ("a negative seed", "{chain} --seed -1", 2, "seed -1; it must be a whole number from 0"),
    ("a seed past all counting", "{chain} --seed 99999999999999999999", 2, "seed 9999"),
    ("a negative temperature", "{chain} --temperature -0.1", 2, "temperature -0.1; it must be"),
    ("no temperature at all", "{chain} --temperature nan", 2, "temperature nan; it must be 0 or"),
    ("a right answer worth nothing", "{chain} --worth 0", 2, "worth 0; .* more than 0"),
    ("a right answer worth less", "{chain} --worth -3", 2, "worth -3; .* more than 0"),
    ("a model that can't revise", "{solve} --strategy revision", 2, "can't revise.*choose another"),
    ("a prompt the model can't read", "{solve} --model tiny-0.3m", 2, "vocabulary.*another b"),
    ("a baseline that can't be graded", 'solve open.jsonl --model simulated '
     '--budget "9k tokens" --baseline single', 2, "no known answer.*add `answer`"),
    ("a profile that is not there", "{chain} --profile no.json", 2, "No such file.*calibrate"),
    ("a profile that is none", "{chain} --profile good.jsonl", 2, "not a profile.*calibrate"),
    ("a folder for a ledger", "{solve} --ledger folder", 2, "unable to open.*folder exists"),
    ("a file that is no ledger", "{solve} --ledger half.jsonl", 2, "file is not a database; name"),
    ("a ledger in no folder", "{solve} --ledger no/where.sqlite", 2, "unable to open.*exists"),
    ("a run folder inside a file", "{solve} --runs half.jsonl/runs", 2, "can't be made.*--runs"),
    ("USD of a model without a price", '{solve} --budget "2 USD"', 1,
     "usd is limited but can't be bounded.*; limit tokens or tokens_in.*or requests instead"),
    ("USD of a server without a price", '{solve} --budget "2 USD" --model '
     "openai:m@http://127.0.0.1:9", 1, "usd is limited.*--usd-per-mtok IN,OUT, or limit tokens"),
    ("joules of a server", '{solve} --budget "5 kJ" --model openai:m@http://127.0.0.1:9', 1,
     "joules is limited but can't be bounded.*limit tokens"),
    ("no time", '{chain} --budget "0 s"', 1, "no attempt at all: 0 s"),
    ("a price that is none", "{solve} --usd-per-mtok cheap", 2, "'cheap': must be two numbers"),
    ("a negative price", "{solve} --usd-per-mtok=-1,2", 2, "price -1.0: must be"),
    ("a key file that is not there", "{solve} --model openai:m@http://127.0.0.1:9 --key-file no",
     2, "key file no: can't be read"),
    ("a key file that all may read", "{solve} --model openai:m@http://127.0.0.1:9 --key-file open",
     2, "others can read it; chmod 600 open"),
    ("no seeds", "{compare} --seeds 0", 2, "0 seeds: give at least one"),
    ("no strategies", '{compare} --strategies ""', 2, "0 strategies"),
    ("a place that is none", "{compare} --on mars", 2, "--on 'mars': must be one of here"),
    ("nothing to resume", "{compare} --resume nowhere", 2, "give --resume the folder of a compari"),
    ("no models", '{compare} --model " ; "', 2, "name at least one model"),
    ("an unknown strategy to compare", "{compare} --strategies auto,guess", 2, "strategy 'guess'"),
    ("budgets that can't be compared", '{compare} --budgets "10k tokens, 2 USD"', 2,
     "tokens and usd can't be compared; give all in one resource"),
    ("time to compare at", '{compare} --budgets "10 s"', 2, "can't be compared in seconds"),
    ("no budgets to compare at", '{compare} --budgets ""', 2, "budgets in nothing can't"),
    ("a budget of zero to compare at", '{compare} --budgets "0 tokens"', 1, "no attempt at all"),
    ("answers nobody knows to compare by", 'compare open.jsonl --model simulated '
     '--budgets "10k tokens"', 2, "'2' has no known answer and comparing needs"),
    ("two samples to fit", "{calibrate} --samples 2", 2, "2 samples .* take at least 4"),
    ("a profile to write in no folder", "{calibrate} --out no/profile.json", 2, "in no folder"),
    ("a folder for a profile to write", "{calibrate} --out folder", 2, "is a folder; name a file"),
    ("too little to calibrate with", '{calibrate} --budget "1 tokens"', 1, "no attempt at all"),
    ("an unknown device", "cost --model llama-3.1-8b --device abacus", 2, "abacus"),
    ("an unknown model to cost", "cost --model llama-99 --device h100-sxm", 2, "llama-99"),
    ("an unknown hosted model", "cost --api gpt-99", 2, "gpt-99"),
    ("nothing to cost", "cost", 2, "give --model and --device, or --api alone"),
    ("a prompt of minus one token", "{cost} --input -1", 2, "-1"),
    ("a batch of nobody", "{cost} --batch 0", 2, "0"),
    ("a model that does not fit", "{cost} --device t4 --output 9999999", 1, "little: use more dev"),
    ("an unknown table", "catalog spells", 2, "'spells'; use one of devices, models"),
    ("an unknown entry", "catalog devices abacus", 2, "abacus"),
    ("a report of nothing", "report folder", 2, "folder/run.json.*run folder or"),
    ("a report of something else", "report half.jsonl", 2, "half.jsonl: .*write it again"),
    ("a ledger that is not there", "ledger verify no.sqlite", 2, "no ledger at no.sqlite"),
    ("a ledger that is none", "ledger totals half.jsonl", 2, "not a database"),
]  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files good and bad, and without an API key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(sender, "full_jitter", lambda *_, **__: 0.0)  # retry without waiting
    lines = [{"id": str(i), "prompt": f"{i} + 1?", "answer": "right"} for i in range(1, 7)]
    files = {
        "good.jsonl": "\n".join(map(json.dumps, lines)),
        "empty.jsonl": "\n\n",
        "half.jsonl": json.dumps(lines[0]) + '\n{"id": "2", "prom',
        "mute.jsonl": '{"id": "1", "answer": "3"}',
        "twice.jsonl": '{"id": "1", "prompt": "a"}\n{"id": "1", "prompt": "b"}',
        "regex.jsonl": '{"prompt": "a", "answer": "(unclosed"}',
        "open.jsonl": '{"prompt": "a", "answer": "b"}\n{"prompt": "c"}',
        "open": "sk-secret",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "caf\xe9"}'.encode("latin-1"))
    (tmp_path / "folder").mkdir()
    return tmp_path


def words(command: str) -> list[str]:
    """A command line as a shell splits it, with its beginnings filled in."""
    starts = {
        "chain": CHAIN,
        "countdown": COUNTDOWN,
        "solve": SOLVE,
        "compare": COMPARE,
        "calibrate": CALIBRATE,
    }
    return shlex.split(command.format(**starts, cost=COST))


def is_one_clear_message(ran: Ran, code: int, said: str) -> bool:
    """One line on stderr, that matches; the code of the contract; nothing that only we can read."""
    assert "Traceback" not in ran.err
    assert ran.code == code, ran.err
    assert len(ran.errors) == 1
    assert re.search(said, ran.errors[0]), ran.err
    assert "sk-secret" not in ran.err + ran.out
    return True


@pytest.mark.parametrize(
    ("command", "code", "said"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bad_input(home: Path, command: str, code: int, said: str) -> None:
    before = sorted(p.name for p in home.rglob("*"))
    ran = bursar(*words(command))
    assert is_one_clear_message(ran, code, said)
    assert ran.out == ""
    assert ran.err.count("\n") == 1, "one message and no more"
    assert sorted(p.name for p in home.rglob("*")) == before, "something was left behind"


def booked(home: Path) -> Usage:
    """What the ledger of the one run has, held or spent; the ledger holds together."""
    (place,) = home.glob("runs/*/ledger.sqlite")
    with Ledger(place, create=False) as ledger:
        assert ledger.verify().entries > 0
        return Usage.total(
            part for a in ledger.accounts() if a.path.count("/") == 1 for part in (a.spent, a.held)
        )


def assert_left_whole(home: Path) -> dict[str, object]:
    """The record is there, whole, with its report, and nothing unfinished beside it."""
    (folder,) = home.glob("runs/*")
    assert {p.name for p in folder.iterdir()} >= {"run.json", "report.html", "ledger.sqlite"}
    assert not list(folder.glob("*.part"))
    record: dict[str, object] = json.loads((folder / "run.json").read_text("utf-8"))
    assert bursar("report", str(folder)).code == 0
    return record


# description, what each request meets, what the message must match
UPSTREAMS: list[tuple[str, Callable[[int], Fault], str]] = [
    ("too many requests, for ever", lambda n: Fault("429"), "HTTP 429: mock 429; lower the conc"),
    ("a key that is missing", lambda n: Fault("401"), r"HTTP 401: mock 401; set the API key"),
    ("a server that is overloaded", lambda n: Fault("503"), "HTTP 503: mock 503; try later"),
    ("an answer that is no JSON", lambda n: Fault("garbage"), r"unreadable reply.*upper bound"),
    ("a stream that is cut", lambda n: Fault("cut"), "RemoteProtocolError.*charged at its upper"),
    (
        "down after some answers",
        lambda n: Fault("ok" if n < 4 else "503"),
        "HTTP 503.* have no answer",
    ),
]


@pytest.mark.parametrize(
    ("fault", "said"), [c[1:] for c in UPSTREAMS], ids=[c[0] for c in UPSTREAMS]
)
def test_an_upstream_that_fails(home: Path, fault: Callable[[int], Fault], said: str) -> None:
    with MockServer(fault=fault) as server:
        model = f"openai:m@{server.base_url}"
        ran = bursar(*words(SOLVE), "--model", model, "--strategy", "single", "--json")
        counted = server.spent.tokens or 0
    assert is_one_clear_message(ran, 3, said)
    record = assert_left_whole(home)
    assert ran.document["spent"]["tokens"] == booked(home).tokens >= counted
    assert record["limit"] == {"tokens": 20000}
    assert (booked(home).tokens or 0) <= 20000


def test_no_server_at_all(home: Path) -> None:
    ran = bursar(*words(SOLVE), "--model", "openai:m@http://127.0.0.1:9", "--json")
    assert is_one_clear_message(ran, 3, "openai:m: can't connect to .*is the server running")
    assert booked(home).tokens == 0
    assert ran.document["answered"] == 0
    assert_left_whole(home)


def test_comparing_on_a_server_that_fails_says_so(home: Path) -> None:
    """And does not count what was never answered as wrong."""
    with MockServer(fault=lambda n: Fault("ok" if n < 6 else "429")) as server:
        ran = bursar(*words(COMPARE), "--strategies", "single,self_consistency", "--model",
                     f"openai:m@{server.base_url}")  # fmt: skip
        counted = server.spent.tokens
    assert is_one_clear_message(ran, 3, "HTTP 429")
    assert booked(home).tokens == counted
    (record,) = home.glob("runs/*/run.json")
    assert {r["strategy"] for r in json.loads(record.read_text("utf-8"))["rows"]} == {"single"}


def test_a_server_that_bills_more_than_it_may(home: Path) -> None:
    with MockServer(fault=lambda n: Fault("lies", usage=(1000, 50_000))) as server:
        model = f"openai:m@{server.base_url}"
        ran = bursar(*words(SOLVE), "--model", model, "--strategy", "single")
        counted = server.spent.tokens
    assert is_one_clear_message(
        ran, 3, r"reports more than it was allowed.*of 20k tok.*booked in f"
    )
    assert booked(home).tokens == counted, "all that is billed is booked"


def test_a_key_is_never_shown(home: Path) -> None:
    (home / "open").chmod(stat.S_IRUSR)
    with MockServer(fault=lambda n: Fault("401")) as server:
        model = f"openai:m@{server.base_url}"
        ran = bursar(*words(SOLVE), "--model", model, "--key-file", "open")
        assert {s.authorization for s in server.seen} == {"Bearer sk-secret"}
    assert is_one_clear_message(ran, 3, "HTTP 401")
    kept = b"".join(p.read_bytes() for p in home.glob("runs/**/*") if p.is_file())
    assert b"sk-secret" not in kept


def test_a_model_that_breaks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error nobody foresaw, in a model, is charged at its bound: nobody knows what it used."""

    async def out_of_memory(self: SimulatedBackend, requests: object) -> list[object]:
        raise MemoryError("no room for the cache")

    monkeypatch.setattr(SimulatedBackend, "complete", out_of_memory)
    ran = bursar(*words(SOLVE), "--strategy", "single")
    assert is_one_clear_message(ran, 3, "simulated: MemoryError: no room for the cache")
    assert (booked(home).tokens or 0) > 0
    assert_left_whole(home)


def test_a_person_who_interrupts(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, calls = SimulatedBackend._sample, []

    def interrupted(self: SimulatedBackend, request: object) -> object:
        calls.append(request)
        if len(calls) == 10:
            signal.raise_signal(signal.SIGINT)
        return usual(self, request)  # type: ignore[arg-type]

    monkeypatch.setattr(SimulatedBackend, "_sample", interrupted)
    # a shell starts background jobs with Ctrl-C ignored, and then there is nothing to test
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ran = bursar(*words(SOLVE), "--strategy", "self_consistency")
    finally:
        signal.signal(signal.SIGINT, before)
    assert is_one_clear_message(ran, 130, "stopped; what was spent is in the ledger")
    assert (booked(home).tokens or 0) > 0
    assert_left_whole(home)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ledgers that may grow by a few pages, and then find the disk full."""
    usual = store.open_engine

    def small(*arguments: object) -> object:
        engine = usual(*arguments)  # type: ignore[arg-type]

        @event.listens_for(engine, "connect")
        def shrink(connection: sqlite3.Connection, _: object) -> None:
            connection.execute("PRAGMA max_page_count = 24")

        engine.dispose()
        return engine

    monkeypatch.setattr(store, "open_engine", small)


def test_a_disk_that_fills_up(home: Path, full_disk: None) -> None:
    """What could not be settled is held, and will be charged at its bound."""
    with MockServer() as server:
        model = f"openai:m@{server.base_url}"
        ran = bursar(*words(SOLVE), "--model", model, "--strategy", "self_consistency", "--json")
        counted = server.spent.tokens or 0
    assert is_one_clear_message(ran, 3, "ledger .* full; free some space.*once its hold expires")
    assert_left_whole(home)
    assert 20_000 >= ran.document["spent"]["tokens"] == booked(home).tokens >= counted > 0
    lines = ran.document["receipt"]
    assert sum(line["measured"] for line in lines) == ran.document["spent"]["tokens"]


def test_an_edited_ledger(home: Path) -> None:
    assert bursar(*words(SOLVE)).code == 0
    (place,) = home.glob("runs/*/ledger.sqlite")
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE bursar_entries SET what = 'nothing' WHERE seq = 3")
    connection.close()
    assert is_one_clear_message(bursar("ledger", "verify", str(place)), 1, "entry 3.*from a copy")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_not_be_written(home: Path) -> None:
    (home / "folder").chmod(0o500)
    ran = bursar(*words(SOLVE), "--runs", "folder/runs")
    assert is_one_clear_message(ran, 2, "can't be made.*--runs")


PROCESSES = [
    (CHAIN + ' --budget "1 wish"', 2, "unknown unit 'wish'"),
    (SOLVE + " --model openai:m@http://127.0.0.1:9 --budget '2 USD'", 1, "usd is limited"),
    ("catalog devices", 0, ""),
]


@pytest.mark.parametrize(("command", "code", "said"), PROCESSES)
def test_in_a_process_of_its_own(home: Path, command: str, code: int, said: str) -> None:
    start = [sys.executable, "-W", "error", "-c", "from bursar.cli import main; main()"]
    done = subprocess.run(
        [*start, *words(command)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr.count("\n")) == (code, int(bool(said))), done.stderr
    assert said in done.stderr
