//! Sealing and opening of frames in place: AES-256-GCM with Noise's nonces and rekeying.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{PREFIX_LEN, TAG_LEN};

/// Bytes sealed under one key before it is changed: far below what AES-GCM allows (NIST SP 800-38D).
pub const REKEY_AFTER_BYTES: u64 = 64 << 30;

/// The nonce that Noise reserves for rekeying.
const REKEY_NONCE: u64 = u64::MAX;

const KEY_LEN: usize = 32;

/// One direction's key and counter. Both ends advance theirs alike, so a frame that was altered, lost, repeated or moved
/// does not open.
pub(super) struct FrameCipher {
    key: LessSafeKey,
    /// The next frame's nonce. It is not reset by a rekeying, so it never repeats.
    nonce: u64,
    bytes_under_key: u64,
    rekey_after: u64,
}

/// All nonces are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

/// Why a frame is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// It was altered, or is not the next one.
    Unauthentic,
    /// All nonces are used up.
    Exhausted,
}

impl FrameCipher {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self { key: aes_gcm(key), nonce: 0, bytes_under_key: 0, rekey_after: REKEY_AFTER_BYTES }
    }

    pub(super) fn rekey_after(&mut self, bytes: u64) {
        self.rekey_after = bytes;
    }

    /// Encrypts `plain` in place; `prefix` is authenticated with it.
    pub(super) fn seal(&mut self, prefix: [u8; PREFIX_LEN], plain: &mut [u8]) -> Result<[u8; TAG_LEN], Exhausted> {
        let nonce = self.next_nonce()?;
        let tag = self
            .key
            .seal_in_place_separate_tag(noise_nonce(nonce), Aad::from(prefix), plain)
            .expect("a frame is far shorter than AES-GCM's limit");
        self.advance(plain.len());
        Ok(tag.as_ref().try_into().expect("AES-GCM's tag has 16 bytes"))
    }

    /// Decrypts `sealed` (ciphertext and tag) in place: the plaintext is all but its last [`TAG_LEN`] bytes. On failure
    /// its content is undefined.
    pub(super) fn open(&mut self, prefix: [u8; PREFIX_LEN], sealed: &mut [u8]) -> Result<(), OpenError> {
        let nonce = self.next_nonce().map_err(|Exhausted| OpenError::Exhausted)?;
        let plain = self
            .key
            .open_in_place(noise_nonce(nonce), Aad::from(prefix), sealed)
            .map_err(|_| OpenError::Unauthentic)?;
        let len = plain.len();
        self.advance(len);
        Ok(())
    }

    /// Goes on to the nonce with which a frame opens, if it is one of the next few.
    #[cfg(feature = "planted-bugs")]
    pub(super) fn skip_lost(&mut self, prefix: [u8; PREFIX_LEN], sealed: &[u8]) {
        const LOST_MAX: u64 = 16;
        let opens =
            |nonce: &u64| self.key.open_in_place(noise_nonce(*nonce), Aad::from(prefix), &mut sealed.to_vec()).is_ok();
        if let Some(nonce) = (self.nonce..self.nonce.saturating_add(LOST_MAX)).find(opens) {
            self.nonce = nonce;
        }
    }

    fn next_nonce(&self) -> Result<u64, Exhausted> {
        if self.nonce == REKEY_NONCE {
            return Err(Exhausted);
        }
        Ok(self.nonce)
    }

    fn advance(&mut self, len: usize) {
        self.nonce += 1;
        self.bytes_under_key += len as u64;
        if self.bytes_under_key >= self.rekey_after {
            self.rekey();
        }
    }

    /// Tells keys apart, and nothing else of them.
    #[cfg(feature = "simulation")]
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut zeros = [0; KEY_LEN];
        let _tag = self
            .key
            .seal_in_place_separate_tag(noise_nonce(REKEY_NONCE), Aad::empty(), &mut zeros)
            .expect("32 bytes are shorter than AES-GCM's limit");
        *blake3::hash(&zeros).as_bytes()
    }

    /// Noise's REKEY (section 4.2): the new key is the encryption of zeros.
    fn rekey(&mut self) {
        let mut zeros = zeroize::Zeroizing::new([0; KEY_LEN]);
        let _tag = self
            .key
            .seal_in_place_separate_tag(noise_nonce(REKEY_NONCE), Aad::empty(), zeros.as_mut())
            .expect("32 bytes are shorter than AES-GCM's limit");
        self.key = aes_gcm(&zeros);
        self.bytes_under_key = 0;
    }
}

impl fmt::Debug for FrameCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameCipher(nonce {}, ***)", self.nonce)
    }
}

fn aes_gcm(key: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes"))
}

/// Noise's layout for AES-GCM (section 12.4): 4 zero bytes, then the counter, big endian.
fn noise_nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: [u8; 4] = [5, 0, 0, 0];

    #[test]
    fn the_same_plaintext_never_gives_the_same_ciphertext() {
        let mut cipher = FrameCipher::new(&[7; 32]);
        cipher.rekey_after(50);
        let mut seen = std::collections::BTreeSet::new();
        for count in 0..1_000 {
            let mut plain = *b"frame";
            let tag = cipher.seal(PREFIX, &mut plain).unwrap();
            assert!(seen.insert((plain, tag)), "frame {count} repeats an earlier one");
            assert_eq!(cipher.nonce, count + 1, "the nonce goes on across rekeyings");
        }
    }

    #[test]
    fn a_rekeying_follows_the_noise_specification() {
        let mut cipher = FrameCipher::new(&[7; 32]);
        cipher.rekey_after(5);
        cipher.seal(PREFIX, &mut { *b"frame" }).unwrap();

        let snow_cipher = {
            use snow::resolvers::CryptoResolver;
            let mut cipher =
                snow::resolvers::DefaultResolver.resolve_cipher(&snow::params::CipherChoice::AESGCM).unwrap();
            cipher.set(&[7; 32]);
            cipher.rekey();
            cipher
        };
        let mut expected = [0; 21];
        snow_cipher.encrypt(1, &PREFIX, b"frame", &mut expected);

        let mut plain = *b"frame";
        let tag = cipher.seal(PREFIX, &mut plain).unwrap();
        assert_eq!([plain.as_slice(), &tag].concat(), expected);
    }

    #[test]
    fn without_nonces_left_it_neither_seals_nor_opens() {
        let mut cipher = FrameCipher::new(&[7; 32]);
        cipher.nonce = u64::MAX - 1;
        cipher.seal(PREFIX, &mut { *b"frame" }).unwrap();
        assert_eq!(cipher.seal(PREFIX, &mut { *b"frame" }), Err(Exhausted));
        assert_eq!(cipher.open(PREFIX, &mut [0; 21]), Err(OpenError::Exhausted));
    }
}
