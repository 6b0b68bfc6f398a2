"""What every connector must do, found out from the connector itself and from its fixtures; no connector is named."""
