"""Small pictures of images: decoded in processes of their own, kept on disk. Knows neither Jupyter nor a database."""
