"""The ledger: durable accounts, holds and an append-only journal, on SQLite or PostgreSQL.

schema.py       tables, opening, what database errors mean
chain.py        entries, their hashes, replay
transaction.py  statements on a plain connection
shelf.py        what is kept between transactions
book.py         the ledger inside one transaction
writer.py       group commit
disk.py         commits that reach the disk later
views.py        accounts, holds and receipt lines, in units
reader.py       what can be read of a ledger
store.py        `Ledger`
"""

from bursar.ledger.chain import Entry
from bursar.ledger.store import Ledger
from bursar.ledger.views import OpenHold, Totals, Verified, WindowTotals

__all__ = ["Entry", "Ledger", "OpenHold", "Totals", "Verified", "WindowTotals"]
