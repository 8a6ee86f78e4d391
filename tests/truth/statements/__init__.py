"""What the sentences of findings say of numbers, each with the question to the log that decides whether it is so."""
