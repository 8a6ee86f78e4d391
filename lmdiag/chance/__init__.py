"""Has a model learned no more than to guess: what each kind of guess costs, and where a loss stays at it."""
