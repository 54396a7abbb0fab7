"""The Jupyter server extension: REST routes and one stream over the store. Never trains, never imports torch."""
