"""Statistics on numbers alone: no models, no questions, no clock, no chance but what is given."""
