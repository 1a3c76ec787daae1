"""Configuration, training and evaluation of runs."""
