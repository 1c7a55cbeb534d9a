//! Nodes on one local network find each other without a bootstrap address: by multicast DNS (RFC 6762) and its service discovery
//! (RFC 6763). A node publishes where it listens, with its id and a fingerprint of its cluster, and looks for what others publish. Whoever
//! is of the same cluster is told to the core as an address to dial; that it is who it says, only the secure channel shows.
//!
//! The fingerprint is a hash of the cluster's key, which is random: it tells clusters apart and nothing else. Who listens on the local
//! network learns that a node is there, its id and its port.

use std::net::{IpAddr, SocketAddr};

use forever_core::ids::NodeId;
use mdns_sd::{Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::task::JoinHandle;

use crate::handle::Handle;

/// What the service is called (RFC 6763, section 7).
const SERVICE: &str = "_foreverstore._tcp.local.";

/// The keys of the TXT record: a node's id in hex digits, and its cluster's fingerprint.
const NODE: &str = "node";
const CLUSTER: &str = "cluster";

/// For what the cluster's key is hashed.
const FINGERPRINT_CONTEXT: &str = "foreverstore 2026 fingerprint of a cluster for mDNS";

/// Bytes of a fingerprint: enough to tell clusters apart.
const FINGERPRINT_LEN: usize = 16;

/// The port of multicast DNS.
pub const PORT: u16 = mdns_sd::MDNS_PORT;

/// Why there is no discovery.
#[derive(Debug, thiserror::Error)]
pub enum MdnsError {
    /// The address listened at is none.
    #[error("`{0}` is no address with a port")]
    Listen(String),
    /// The service cannot be published or looked for.
    #[error(transparent)]
    Service(#[from] mdns_sd::Error),
}

/// What a node publishes of itself, and whom it looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    node: NodeId,
    cluster: String,
    listen: SocketAddr,
}

impl Announcement {
    /// What a node publishes that listens at `listen`, with the real port.
    ///
    /// # Errors
    /// When that is no numeric address.
    pub fn new(node: NodeId, cluster_key: &[u8; 32], listen: &str) -> Result<Self, MdnsError> {
        let hash = blake3::derive_key(FINGERPRINT_CONTEXT, cluster_key);
        let cluster = hex::encode(&hash[..FINGERPRINT_LEN]);
        let listen = listen.parse().map_err(|_| MdnsError::Listen(listen.to_owned()))?;
        Ok(Self { node, cluster, listen })
    }

    /// As the instance of a service. Its name is the beginning of the node's id, which is enough for people to tell nodes apart.
    fn service(&self) -> Result<ServiceInfo, MdnsError> {
        let node = self.node.to_string();
        let instance = format!("forever-{}", &node[..16]);
        let host = format!("{instance}.local.");
        let properties = [(NODE, node.as_str()), (CLUSTER, self.cluster.as_str())];
        let port = self.listen.port();
        Ok(if self.listen.ip().is_unspecified() {
            // All addresses of the machine, as they come and go.
            ServiceInfo::new(SERVICE, &instance, &host, (), port, &properties[..])?.enable_addr_auto()
        } else {
            ServiceInfo::new(SERVICE, &instance, &host, self.listen.ip(), port, &properties[..])?
        })
    }

    /// Where to dial what was found: nowhere unless it is another node of this cluster.
    fn addresses(&self, found: &Found<'_>) -> Vec<String> {
        let node = found.node.and_then(|node| node.parse::<NodeId>().ok());
        if found.cluster != Some(self.cluster.as_str()) || node.is_none_or(|node| node == self.node) {
            return Vec::new();
        }
        let mut addresses: Vec<IpAddr> = found.addresses.iter().copied().filter(|ip| self.can_dial(*ip)).collect();
        addresses.sort_unstable();
        addresses.into_iter().map(|ip| SocketAddr::new(ip, found.port).to_string()).collect()
    }

    /// Of this machine's own loopback another machine may talk, too; and an address that is good on one link only needs the name
    /// of that link.
    fn can_dial(&self, ip: IpAddr) -> bool {
        let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        !is_link_local && ip.is_loopback() == self.listen.ip().is_loopback()
    }
}

/// What somebody publishes.
#[derive(Debug)]
struct Found<'a> {
    node: Option<&'a str>,
    cluster: Option<&'a str>,
    port: u16,
    addresses: Vec<IpAddr>,
}

impl<'a> Found<'a> {
    fn of(service: &'a ResolvedService) -> Self {
        Self {
            node: service.get_property_val_str(NODE),
            cluster: service.get_property_val_str(CLUSTER),
            port: service.get_port(),
            addresses: service.get_addresses().iter().map(mdns_sd::ScopedIp::to_ip_addr).collect(),
        }
    }
}

/// Discovery that goes on until it is stopped. Dropped without that, it goes on until the process ends.
pub struct Discovery {
    daemon: ServiceDaemon,
    name: String,
    task: JoinHandle<()>,
}

impl Discovery {
    /// Publishes a node and tells it of others of its cluster. `port` is [`PORT`], but in tests.
    ///
    /// # Errors
    /// When the system does not let it. That nothing can be sent later is no error: interfaces come and go.
    pub fn start(announcement: Announcement, port: u16, handle: Handle) -> Result<Self, MdnsError> {
        let daemon = ServiceDaemon::new_with_port(port)?;
        let service = announcement.service()?;
        let name = service.get_fullname().to_owned();
        let events = daemon.browse(SERVICE)?;
        daemon.register(service)?;
        let task = tokio::spawn(look(events, announcement, handle));
        Ok(Self { daemon, name, task })
    }

    /// Tells the others that the node goes.
    pub async fn stop(self) {
        if let Ok(unregistered) = self.daemon.unregister(&self.name) {
            let _ = unregistered.recv_async().await;
        }
        if let Ok(ended) = self.daemon.shutdown() {
            let _ = ended.recv_async().await;
        }
        self.task.abort();
    }
}

/// Tells a node of what is found.
async fn look(events: Receiver<ServiceEvent>, announcement: Announcement, handle: Handle) {
    while let Ok(event) = events.recv_async().await {
        let ServiceEvent::ServiceResolved(service) = event else { continue };
        for address in announcement.addresses(&Found::of(&service)) {
            tracing::debug!("found a node of this cluster at {address}");
            handle.discovered(address).await;
        }
    }
}

#[cfg(test)]
mod tests;
