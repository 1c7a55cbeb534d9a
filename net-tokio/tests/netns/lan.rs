//! A local network of namespaces: a switch, which is a namespace with two bridges, and a cable from each host to it.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// The network. Its namespaces go when it is dropped.
pub(crate) struct Lan {
    name: String,
    hosts: usize,
}

/// Runs a tool; what it said if it failed.
fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let said = |output: Output| String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{program} {}`: {}", args.join(" "), said(output))),
        Err(error) => Err(format!("`{program}`: {error}")),
    }
}

impl Lan {
    /// A network of so many hosts; `None`, with a word why, where this may not be done.
    pub(crate) fn build(hosts: usize) -> Option<Self> {
        static NETWORKS: AtomicU32 = AtomicU32::new(0);
        let name = format!("fs{}n{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let lan = Self { name, hosts };
        if let Err(why) = run("ip", &["netns", "add", &lan.switch()]) {
            eprintln!("SKIPPED: no network namespace can be made here (Linux, root and iproute2 are needed): {why}");
            return None;
        }
        for bridge in ["br0", "br1"] {
            lan.on_switch(&["link", "add", bridge, "type", "bridge"]);
            lan.on_switch(&["link", "set", bridge, "up"]);
        }
        for host in 0..hosts {
            lan.plug_in(host);
        }
        Some(lan)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }

    /// The namespace of a host.
    pub(crate) fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    /// The address of a host.
    pub(crate) fn ip(host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// Gives a host another address, and says which.
    pub(crate) fn renumber(&self, host: usize) -> String {
        let (namespace, ip) = (self.namespace(host), format!("10.77.0.{}", host + 101));
        run("ip", &["-n", &namespace, "address", "flush", "dev", "eth0", "scope", "global"]).unwrap();
        run("ip", &["-n", &namespace, "address", "add", &format!("{ip}/24"), "dev", "eth0"]).unwrap();
        ip
    }

    fn on_switch(&self, args: &[&str]) {
        let switch = self.switch();
        run("ip", &[&["-n", &switch], args].concat()).unwrap();
    }

    fn plug_in(&self, host: usize) {
        let (namespace, port) = (self.namespace(host), format!("port{host}"));
        run("ip", &["netns", "add", &namespace]).unwrap();
        self.on_switch(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        self.on_switch(&["link", "set", &port, "master", "br0"]);
        self.on_switch(&["link", "set", &port, "up"]);
        let address = format!("{}/24", Self::ip(host));
        run("ip", &["-n", &namespace, "address", "add", &address, "dev", "eth0"]).unwrap();
        for device in ["lo", "eth0"] {
            run("ip", &["-n", &namespace, "link", "set", device, "up"]).unwrap();
        }
    }

    /// Joins these hosts to each other and to nobody else.
    pub(crate) fn cut_off(&self, hosts: &[usize]) {
        for host in hosts {
            self.on_switch(&["link", "set", &format!("port{host}"), "master", "br1"]);
        }
    }

    /// Joins all hosts again.
    pub(crate) fn join(&self) {
        for host in 0..self.hosts {
            self.on_switch(&["link", "set", &format!("port{host}"), "master", "br0"]);
        }
    }

    /// Makes every line as bad as `netem` is told. False, with a word why, if this kernel cannot.
    pub(crate) fn is_slowed(&self, netem: &[&str]) -> bool {
        let switch = self.switch();
        for host in 0..self.hosts {
            let port = format!("port{host}");
            let add = ["-n", &switch, "qdisc", "add", "dev", &port, "root", "netem"];
            if let Err(why) = run("tc", &[&add, netem].concat()) {
                eprintln!("SKIPPED: this kernel cannot slow a line down: {why}");
                return false;
            }
        }
        true
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for host in 0..self.hosts {
            let _ = run("ip", &["netns", "delete", &self.namespace(host)]);
        }
        let _ = run("ip", &["netns", "delete", &self.switch()]);
    }
}
