//! Frames as a reader of a timeline wants to see them.

use forever_core::frame::Frame;

use crate::timeline::Message;

/// A frame's text is cut after so many letters.
const DETAIL_LEN_MAX: usize = 240;

/// What a timeline shows of a frame: its encoding as it went to the channel. Heartbeats say nothing.
pub(super) fn message(sent_us: u64, from: usize, to: usize, bytes: &[u8]) -> Option<Message> {
    let decoded = bincode::serde::decode_from_slice::<Frame, _>(bytes, bincode::config::standard());
    let (family, kind, detail) = match &decoded {
        Ok((Frame::Ping { .. } | Frame::Pong { .. } | Frame::Swim { .. }, _)) => return None,
        Ok((frame, _)) => {
            let (family, kind) = names(frame);
            (family, kind, format!("{frame:?}").chars().take(DETAIL_LEN_MAX).collect())
        }
        Err(error) => ("unreadable", "unreadable", error.to_string()),
    };
    Some(Message { from, to, sent_us, arrived_us: None, family, kind: kind.into(), detail, bytes: bytes.len() as u64 })
}

/// The family and the name of a frame.
const fn names(frame: &Frame) -> (&'static str, &'static str) {
    match frame {
        Frame::Hello(_) => ("links", "hello"),
        Frame::Ping { .. } => ("links", "ping"),
        Frame::Pong { .. } => ("links", "pong"),
        Frame::Goodbye { .. } => ("links", "goodbye"),
        Frame::OpenUpload { .. } => ("offers of chunks", "open upload"),
        Frame::Offer { .. } => ("offers of chunks", "offer"),
        Frame::Stored { .. } => ("offers of chunks", "stored"),
        Frame::Refused { .. } => ("offers of chunks", "refused"),
        Frame::CloseUpload { .. } => ("offers of chunks", "close upload"),
        Frame::Want { .. } => ("wants and data", "want"),
        Frame::Unwant { .. } => ("wants and data", "unwant"),
        Frame::Data { .. } => ("wants and data", "data"),
        Frame::Unavailable { .. } => ("wants and data", "unavailable"),
        Frame::Announce { .. } => ("records", "announce"),
        Frame::Announced { .. } => ("records", "announced"),
        Frame::Find { .. } => ("questions", "find"),
        Frame::Scan { .. } => ("questions", "scan"),
        Frame::Records { .. } => ("questions", "records"),
        Frame::AskPromise { .. } => ("promises", "ask promise"),
        Frame::Promise { .. } => ("promises", "promise"),
        Frame::ReleasePromise { .. } => ("promises", "release promise"),
        Frame::AskMembers { .. } => ("members", "ask members"),
        Frame::Members { .. } => ("members", "members"),
        Frame::News { .. } => ("members", "news"),
        Frame::Swim { .. } => ("members", "swim"),
        Frame::Sync { .. } => ("comparisons", "sync"),
        Frame::Synced { .. } => ("comparisons", "synced"),
        Frame::Compare { .. } => ("comparisons", "compare"),
        Frame::Compared { .. } => ("comparisons", "compared"),
        Frame::FindItems { .. } => ("comparisons", "find items"),
        Frame::Found { .. } => ("comparisons", "found"),
        Frame::Tell { .. } => ("comparisons", "tell"),
        Frame::Told { .. } => ("comparisons", "told"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(frame: &Frame) -> Vec<u8> {
        bincode::serde::encode_to_vec(frame, bincode::config::standard()).unwrap()
    }

    #[test]
    fn frames_have_names_heartbeats_are_left_out_and_nonsense_is_shown() {
        let mut data = encoded(&Frame::Data { want: 3, offset: 0, payload: forever_core::bulk::Bulk::default() });
        data.extend_from_slice(&[7; 500]);
        let shown = message(5, 0, 1, &data).unwrap();
        assert_eq!((shown.family, shown.kind.as_str(), shown.bytes), ("wants and data", "data", data.len() as u64));
        assert!(message(5, 0, 1, &encoded(&Frame::Ping { nonce: 1 })).is_none());
        assert_eq!(message(5, 0, 1, &[0xff; 9]).unwrap().family, "unreadable");
    }
}
