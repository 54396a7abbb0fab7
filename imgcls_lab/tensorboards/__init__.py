"""TensorBoard as a tab: boards (a named choice of runs), and the process that serves each on a unix socket."""
