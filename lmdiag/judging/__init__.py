"""Judging: the one door from paths to judged runs, which every command, the app and the pytest plugin go through.

paths -> reading -> runs -> policy (which rules run, how severe their findings are) -> suppressions and baseline -> Report
"""
