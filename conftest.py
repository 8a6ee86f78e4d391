"""Keras takes its backend from the environment when it is first imported: the tests use PyTorch's."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
