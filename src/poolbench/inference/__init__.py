"""Load, predict with, explain and export trained runs."""
