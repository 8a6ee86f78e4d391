"""Rules on margins, accuracies and log-probabilities of a policy or a reward model that is trained on preferences."""
