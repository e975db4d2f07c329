"""Makes `from tests.helpers import …` mean this folder, whatever else is installed."""
