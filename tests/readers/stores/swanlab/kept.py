"""The `.swanlab` file is written a block at a time: what was in the last block is lost with a process that is killed."""

ENDS_LOST = ("killed-offline",)
