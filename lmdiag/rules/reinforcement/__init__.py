"""Rules on rewards, divergence from the reference, entropy and responses of a policy that is trained by reinforcement."""
