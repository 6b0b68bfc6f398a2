"""Three parties compared: our books, the processor, the settlement. It writes breaks, and corrects nothing."""
