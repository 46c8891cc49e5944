"""Runs whole jobs: questions, models, a budget and a strategy in; a run folder and a record out."""

from bursar.run.calibrating import run_calibrate
from bursar.run.comparing import run_compare
from bursar.run.folder import run_dir, write
from bursar.run.job import QUESTIONS, Job
from bursar.run.records import summary
from bursar.run.solving import run_solve

__all__ = [
    "QUESTIONS",
    "Job",
    "run_calibrate",
    "run_compare",
    "run_dir",
    "run_solve",
    "summary",
    "write",
]
