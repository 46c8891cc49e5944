"""bursar spends compute well: a limit in, a plan, the spending, never over, a receipt."""

from bursar.answer import Answer
from bursar.budget import Budget, Hold
from bursar.errors import (
    BackendError,
    BadInput,
    BudgetExceeded,
    BursarError,
    Exhausted,
    Infeasible,
    LedgerCorrupt,
    Unbounded,
)
from bursar.ledger import Ledger
from bursar.plan import Plan
from bursar.price import Price
from bursar.receipt import Receipt
from bursar.usage import Usage
from bursar.version import __version__

__all__ = [
    "Answer",
    "BackendError",
    "BadInput",
    "Budget",
    "BudgetExceeded",
    "BursarError",
    "Exhausted",
    "Hold",
    "Infeasible",
    "Ledger",
    "LedgerCorrupt",
    "Plan",
    "Price",
    "Receipt",
    "Unbounded",
    "Usage",
    "__version__",
]
