"""What rates answers that no formula can: a judge a module."""
