"""JSON: lines of one record each, large files of them, and single documents; what is torn is decoded as far as it goes."""
