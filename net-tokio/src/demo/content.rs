//! What the demo stores: real pictures, and one large file that is never in memory as a whole.

use std::io::{self, Read};

use bytes::Bytes;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;

/// Something to store, and to compare with what comes back.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Picture(Bytes),
    /// Pseudo-random bytes of this length.
    Large(u64),
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Picture(png) => png.len() as u64,
            Self::Large(len) => *len,
        }
    }

    pub(super) fn reader(&self) -> Box<dyn Read + Send> {
        match self {
            Self::Picture(png) => Box::new(io::Cursor::new(png.clone())),
            Self::Large(len) => Box::new(PseudoRandom::default().take(*len)),
        }
    }
}

/// A PNG: a gradient in the picture's own colours, with a grain that does not compress away.
pub(super) fn picture(number: u8) -> Result<Content, png::EncodingError> {
    let mut grain = PseudoRandom { position: u64::from(number) << 32 };
    let mut pixels = vec![0; (WIDTH * HEIGHT * 3) as usize];
    grain.fill(&mut pixels);
    for (index, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let column = index % WIDTH as usize;
        let row = index / WIDTH as usize;
        let shade = u8::try_from((column + row) * 200 / (WIDTH + HEIGHT) as usize).unwrap_or(u8::MAX);
        let tint = [number.wrapping_mul(12), shade, 200 - shade];
        for (value, tint) in pixel.iter_mut().zip(tint) {
            *value = tint.saturating_add(*value & 0x0f);
        }
    }
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(Content::Picture(png.into()))
}

/// An endless stream of bytes: SplitMix64 (Steele, Lea and Flood, 2014) over the position, so that none repeats.
#[derive(Clone, Debug, Default)]
struct PseudoRandom {
    position: u64,
}

impl PseudoRandom {
    fn fill(&mut self, buffer: &mut [u8]) {
        let (head, rest) = buffer.split_at_mut(buffer.len().min(self.to_word_end()));
        self.fill_slowly(head);
        let mut words = rest.chunks_exact_mut(8);
        for word in &mut words {
            word.copy_from_slice(&split_mix(self.position / 8));
            self.position += 8;
        }
        self.fill_slowly(words.into_remainder());
    }

    fn to_word_end(&self) -> usize {
        match self.position % 8 {
            0 => 0,
            1 => 7,
            2 => 6,
            3 => 5,
            4 => 4,
            5 => 3,
            6 => 2,
            _ => 1,
        }
    }

    /// Within a word.
    fn fill_slowly(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            let [index, ..] = (self.position % 8).to_le_bytes();
            *byte = split_mix(self.position / 8)[usize::from(index)];
            self.position += 1;
        }
    }
}

impl Read for PseudoRandom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill(buffer);
        Ok(buffer.len())
    }
}

fn split_mix(index: u64) -> [u8; 8] {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

/// Compares what comes back, byte for byte, with what was stored.
pub(super) struct Check {
    expected: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    position: u64,
}

impl Check {
    pub(super) fn new(content: &Content) -> Self {
        Self { expected: content.reader(), buffer: Vec::new(), position: 0 }
    }

    /// Compares the next bytes.
    ///
    /// # Errors
    /// What differs.
    pub(super) fn bytes(&mut self, got: &[u8]) -> Result<(), String> {
        self.buffer.resize(got.len(), 0);
        let position = self.position;
        self.expected
            .read_exact(&mut self.buffer)
            .map_err(|_| format!("more bytes came back than were stored, after {position}"))?;
        if self.buffer != got {
            return Err(format!("the bytes from {position} on differ from what was stored"));
        }
        self.position += got.len() as u64;
        Ok(())
    }

    /// Checks that nothing is missing at the end.
    ///
    /// # Errors
    /// When something is.
    pub(super) fn end(mut self) -> Result<(), String> {
        match self.expected.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) | Err(_) => Err(format!("only {} bytes came back", self.position)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_file_is_the_same_however_it_is_read() {
        let mut whole = vec![0; 1_000];
        PseudoRandom::default().fill(&mut whole);
        let mut pieces = vec![0; 1_000];
        let mut stream = PseudoRandom::default();
        let mut rest = &mut pieces[..];
        for len in [1, 7, 8, 9, 3, 64, 908] {
            let (piece, after) = rest.split_at_mut(len);
            stream.fill(piece);
            rest = after;
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn a_check_sees_a_changed_a_missing_and_a_surplus_byte() {
        let content = Content::Large(100);
        let mut bytes = Vec::new();
        content.reader().read_to_end(&mut bytes).unwrap();
        let check = |got: &[u8]| {
            let mut check = Check::new(&content);
            check.bytes(got).and_then(|()| check.end())
        };
        assert_eq!(check(&bytes), Ok(()));
        assert!(check(&bytes[..99]).is_err());
        bytes.push(0);
        assert!(check(&bytes).is_err());
        bytes.pop();
        bytes[50] ^= 1;
        assert!(check(&bytes).is_err());
    }

    #[test]
    fn pictures_are_pngs_that_decode_and_differ() {
        let png = |number| match picture(number).unwrap() {
            Content::Picture(png) => png,
            Content::Large(_) => panic!("not a picture"),
        };
        let (first, second) = (png(0), png(1));
        assert_ne!(first, second);
        let decoder = png::Decoder::new(io::Cursor::new(first));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height), (WIDTH, HEIGHT));
    }
}
