"""The inside of examples/learn.py, the guide: see there for what it can do."""
