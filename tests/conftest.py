"""Being here puts `tests/` on the path, for helpers that several folders of tests share.

The collector rests while tests are collected: before 3.11.10 CPython can fail to parse a module
when the collector runs in the middle of it (gh-106905), and collecting parses hundreds.
"""

import gc

gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
