"""Jobs: where they run, and how they are watched."""
