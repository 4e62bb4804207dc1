"""What a run on a pod would take, from the program compiled for it."""
