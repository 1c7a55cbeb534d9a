//! The parts of a recording.

use serde::de::DeserializeOwned;

use super::{Done, FORMAT, MAGIC, PART_LEN_MAX, ReplayError, Stimulus, Told};
use crate::bulk::Bulk;
use crate::command::Command;
use crate::frame::Frame;
use crate::input::Input;

/// The parts of a recording, up to the last whole one.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ReplayError> {
        let (format, _) = bytes
            .strip_prefix(&MAGIC)
            .and_then(|rest| rest.split_first_chunk::<2>())
            .ok_or(ReplayError::NotARecording)?;
        match u16::from_be_bytes(*format) {
            FORMAT => Ok(Self { bytes, at: MAGIC.len() + format.len() }),
            found => Err(ReplayError::Format { found }),
        }
    }
}

impl<'a> Parts<'a> {
    /// The next part and where it starts; nothing if there is no whole one any more.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &'a [u8])>, ReplayError> {
        let at = self.at as u64;
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some((len, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let len_bytes = u32::from_le_bytes(*len);
        if len_bytes > PART_LEN_MAX {
            // No recorder writes such a part: what comes after is not the rest of one that was cut off.
            return Err(ReplayError::Damaged { at });
        }
        let part = usize::try_from(len_bytes).ok().and_then(|len| rest.get(..len));
        self.at += part.map_or(0, |part| len.len() + part.len());
        Ok(part.map(|part| (at, part)))
    }

    /// How many bytes have not been read.
    pub(super) fn left_bytes(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }
}

/// What an owned entry says the node was told; nothing for the outputs of its start.
pub(super) type Owned = Option<Told<Input, Command, Bulk>>;

pub(super) fn decode_entry(part: &[u8]) -> Option<(Owned, Done)> {
    // The placeholders of the other variants have no bytes, so an entry decodes whichever it is.
    let (mut told, used): (Owned, usize) = decode(part)?;
    if let Some((_, Stimulus::Input(Input::Frame { frame: Frame::Data { payload, .. }, .. }), bytes)) = &mut told {
        *payload = bytes.take()?;
    }
    let (done, rest): (Done, usize) = decode(&part[used..])?;
    (used + rest == part.len()).then_some((told, done))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
    let config = bincode::config::standard().with_limit::<{ PART_LEN_MAX as usize }>();
    bincode::serde::decode_from_slice(bytes, config).ok()
}
