"""Jupyter notebooks: the logs that their cells printed, and the tables they drew."""
