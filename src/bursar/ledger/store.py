"""`Ledger`: durable accounts with limits, shared by threads, processes and machines."""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from bursar.budget import Budget
from bursar.errors import BadInput, BursarError
from bursar.ledger.book import Book
from bursar.ledger.reader import Reader, account_path
from bursar.ledger.schema import log_of, open_engine, reading
from bursar.ledger.writer import T, Ticket, Writer
from bursar.limits import Charge, Limits, Scope, key_parts, limit_grains
from bursar.units import from_grains
from bursar.usage import Grains, Usage, grains_of, usage_of


class Ledger(Reader):
    """An append-only journal of what accounts reserve and spend, and the totals derived from it.

    `place` is a path, ``":memory:"`` or ``"postgresql+psycopg://user@host/database"``. An account
    ``"team/key/job"`` charges ``team`` and ``team/key`` as well; each may have limits. Callers that
    come at once share one transaction (at most `batch` of them), and each is told after its commit.

    A hold that its spender never settles expires `ttl_s` after it began; `recover` then charges it
    at its upper bound, because it may have been spent. A settle that comes after all corrects it.
    Without `create`, `place` must be a ledger already: for reading one that others keep.
    Processes that share a ledger need clocks that agree to well under `ttl_s` and any window.

    `sync="commit"` tells nobody before it is on disk. `sync="behind"` does once the operating
    system has it (it survives `kill -9`, not the end of power), and a thread puts it on disk for
    those who wait for that: ``asettle(..., durable=True)``, `synced`. Only SQLite differs.

    On an event loop, `areserve`, `asettle` and `arelease` do not block it; they share the same
    commits. `worker` says whose holds these are: `recover(worker=...)` charges those of one that
    died.
    """

    def __init__(
        self,
        place: str | os.PathLike[str] = ":memory:",
        *,
        clock: Callable[[], float] = time.time,
        ttl_s: float = 3600.0,
        batch: int = 256,
        timeout_s: float = 30.0,
        create: bool = True,
        worker: str = "",
        sync: Literal["commit", "behind"] = "commit",
    ) -> None:
        if not worker.isprintable() or len(worker) > 200:
            raise BadInput(f"a worker needs a printable name of at most 200, not {worker[:80]!r}")
        self._ttl = ttl_s
        self._engine = open_engine(os.fspath(place), timeout_s, create, sync == "behind")
        shown = self._engine.url.render_as_string(hide_password=True)
        memory = self._engine.url.database in (None, "", ":memory:")
        using = threading.Lock() if memory else nullcontext()
        super().__init__(reading(self._engine), shown, clock, using)
        log = log_of(self._engine) if sync == "behind" else None
        self._writer = Writer(
            self._engine, shown, clock, environment(), worker, batch, timeout_s, using, log
        )

    def watch_commits(self, told: Callable[[float], None]) -> None:
        """Call `told` with the seconds that each commit takes, from the thread that writes."""
        self._writer.on_commit = told

    def close(self) -> None:
        """Give back files and connections; open holds stay, and expire."""
        if os.getpid() == self._process:
            self._writer.close()
            self._engine.dispose()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def budget(self, account: str, limits: Limits = None) -> Budget:
        """A `Budget` whose reserves and settles also go through `account`.

        Makes the account with `limits` if there is none; raises `BadInput` if it has other limits.
        Expired holds are recovered first.
        """
        path, wanted = account_path(account), limit_grains(limits)

        def open_account(book: Book) -> None:
            book.expire()
            found = book.limits(path)
            if found is None or (not found and wanted):
                book.set_limits(path, wanted)
            elif wanted and found != wanted:
                raise BadInput(
                    f"account {path} is limited to {_shown(found)}, not {_shown(wanted)}; "
                    "give no limits, or change them with set_limits"
                )

        self._submit(Ticket(open_account, [path]))
        return Budget(name=path, account=_LedgerAccount(self, path))

    def set_limits(self, account: str, limits: Limits) -> None:
        """Give `account` these limits in place of any it had; what is spent stays spent."""
        path, wanted = account_path(account), limit_grains(limits)
        self._submit(Ticket(lambda book: book.set_limits(path, wanted), [path]))

    def reserve(
        self,
        account: str,
        uppers: Sequence[Usage],
        what: str | Sequence[str] = "",
        *,
        predicted: Usage | None = None,
        price: Mapping[str, float] | None = None,
    ) -> list[int]:
        """Ids of holds for as many of `uppers`, from the first on, as fit, in one commit.

        `what` is one for all or one for each; `predicted` is that of each.
        Raises `BudgetExceeded` or `Unbounded` when not even the first fits.
        """
        whats = [what] * len(uppers) if isinstance(what, str) else what
        bounds = [grains_of(upper) for upper in uppers]
        holds, refusal = self._reserve(account_path(account), bounds, whats, predicted, price)
        if refusal and not holds:
            raise refusal
        return holds

    def settle(self, measured: Mapping[int, Usage | None]) -> list[Usage]:
        """Charge holds (by id) what was measured, in one commit; see `Hold.settle`.

        None: nothing was measured, so the bound. Returns what was charged. Raises `BadInput` when
        a hold is not open; then none of them is settled.
        """
        return self._submit(_settling(measured))

    def release(self, holds: Sequence[int]) -> None:
        """Give holds (by id) back, knowing that nothing was spent; all or none, as `settle`."""
        self._submit(_releasing(holds))

    def recover(self, worker: str | None = None) -> int:
        """Charge every expired hold at its upper bound; how many there were.

        With a `worker` that has died: all its open holds, at once.
        """
        return self._submit(Ticket(lambda book: book.expire(worker)))

    async def areserve(
        self,
        account: str,
        upper: Usage,
        what: str = "",
        *,
        predicted: Usage | None = None,
        price: Mapping[str, float] | None = None,
    ) -> int:
        """The id of a hold of `upper`, made without blocking the event loop; as `reserve`.

        Cancelled while it waits, it gives the hold back as soon as it turns out to have been made.
        """
        self._same_process()
        ticket = self._reserving(
            account_path(account), [grains_of(upper)], [what], predicted, price
        )
        ticket.undo = _unreserve
        future = self._writer.begin(ticket)
        try:
            holds, refusal = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # told, but its caller never heard
                self._writer.undo(ticket)
            raise
        if refusal:
            raise refusal
        return holds[0]

    def asettle(
        self, measured: Mapping[int, Usage | None], *, durable: bool = False
    ) -> asyncio.Future[list[Usage]]:
        """Charge holds as `settle` does; await what was charged.

        It is under way once called, and goes through also when the one who awaits is cancelled.
        `durable` waits until it is on disk where commits do not, with one wait for both. Then it
        may raise `BadInput` for what is charged all the same: the disk failed.
        """
        self._same_process()
        ticket = _settling(measured)
        ticket.durable = durable
        return self._writer.begin(ticket)

    def arelease(self, holds: Sequence[int]) -> asyncio.Future[None]:
        """Give holds back as `release` does; under way once called."""
        self._same_process()
        return self._writer.begin(_releasing(holds))

    def synced(self) -> asyncio.Future[None]:
        """Await that all is on disk that this handle had committed before the call.

        Raises `BadInput` when the disk failed; then it may be lost if the power fails.
        """
        self._same_process()
        return self._writer.on_disk()

    def _reserve(
        self,
        account: str,
        bounds: Sequence[Grains],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> tuple[list[int], BursarError | None]:
        return self._submit(self._reserving(account, bounds, whats, predicted, price))

    def _reserving(
        self,
        account: str,
        bounds: Sequence[Grains],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> Ticket[tuple[list[int], BursarError | None]]:
        guess = None if predicted is None else grains_of(predicted)
        worth = None if price is None else dict(price)
        asked = [(bound, _clean(what)) for bound, what in zip(bounds, whats, strict=True)]

        def run(book: Book) -> tuple[list[int], BursarError | None]:
            return book.reserve(account, asked, guess, worth, book.now + self._ttl)

        return Ticket(run, [account])

    def _settle(
        self, measured: Sequence[tuple[int, Grains | None, tuple[str, ...]]]
    ) -> list[Charge]:
        numbers = [number for number, _, _ in measured]
        return self._submit(Ticket(lambda book: book.settle(measured), holds=numbers))

    def _submit(self, ticket: Ticket[T]) -> T:
        self._same_process()
        return self._writer.submit(ticket)


@dataclass(frozen=True, slots=True)
class _LedgerAccount:
    """What stands behind the root of a `Budget`."""

    ledger: Ledger
    path: str

    def scopes(self) -> list[Scope]:
        return self.ledger._scopes(self.path)

    def reserve(
        self,
        bounds: Sequence[Grains],
        whats: Sequence[str],
        predicted: Usage | None,
        price: Mapping[str, float] | None,
    ) -> tuple[list[int], BursarError | None]:
        return self.ledger._reserve(self.path, bounds, whats, predicted, price)

    def settle(self, holds: Sequence[int], charges: Sequence[Charge]) -> list[Charge]:
        return self.ledger._settle([(n, *c) for n, c in zip(holds, charges, strict=True)])

    def release(self, holds: Sequence[int]) -> None:
        self.ledger.release(holds)


def _settling(measured: Mapping[int, Usage | None]) -> Ticket[list[Usage]]:
    asked = [
        (number, None if usage is None else grains_of(usage), ())
        for number, usage in measured.items()
    ]
    return Ticket(
        lambda book: [usage_of(charged) for charged, _ in book.settle(asked)],
        holds=tuple(measured),
    )


def _releasing(holds: Sequence[int]) -> Ticket[None]:
    return Ticket(lambda book: book.release(holds), holds=holds)


def _unreserve(taken: tuple[list[int], BursarError | None]) -> Ticket[None]:
    return _releasing(taken[0])


def environment() -> str:
    """What spent: our version, Python's, and the kind of machine."""
    try:
        ours = version("bursar")
    except PackageNotFoundError:
        ours = "unknown"
    machine = f"{platform.system()} {platform.machine()}"
    return f"bursar {ours}; Python {platform.python_version()}; {machine}"


def _clean(what: str) -> str:
    """Text that both databases can hold: no NUL (PostgreSQL), no lone surrogate (neither)."""
    return what[:2000].replace("\0", "").encode("utf-8", "replace").decode()


def _shown(limits: Grains) -> str:
    shown = (f"{from_grains(key_parts(key)[0], g):g} {key}" for key, g in limits.items())
    return ", ".join(shown) or "nothing"
