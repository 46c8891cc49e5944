"""Measured operator tables, the coefficients fitted to them, and step cost from either."""

from bursar.cost.tables.conformal import inside, interval
from bursar.cost.tables.efficiency import OperatorFit, fitted
from bursar.cost.tables.engine import Engine
from bursar.cost.tables.interpolate import Interpolator
from bursar.cost.tables.measured import MeasuredTables
from bursar.cost.tables.operator import KINDS, Kind, OperatorTable, load
from bursar.cost.tables.operators import Call, step_operators
from bursar.cost.tables.read import read_tables
from bursar.cost.tables.step import OperatorSteps, operator_steps

__all__ = [
    "KINDS",
    "Call",
    "Engine",
    "Interpolator",
    "Kind",
    "MeasuredTables",
    "OperatorFit",
    "OperatorSteps",
    "OperatorTable",
    "fitted",
    "inside",
    "interval",
    "load",
    "operator_steps",
    "read_tables",
    "step_operators",
]
