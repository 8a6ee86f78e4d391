"""Weights & Biases: run folders with their `.wandb` files, and exported charts and histories."""
