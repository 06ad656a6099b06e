"""CLIP-Cut: from all frames of a GIF to the few that a question is about."""
