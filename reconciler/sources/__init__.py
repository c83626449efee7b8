"""Where bytes come from: one contract, one adapter for each network."""
