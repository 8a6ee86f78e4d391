"""Reference trainers: readable models that train on real text and write the standard log."""
