"""What VoiceBench's tasks share."""
