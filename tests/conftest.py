"""Being here puts `tests/` on the path, for helpers that several folders of tests share."""
