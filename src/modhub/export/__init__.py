"""Publishing at work: text embeddings, timestamped exports during training, and what exports them."""
