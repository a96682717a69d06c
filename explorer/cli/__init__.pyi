# Written by: python -m tests.style
from explorer.cli.running import main as main
