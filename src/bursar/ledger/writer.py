"""The one thread of a process that writes a ledger: callers who come at once share a commit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from bursar.errors import BadInput, BursarError, LedgerCorrupt
from bursar.ledger.book import Book
from bursar.ledger.schema import storage_error

T = TypeVar("T")


@dataclass(slots=True)
class Ticket(Generic[T]):
    """One caller's operation, and then its own result or its own error.

    `accounts` and `holds` are what `run` will use, to be read beforehand for all callers at once.
    """

    run: Callable[[Book], T]
    accounts: Sequence[str] = ()
    holds: Sequence[int] = ()
    done: threading.Event = field(default_factory=threading.Event)
    value: T | None = None
    error: Exception | None = None


class Writer:
    """Runs operations on `engine`, as many as wait (at most `batch`) in one transaction.

    `using` is held meanwhile: an in-memory database has one connection for readers and writer.
    """

    def __init__(
        self,
        engine: Engine,
        place: str,
        clock: Callable[[], float],
        environment: str,
        batch: int,
        using: AbstractContextManager[Any],
    ) -> None:
        self._engine, self._place, self._clock = engine, place, clock
        self._environment, self._batch, self._using = environment, batch, using
        self._waiting: SimpleQueue[Ticket[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="bursar-ledger", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def submit(self, ticket: Ticket[T]) -> T:
        """Hand an operation to the writer; returns, or raises, what came of it once it is durable.

        A caller interrupted while it waits may leave a hold behind: it expires, as after a crash.
        """
        if not self._thread.is_alive():
            raise BadInput(f"the ledger {self._place} is closed; open it again")
        self._waiting.put(ticket)
        ticket.done.wait()
        if ticket.error is not None:
            raise ticket.error
        return ticket.value  # type: ignore[return-value]

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
            with self._using:
                self._commit(tickets)
            for ticket in tickets:
                ticket.done.set()

    def _commit(self, tickets: Sequence[Ticket[Any]]) -> None:
        """Run operations in one transaction. If it can't be written, none of them happened."""
        try:
            with self._engine.begin() as connection:
                book = Book(connection, self._clock(), self._environment)
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
