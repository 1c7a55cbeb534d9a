//! Values of settings, checked where they are read.

use std::net::SocketAddr;

use forever_core::ids::NodeId;
use forever_core::key_hash::KeyHash;
use forever_core::member::{MEMBERS_MAX, ZONE_LEN_MAX};
use forever_core::path::PathTransform;
use forever_core::placement::{Replicas, WEIGHT_MAX};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A list, or text with commas, as the environment has it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of texts")]
enum List {
    Many(Vec<String>),
    Text(String),
}

impl List {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::Many(items) => items,
            Self::Text(text) => {
                text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
            }
        }
    }
}

fn check_address(text: &str) -> Result<(), String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) | None => Err(format!("`{text}` is not an address: write host:port, like 192.0.2.10:7000")),
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    check_address(&text).map_err(D::Error::custom)?;
    Ok(text)
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let items = List::deserialize(from)?.into_vec();
    items.iter().try_for_each(|item| check_address(item)).map_err(D::Error::custom)?;
    Ok(items)
}

pub(super) fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.clone(),
    };
    numeric
        .parse()
        .map_err(|_| D::Error::custom(format!("`{text}` is not an address: write a numeric one, like 127.0.0.1:7001")))
}

pub(super) fn node_ids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<NodeId>, D::Error> {
    let parse = |item: String| {
        let wrong =
            || D::Error::custom(format!("`{item}` is not a node ID: it has 64 hex digits, as `forever status` shows"));
        item.parse().map_err(|_| wrong())
    };
    List::deserialize(from)?.into_vec().into_iter().map(parse).collect()
}

fn in_range<'de, D: Deserializer<'de>>(from: D, least: u64, most: u64) -> Result<u64, D::Error> {
    let number = u64::deserialize(from)?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(D::Error::custom(if most == u64::MAX {
        format!("{number} is too small: at least {least}")
    } else {
        format!("{number} is out of range: {least} to {most}")
    }))
}

pub(super) fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    in_range(from, 1, u64::MAX)
}

pub(super) fn positive_u32<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    in_range(from, 1, u64::from(u32::MAX)).and_then(|number| u32::try_from(number).map_err(D::Error::custom))
}

/// Two neighbours at least, so that all nodes hang together, and two links on demand; as many as there can be members at most.
pub(super) fn max_peers<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let most = u64::try_from(MEMBERS_MAX).unwrap_or(u64::MAX);
    in_range(from, 4, most).and_then(|number| u32::try_from(number).map_err(D::Error::custom))
}

pub(super) fn weight<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    in_range(from, 0, WEIGHT_MAX.into()).and_then(|number| u32::try_from(number).map_err(D::Error::custom))
}

pub(super) fn zone<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.len() > ZONE_LEN_MAX {
        return Err(D::Error::custom(format!("a zone's name of {} bytes; the most is {ZONE_LEN_MAX}", text.len())));
    }
    Ok(text)
}

/// In MiB a second: no disk or network is faster than a TiB.
pub(super) fn repair_rate<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    in_range(from, 1, 1 << 20)
}

pub(super) fn chunk_size<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    in_range(from, 64, 16_384).and_then(|number| u32::try_from(number).map_err(D::Error::custom))
}

pub(super) fn threads<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    in_range(from, 1, 64).and_then(|number| usize::try_from(number).map_err(D::Error::custom))
}

/// A number, or text, as the environment and flags have it.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a number of replicas from 1 to 255, or \"all\"")]
enum Count {
    Number(u64),
    Text(String),
}

pub(super) fn replicas<'de, D: Deserializer<'de>>(from: D) -> Result<Replicas, D::Error> {
    let text = match Count::deserialize(from)? {
        Count::Number(number) => number.to_string(),
        Count::Text(text) => text,
    };
    text.parse().map_err(|error| D::Error::custom(format!("`{text}`: {error}")))
}

pub(super) fn key_hash<'de, D: Deserializer<'de>>(from: D) -> Result<KeyHash, D::Error> {
    let text = String::deserialize(from)?;
    match text.as_str() {
        "blake3-keyed" => Ok(KeyHash::Blake3Keyed),
        "md5" => Ok(KeyHash::Md5),
        _ => Err(D::Error::custom(format!("`{text}` is no key hash: choose blake3-keyed or md5"))),
    }
}

pub(super) fn path_transform<'de, D: Deserializer<'de>>(from: D) -> Result<PathTransform, D::Error> {
    let text = String::deserialize(from)?;
    match text.as_str() {
        "git" => Ok(PathTransform::Git),
        "cas" => Ok(PathTransform::Cas),
        "flat" => Ok(PathTransform::Flat),
        _ => Err(D::Error::custom(format!("`{text}` is no path transform: choose git, cas or flat"))),
    }
}
