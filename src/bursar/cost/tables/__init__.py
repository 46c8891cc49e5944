"""Measured operator tables, the coefficients fitted to them, and step cost from either."""

from bursar.cost.tables.conformal import inside, interval
from bursar.cost.tables.efficiency import OperatorFit, fitted
from bursar.cost.tables.interpolate import Interpolator
from bursar.cost.tables.operator import KINDS, Kind, OperatorTable, load
from bursar.cost.tables.operators import Call, Engine, step_operators
from bursar.cost.tables.read import read_tables
from bursar.cost.tables.step import OperatorCosts, OperatorSteps

__all__ = [
    "KINDS",
    "Call",
    "Engine",
    "Interpolator",
    "Kind",
    "OperatorCosts",
    "OperatorFit",
    "OperatorSteps",
    "OperatorTable",
    "fitted",
    "inside",
    "interval",
    "load",
    "read_tables",
    "step_operators",
]
