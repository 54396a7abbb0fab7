"""The executor: a daemon a host that starts, watches and stops runs. Stays empty, for the supervisor's sake."""
