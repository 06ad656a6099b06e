"""What the rooms share about data: records, caption files, the loaders of TGIF and TGIF-QA."""
