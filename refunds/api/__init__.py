"""The API other systems use: register refunds, ask for their status, list them, hand in processors' events."""
