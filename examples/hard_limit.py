"""Fifty calls at once against a limit that pays for five: five are served, the others refused."""

from concurrent.futures import ThreadPoolExecutor

from bursar import Budget, BudgetExceeded, Usage

job = Budget("0.10 USD", name="job")
call = Usage(usd=0.018)


def ask(_: int) -> str:
    try:
        with job.reserve(call) as hold:  # set aside before anything is spent
            hold.settle(call)  # charged with what was measured
    except BudgetExceeded as refused:
        return f"refused: {refused}"
    return "served"


with ThreadPoolExecutor(50) as pool:
    outcomes = list(pool.map(ask, range(50)))
print(outcomes.count("served"), "served; spent", job.spent.usd, "of", job.limits["usd"], "USD")
