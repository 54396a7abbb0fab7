"""One pass over a split: predictions of the model, metrics from them."""
