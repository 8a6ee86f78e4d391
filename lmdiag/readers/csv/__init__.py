"""CSV and TSV: the first line and its names, the rows below it, and a faster way for large files."""
