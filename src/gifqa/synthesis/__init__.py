"""Captions become question-answer-GIF records: candidates, questions, filters, a report."""
