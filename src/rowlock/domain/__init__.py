"""Pure: seats, bookings, commands, and the decision who gets what."""
