"""Several models that answer together: who takes part, what another weight changes, which photos it fixes."""
