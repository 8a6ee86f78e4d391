"""What readers of records share: rows that become columns, one by one or by blocks, and tables that are no logs."""
