"""What is asked: task sets with their checkers."""
