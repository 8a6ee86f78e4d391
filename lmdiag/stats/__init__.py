"""Robust statistics on plain arrays: noise, trend, windows, spikes, learning-rate phases. Nothing here knows of runs or rules."""
