"""The one thread of a process that writes a ledger: callers who come at once share a commit."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from bursar.errors import BadInput, BursarError, LedgerCorrupt
from bursar.ledger.book import Book
from bursar.ledger.disk import Behind
from bursar.ledger.schema import storage_error
from bursar.ledger.shelf import Shelf
from bursar.ledger.transaction import writing_on

T = TypeVar("T")


@dataclass(slots=True)
class Ticket(Generic[T]):
    """One caller's operation, and then its own result or its own error.

    `accounts` and `holds` are what `run` will use, to be read beforehand for all callers at once.
    A caller waits for `done` in a thread or for `future` on an event loop, or not at all. `undo` is
    what to do with a result that nobody takes any more.
    """

    run: Callable[[Book], T]
    accounts: Sequence[str] = ()
    holds: Sequence[int] = ()
    undo: Callable[[T], Ticket[Any]] | None = None
    durable: bool = False
    """Told only when it is on disk, where commits do not wait for that."""
    done: threading.Event | None = None
    future: asyncio.Future[T] | None = None
    value: T | None = None
    error: Exception | None = None


class Writer:
    """Runs operations on `engine`, as many as wait (at most `batch`) in one transaction.

    `using` is held meanwhile: an in-memory database has one connection for readers and writer.
    `log` is the file to be put on disk behind the commits, None where they wait for it themselves.
    """

    def __init__(
        self,
        engine: Engine,
        place: str,
        clock: Callable[[], float],
        environment: str,
        worker: str,
        batch: int,
        timeout_s: float,
        using: AbstractContextManager[Any],
        log: str | None,
    ) -> None:
        self._engine, self._place, self._clock = engine, place, clock
        self._environment, self._worker = environment, worker
        self._batch, self._timeout_s, self._using = batch, timeout_s, using
        self._shelf = Shelf()
        self.on_commit: Callable[[float], None] | None = None
        """Told how many seconds each commit took, on the writer's thread; it must not raise."""
        self._behind = Behind(log, self._tell_on_disk) if log else None
        self._waiting: SimpleQueue[Ticket[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="bursar-ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._waiting.put(None)
        self._thread.join()
        if self._behind:
            self._behind.close()

    def submit(self, ticket: Ticket[T]) -> T:
        """Hand an operation to the writer; returns, or raises, what came of it once it is durable.

        A caller interrupted while it waits may leave a hold behind: it expires, as after a crash.
        """
        ticket.done = threading.Event()
        self._send(ticket)
        ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.value  # type: ignore[return-value]

    def begin(self, ticket: Ticket[T]) -> asyncio.Future[T]:
        """The same for a caller on the running event loop, which does not wait meanwhile.

        Goes through also when the future is cancelled; then what the ticket says is undone.
        """
        ticket.future = asyncio.get_running_loop().create_future()
        self._send(ticket)
        return ticket.future

    def on_disk(self) -> asyncio.Future[None]:
        """Done when all that was committed before is on disk."""
        self._check_open()
        ticket: Ticket[None] = Ticket(lambda _: None)
        ticket.future = asyncio.get_running_loop().create_future()
        if self._behind:
            self._behind.wait(ticket)
        else:
            ticket.future.set_result(None)
        return ticket.future

    def undo(self, ticket: Ticket[T]) -> None:
        """Nobody takes this result."""
        if ticket.error is None and ticket.undo is not None:
            self._waiting.put(ticket.undo(ticket.value))  # type: ignore[arg-type]

    def _send(self, ticket: Ticket[Any]) -> None:
        self._check_open()
        self._waiting.put(ticket)

    def _check_open(self) -> None:
        if not self._thread.is_alive():
            raise BadInput(f"the ledger {self._place} is closed; open it again")

    def _write(self) -> None:
        """The writer: commit whatever waits, together, until closed."""
        while (first := self._waiting.get()) is not None:
            tickets = [first]
            while len(tickets) < self._batch and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                tickets.append(following)
            began = time.perf_counter()
            with self._using:
                self._commit(tickets)
            if self.on_commit:
                self.on_commit(time.perf_counter() - began)
            if self._behind:
                waiting = [t for t in tickets if t.durable and t.error is None]
                self._behind.committed(waiting)
                tickets = [t for t in tickets if not (t.durable and t.error is None)]
            self._tell(tickets)

    def _tell_on_disk(self, tickets: Sequence[Ticket[Any]], failure: BadInput | None) -> None:
        for ticket in tickets:
            ticket.error = failure
        self._tell(tickets)

    def _tell(self, tickets: Sequence[Ticket[Any]]) -> None:
        """Wake all whose operations were committed, each event loop once."""
        loops: dict[asyncio.AbstractEventLoop, list[Ticket[Any]]] = {}
        for ticket in tickets:
            if ticket.future is not None:
                loops.setdefault(ticket.future.get_loop(), []).append(ticket)
            elif ticket.done is not None:
                ticket.done.set()
        for loop, theirs in loops.items():
            try:
                loop.call_soon_threadsafe(self._answer, theirs)
            except RuntimeError:  # the loop was closed: its callers are gone
                for ticket in theirs:
                    self.undo(ticket)

    def _answer(self, tickets: Sequence[Ticket[Any]]) -> None:
        """On their event loop: give each caller what came of its ticket."""
        for ticket in tickets:
            future = ticket.future
            if future is None or future.cancelled():
                self.undo(ticket)
            elif ticket.error is not None:
                future.set_exception(ticket.error)
            else:
                future.set_result(ticket.value)

    def _commit(self, tickets: Sequence[Ticket[Any]]) -> None:
        """Run operations in one transaction. If it can't be written, none of them happened."""
        try:
            with writing_on(self._engine, self._timeout_s) as rows:
                book = Book(rows, self._shelf, self._clock(), self._environment, self._worker)
                book.load(
                    [account for ticket in tickets for account in ticket.accounts],
                    [number for ticket in tickets for number in ticket.holds],
                )
                for ticket in tickets:
                    try:
                        ticket.value = ticket.run(book)
                    except BursarError as refusal:
                        ticket.error = refusal
                book.flush()
        except Exception as failure:
            self._shelf.forget()
            for ticket in tickets:
                ticket.error = self._said(failure)

    def _said(self, failure: Exception) -> Exception:
        error: BursarError
        if isinstance(failure, SQLAlchemyError):
            error = storage_error(self._place, failure)
        elif isinstance(failure, json.JSONDecodeError):
            error = LedgerCorrupt(f"{self._place}: a row was edited; bursar ledger verify names it")
        else:
            return failure
        error.__cause__ = failure
        return error
