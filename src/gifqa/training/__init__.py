"""Training: the frozen features, the losses, the three stages of the lite recipe and the export (extra `train`)."""
