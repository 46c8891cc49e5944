"""Task sets, one per file, each with its checker."""

from bursar.workload.tasks.base import Question, Task
from bursar.workload.tasks.chain import Chain
from bursar.workload.tasks.countdown import Countdown
from bursar.workload.tasks.sudoku4 import Sudoku4

TASKS: dict[str, Task] = {task.name: task for task in (Chain(), Countdown(), Sudoku4())}

__all__ = ["TASKS", "Question", "Task"]
