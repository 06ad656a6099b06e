"""What every stage is run by: steps, checkpoints, metrics, processes, and going on after a stop."""
