"""Models that answer a question about keyframes: the shipped one, Hugging Face's, and servers."""
