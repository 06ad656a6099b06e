"""What training reads: samples, texts and features, drawn into batches."""
