"""Runs whole jobs: questions and a budget, or a trace, in; a run folder and a record out."""

from bursar.run.calibrating import run_calibrate
from bursar.run.comparing import run_compare
from bursar.run.folder import fresh_dir, run_dir, write
from bursar.run.job import QUESTIONS, Job
from bursar.run.planning import run_plan
from bursar.run.records import summary
from bursar.run.serving import Serving
from bursar.run.simulating import run_simulate
from bursar.run.solving import run_solve
from bursar.run.trials import PLACES

__all__ = [
    "PLACES",
    "QUESTIONS",
    "Job",
    "Serving",
    "fresh_dir",
    "run_calibrate",
    "run_compare",
    "run_dir",
    "run_plan",
    "run_simulate",
    "run_solve",
    "summary",
    "write",
]
