//! Contract suite, oracles, virtual time and real processes for testing leasehold.
