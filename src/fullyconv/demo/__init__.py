"""The demo: what a user does, on pictures that scikit-image brings, and a page about it."""
