"""Where an attempt's processes run: on this host."""
