"""Reports: the diagnoses of one invocation -> text in one format; one file per format, each with `render(report)`."""
