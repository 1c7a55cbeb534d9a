//! SWIM's packets: who is meant by them, how they are encoded, and what of them is believed.
//!
//! A packet is a header; then, in all but a few kinds, how many updates follow (u16 BE) and they; then broadcasts, each with its
//! length (u16 BE) before it. That is `foca`'s format; header and updates are bincode, and a broadcast is a [`Member`] in bincode.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::{Buf, BufMut};
use foca::{BroadcastHandler, Codec, Header, Invalidates, Message};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::encode_onto;
use crate::frame::SWIM_PACKET_MAX;
use crate::ids::NodeId;
use crate::member::Member;

/// A node between two of its starts, or between two times that it was taken for down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SwimId {
    pub(crate) node: NodeId,
    /// Grows with each.
    pub(crate) generation: u64,
}

impl foca::Identity for SwimId {
    type Addr = NodeId;

    fn renew(&self) -> Option<Self> {
        Some(Self { node: self.node, generation: self.generation.saturating_add(1) })
    }

    fn addr(&self) -> NodeId {
        self.node
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}

/// Bytes that are not what they should be, or no room for more of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PacketError(String);

/// How `foca` encodes what it sends.
#[derive(Debug)]
pub(crate) struct PacketCodec;

fn put(value: &impl Serialize, mut buf: impl BufMut) -> Result<(), PacketError> {
    let mut bytes = Vec::new();
    encode_onto(value, &mut bytes);
    if bytes.len() > buf.remaining_mut() {
        return Err(PacketError(String::from("no room")));
    }
    buf.put_slice(&bytes);
    Ok(())
}

fn take<T: DeserializeOwned>(mut buf: impl Buf) -> Result<T, PacketError> {
    let config = bincode::config::standard().with_limit::<SWIM_PACKET_MAX>();
    let (value, used) = bincode::serde::decode_from_slice(buf.chunk(), config)
        .map_err(|error| PacketError(alloc::format!("{error:?}")))?;
    buf.advance(used);
    Ok(value)
}

impl Codec<SwimId> for PacketCodec {
    type Error = PacketError;

    fn encode_header(&mut self, header: &Header<SwimId>, buf: impl BufMut) -> Result<(), PacketError> {
        put(header, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<SwimId>, PacketError> {
        take(buf)
    }

    fn encode_member(&mut self, member: &foca::Member<SwimId>, buf: impl BufMut) -> Result<(), PacketError> {
        put(member, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<foca::Member<SwimId>, PacketError> {
        take(buf)
    }
}

/// Which entry a broadcast is: a newer one about the same node takes its place.
#[derive(Debug)]
pub(crate) struct NewsKey {
    node: NodeId,
    stamp: u64,
}

impl Invalidates for NewsKey {
    fn invalidates(&self, other: &Self) -> bool {
        self.node == other.node && self.stamp >= other.stamp
    }
}

/// Lets `foca` carry what it is given. What comes in is taken out of packets before it sees them ([`split`]), so whatever it is
/// asked about is news.
#[derive(Debug)]
pub(crate) struct Carrier;

impl BroadcastHandler<SwimId> for Carrier {
    type Key = NewsKey;
    type Error = PacketError;

    fn receive_item(&mut self, data: &[u8], _sender: Option<&SwimId>) -> Result<Option<NewsKey>, PacketError> {
        let member: Member = take(data)?;
        Ok(Some(NewsKey { node: member.node, stamp: member.info.stamp }))
    }
}

/// A packet taken apart.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) header: Header<SwimId>,
    pub(crate) updates: Vec<foca::Member<SwimId>>,
    pub(crate) news: Vec<Member>,
}

/// The header of a packet of this node's own, and what follows it.
pub(crate) fn header(mut data: &[u8]) -> Option<(Header<SwimId>, &[u8])> {
    let header = take(&mut data).ok()?;
    Some((header, data))
}

/// A packet with another header.
pub(crate) fn with_header(header: &Header<SwimId>, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_onto(header, &mut bytes);
    bytes.extend_from_slice(rest);
    bytes
}

/// Takes a packet apart; `None` if it is none.
pub(crate) fn split(mut data: &[u8]) -> Option<Packet> {
    if data.len() > SWIM_PACKET_MAX {
        return None;
    }
    let header: Header<SwimId> = take(&mut data).ok()?;
    let mut updates = Vec::new();
    if data.remaining() >= 2 && header.message != Message::Broadcast {
        for _ in 0..data.get_u16() {
            updates.push(take(&mut data).ok()?);
        }
    }
    let mut news = Vec::new();
    while data.has_remaining() {
        let len = usize::from(data.try_get_u16().ok()?);
        let mut item = data.get(..len)?;
        news.push(take(&mut item).ok()?);
        if item.has_remaining() {
            return None;
        }
        data.advance(len);
    }
    Some(Packet { header, updates, news })
}

/// Puts a packet together again, without its news and without updates about nodes that are not known here: those a peer could
/// make up without end.
pub(crate) fn join(packet: &Packet, is_known: impl Fn(NodeId) -> bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_onto(&packet.header, &mut bytes);
    let known: Vec<_> = packet.updates.iter().filter(|update| is_known(update.id().node)).collect();
    if !known.is_empty() {
        bytes.put_u16(u16::try_from(known.len()).expect("a packet has fewer updates than bytes"));
        known.into_iter().for_each(|update| encode_onto(update, &mut bytes));
    }
    bytes
}
