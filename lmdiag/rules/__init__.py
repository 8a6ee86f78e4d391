"""Every rule, in the order of attribution: an earlier rule's finding can explain a later one's.

To add a rule, write its file in the folder of its family, add one line here and one sample log, and run `make docs`.
"""
RULES = ()
