"""Which replica lends memory to which. All are pure."""

from bursar.policies.lending.base import Lender, LendingState, Loan
from bursar.policies.lending.infinite_llm import InfiniteLlm

__all__ = ["InfiniteLlm", "Lender", "LendingState", "Loan"]
