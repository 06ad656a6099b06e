"""Training: recipes, frozen features, losses and the stages of the lite recipe (extra `train`)."""
