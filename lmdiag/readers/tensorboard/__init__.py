"""TensorBoard: folders of event files, and their decoding without TensorFlow."""
