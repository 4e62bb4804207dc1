"""Jobs on clusters: what to submit where, printed and checked before anything runs."""
