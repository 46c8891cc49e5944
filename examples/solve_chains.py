"""Spend 4,000 tokens on forty arithmetic chains with the built-in model, where they buy most."""

import asyncio

from bursar import Budget
from bursar.backends import open_backend
from bursar.reason import strategy
from bursar.reason.purse import Purse
from bursar.reason.solve import solve
from bursar.reason.workbench import Workbench
from bursar.workload.tasks import TASKS

questions = TASKS["chain"].generate(40, seed=0)
purse = Purse(Budget("4k tokens"), {"tiny-1m": open_backend("tiny-1m")})
bench = Workbench(purse, TASKS, greedy=frozenset({"tiny-1m"}))
solution = asyncio.run(solve(strategy("auto"), questions, bench))
print(f"{solution.num_right} of 40 right for {solution.spent.tokens:.0f} tokens")
