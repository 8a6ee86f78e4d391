"""Tables that are in memory already: data frames, and parquet files."""
