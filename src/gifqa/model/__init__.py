"""The torch definition of the models that gifqa trains (extra `train`)."""
