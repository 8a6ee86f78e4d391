"""What libraries wrote when they logged the one made curve, a folder for each, and that it is read as it was logged."""
