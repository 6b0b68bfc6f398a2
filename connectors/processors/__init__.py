"""Pure: one module (or package) in here is one connector; connectors.registry finds it by scanning."""
