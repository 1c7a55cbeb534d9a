//! The recovery phrase: an owner secret as 24 words (BIP-39).
