//! Key hashes: how a name becomes what peers see of it.
