"""MLflow and trackio, as files and as databases, and the names of metrics and settings that all trackers share."""
