"""What a person runs beside the service: its check, and what it has heard and hears."""
