"""Judging: the one door from paths to judged runs, which every command, the app and the pytest plugin go through.

paths -> reading -> runs -> policy (which rules look, how severely) -> suppressions and baseline -> Report
"""
