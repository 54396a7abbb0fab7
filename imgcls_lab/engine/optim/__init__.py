"""What the optimizer minimises and how: losses, mixup, optimizers, learning rate schedules, gradient clipping."""
