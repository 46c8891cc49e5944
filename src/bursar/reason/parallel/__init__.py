"""Sequential against parallel: search that undoes its steps, threads that spawn and join.

rules        what a task's rules say of an unfinished attempt
backtrack    sequential search that undoes steps
select       which of the two suits a task
saturating   samples, then revisions, until each is predicted to saturate
spawn_join   first steps as threads of their own
"""

from bursar.reason.parallel.backtrack import Backtrack
from bursar.reason.parallel.saturating import Saturating
from bursar.reason.parallel.select import SelectSearch
from bursar.reason.parallel.spawn_join import SpawnJoin

__all__ = ["Backtrack", "Saturating", "SelectSearch", "SpawnJoin"]
