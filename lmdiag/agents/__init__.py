"""What agents may ask over the Model Context Protocol: the judgement of logs, read-only and within the folders named at the start."""
