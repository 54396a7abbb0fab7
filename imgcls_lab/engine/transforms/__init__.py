"""From a decoded image to the model's input: preprocessing for evaluation, augmentation for training."""
