"""bursar spends compute well: a limit in, a plan, the spending, never over, a receipt."""

__version__ = "0.1.0"
