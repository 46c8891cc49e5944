"""What is asked: task sets with their checkers, and traces of requests."""
