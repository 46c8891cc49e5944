"""What a run looks like to people: an HTML page that works offline, and tables for a terminal.

Formats what a record says; never computes what it does not.
"""

from bursar.report.html import page, write_page
from bursar.report.record import (
    CompareRecord,
    Record,
    SolveRecord,
    load_record,
    parse_record,
    receipt_record,
)
from bursar.report.serving_record import PlanRecord, SimulateRecord
from bursar.report.tables import compare_tables, receipt_table, solve_tables

__all__ = [
    "CompareRecord",
    "PlanRecord",
    "Record",
    "SimulateRecord",
    "SolveRecord",
    "compare_tables",
    "load_record",
    "page",
    "parse_record",
    "receipt_record",
    "receipt_table",
    "solve_tables",
    "write_page",
]
