"""The standard log `lmdiag-log/1`, and what a converted one says of the log it was made from."""
