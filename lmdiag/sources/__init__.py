"""Sources: paths, folders, globs, addresses and `-` -> the bytes of logs, decompressed and in UTF-8."""
