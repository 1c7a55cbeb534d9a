//! Deterministic simulation of Foreverstore.
