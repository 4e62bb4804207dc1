"""Live conversations: many on one device state, by the clock, over a network."""
