"""What the exit code of a command means."""

PASSED, FAILED, TROUBLE, NOTHING_JUDGED = 0, 1, 2, 3
