"""The audit of a data set, as far as it needs no torch: what makes an image a problem, and the files of the results."""
