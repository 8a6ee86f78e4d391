"""Keras: the file of `CSVLogger`, and saved histories."""
