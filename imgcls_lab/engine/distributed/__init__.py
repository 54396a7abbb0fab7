"""Several processes of one run: their launcher and what they exchange."""
