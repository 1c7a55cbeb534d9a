//! The demo's story.

use std::path::{Path, PathBuf};
use std::time::Duration;

use forever_core::name::Name;
use forever_net_tokio::api::view::{DeleteView, EvictView, ListView, StatView, StatusView};
use http::Method;
use tokio::time::{MissedTickBehavior, interval, timeout};
use zeroize::Zeroizing;

use super::content::{Check, Content, picture};
use super::node::{DemoNode, init};
use super::{Log, PeakRss};
use crate::cli::{CliError, Client, PutHead, Report, body_from, follow_restore, human_bytes, path};

const PICTURES: u8 = 20;
const LARGE: &str = "large.bin";
const ANY_PORT: &str = "127.0.0.1:0";

/// How often a condition of a node is looked at again, and for how long.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const CONDITION_MAX: Duration = Duration::from_secs(60);

/// A file of the demo.
struct Item {
    name: Name,
    content: Content,
}

/// The demo's folder and what is stored.
pub(super) struct Scenario {
    folder: PathBuf,
    size: u64,
}

/// The two nodes that keep, and the third whose owner stores.
struct Cluster {
    first: DemoNode,
    second: DemoNode,
    third: DemoNode,
    phrase: Zeroizing<String>,
}

impl Scenario {
    pub(super) fn new(folder: &Path, size: u64) -> Self {
        Self { folder: folder.to_owned(), size }
    }

    /// Plays all of it.
    pub(super) async fn play(self, log: &mut Log) -> Result<Vec<PeakRss>, CliError> {
        let mut items = self.pictures()?;
        items.push(Item { name: Name::new(LARGE)?, content: Content::Large(self.size) });
        let cluster = self.start(log).await?;
        let mut client = cluster.third.client()?;
        put_evict_get(&mut client, &items, log).await?;
        let Cluster { first, second, third, phrase } = cluster;
        let first_home = (first.data.clone(), first.listen.clone());
        let mut peaks = vec![lose_a_peer(&mut client, &items, first, log).await?];
        let deleted = items.remove(0);
        let first = delete(&mut client, &deleted, first_home, log).await?;
        peaks.push(lose_the_third(third, log).await?);
        let third = self.restore(&phrase, &first, &second, &items, &deleted, log).await?;
        log.begin("stop all nodes in order");
        for node in [first, second, third] {
            peaks.push(node.stop().await?);
        }
        log.end(0);
        Ok(most_of_each(peaks))
    }

    fn pictures(&self) -> Result<Vec<Item>, CliError> {
        (0..PICTURES)
            .map(|number| {
                let content = picture(number).map_err(|error| CliError::Demo(format!("cannot make a PNG: {error}")))?;
                let name = Name::new(format!("picture_{number}.png"))?;
                Ok(Item { name, content })
            })
            .collect()
    }

    async fn start(&self, log: &mut Log) -> Result<Cluster, CliError> {
        log.begin("start three nodes, the third bootstrapping to the two others");
        let data = |name: &str| self.folder.join(name);
        init(&data("first"), None, None).await?;
        let key = self.cluster_key();
        init(&data("second"), Some(&key), None).await?;
        let phrase = init(&data("third"), Some(&key), None).await?;
        let first = DemoNode::start("first", &data("first"), ANY_PORT, &[]).await?;
        let second = DemoNode::start("second", &data("second"), ANY_PORT, &[]).await?;
        let peers = [first.listen.as_str(), second.listen.as_str()];
        let third = DemoNode::start("third", &data("third"), ANY_PORT, &peers).await?;
        wait_for(&mut third.client()?, "two peers", |status| status.peers_connected == 2).await?;
        log.end(0);
        Ok(Cluster {
            first,
            second,
            third,
            phrase: phrase.ok_or_else(|| CliError::Demo("`init` showed no phrase".to_owned()))?,
        })
    }

    fn cluster_key(&self) -> PathBuf {
        self.folder.join("first").join("cluster.key")
    }

    /// A new third node, from nothing but the phrase and the cluster key.
    async fn restore(
        &self,
        phrase: &str,
        first: &DemoNode,
        second: &DemoNode,
        items: &[Item],
        deleted: &Item,
        log: &mut Log,
    ) -> Result<DemoNode, CliError> {
        log.begin("recover the third node from its phrase, on a fresh folder");
        let data = self.folder.join("third-again");
        init(&data, Some(&self.cluster_key()), Some(phrase)).await?;
        let peers = [first.listen.as_str(), second.listen.as_str()];
        let third = DemoNode::start("third again", &data, ANY_PORT, &peers).await?;
        let mut client = third.client()?;
        wait_for(&mut client, "two peers", |status| status.peers_connected == 2).await?;
        log.end(0);
        log.begin("restore everything the network has of this owner");
        let end = follow_restore(&mut client, &Report::silent()).await?;
        if !end.complete {
            return Err(CliError::Demo(format!(
                "not complete: {} records missing, {:?}",
                end.missing, end.checkpoints
            )));
        }
        log.end(end.fetched_bytes);
        log.begin(format!("verify all {} files once more, byte for byte", items.len()));
        let list: ListView = client.json(Method::GET, "/v1/files").await?;
        let mut expected: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
        expected.sort_unstable();
        if !list.files.iter().map(|file| file.name.as_str()).eq(expected) {
            return Err(CliError::Demo(format!("{} names came back", list.files.len())));
        }
        for item in items {
            get(&mut client, item, None).await?;
        }
        expect_gone(&mut client, deleted).await?;
        log.end(bytes_of(items));
        Ok(third)
    }
}

async fn put_evict_get(client: &mut Client, items: &[Item], log: &mut Log) -> Result<(), CliError> {
    let (large, pictures) = items.split_last().expect("the large file is always there");
    for (what, items) in [("20 pictures", pictures), (LARGE, std::slice::from_ref(large))] {
        let bytes = bytes_of(items);
        log.begin(format!("put {what} ({}), durable on two nodes or more", human_bytes(bytes)));
        for item in items {
            put(client, item).await?;
        }
        log.end(bytes);
        log.begin(format!("evict {what} from the third node"));
        for item in items {
            evict(client, item).await?;
        }
        log.end(0);
        log.begin(format!("get {what} back from the network, byte for byte"));
        for item in items {
            get(client, item, None).await?;
        }
        log.end(bytes);
    }
    Ok(())
}

async fn lose_a_peer(
    client: &mut Client,
    items: &[Item],
    victim: DemoNode,
    log: &mut Log,
) -> Result<PeakRss, CliError> {
    let large = items.last().expect("the large file is always there");
    log.begin(format!("evict {LARGE} again"));
    evict(client, large).await?;
    log.end(0);
    log.begin(format!("get {LARGE}, a peer killed at a quarter of it"));
    let peak = get(client, large, Some(victim)).await?;
    log.end(large.content.len());
    peak.ok_or_else(|| CliError::Demo("the get ended before the peer was killed".to_owned()))
}

/// Deletes while a peer is away, then lets it come back and learn of it.
async fn delete(
    client: &mut Client,
    item: &Item,
    (data, listen): (PathBuf, String),
    log: &mut Log,
) -> Result<DemoNode, CliError> {
    log.begin(format!("delete {} while the killed peer is away", item.name));
    let _: DeleteView = client.json(Method::DELETE, &path("/v1/files/", &item.name)).await?;
    expect_gone(client, item).await?;
    log.end(0);
    log.begin("start the killed peer again; the delete reaches it too");
    let peer = DemoNode::start("first", &data, &listen, &[]).await?;
    wait_for(client, "every node to know of the delete", |status| status.peers_connected == 2 && status.pending == 0)
        .await?;
    log.end(0);
    Ok(peer)
}

async fn lose_the_third(third: DemoNode, log: &mut Log) -> Result<PeakRss, CliError> {
    log.begin("wait until its newest checkpoint covers all files, and a peer has it");
    wait_for(&mut third.client()?, "a checkpoint", |status| !status.checkpoint_due).await?;
    log.end(0);
    log.begin("lose the third node: kill it and remove its folder");
    let data = third.data.clone();
    let peak = third.kill().await?;
    std::fs::remove_dir_all(&data).map_err(|error| CliError::io("remove", &data, error))?;
    log.end(0);
    Ok(peak)
}

async fn put(client: &mut Client, item: &Item) -> Result<(), CliError> {
    let head = PutHead { len: Some(item.content.len()), ..PutHead::default() };
    let body = body_from(item.content.reader(), indicatif::ProgressBar::hidden());
    let view = client.put(&item.name, head, body).await?;
    if view.size == item.content.len() && view.replicas >= 2 {
        return Ok(());
    }
    Err(CliError::Demo(format!("{} was stored with {} bytes on {} nodes", item.name, view.size, view.replicas)))
}

async fn evict(client: &mut Client, item: &Item) -> Result<(), CliError> {
    let _: EvictView = client.json(Method::POST, &path("/v1/evict/", &item.name)).await?;
    let stat: StatView = client.json(Method::GET, &path("/v1/stat/", &item.name)).await?;
    if stat.local && item.content.len() > 0 {
        return Err(CliError::Demo(format!("{} is still on the node that dropped it", item.name)));
    }
    Ok(())
}

/// Gets a file and compares it; kills the victim, if there is one, at a quarter of it.
async fn get(client: &mut Client, item: &Item, mut victim: Option<DemoNode>) -> Result<Option<PeakRss>, CliError> {
    let mut download = client.get(&item.name, None, None).await?;
    let mut check = Check::new(&item.content);
    let mut peak = None;
    loop {
        match download.next().await {
            Ok(Some(bytes)) => check.bytes(&bytes).map_err(CliError::Demo)?,
            Ok(None) => break,
            Err(()) => return Err(client.failure_of(&download).await),
        }
        if let Some(victim) = victim.take_if(|_| download.got >= download.announced / 4) {
            peak = Some(victim.kill().await?);
        }
    }
    check.end().map_err(CliError::Demo)?;
    Ok(peak)
}

async fn expect_gone(client: &mut Client, item: &Item) -> Result<(), CliError> {
    match client.get(&item.name, None, None).await {
        Err(CliError::Api(body)) if body.error == "not_found" => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(CliError::Demo(format!("{} can still be got", item.name))),
    }
}

/// Looks at a node's status until a condition holds.
async fn wait_for(client: &mut Client, what: &str, holds: impl Fn(&StatusView) -> bool) -> Result<(), CliError> {
    let mut ticks = interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let look = async {
        loop {
            ticks.tick().await;
            let status: StatusView = client.json(Method::GET, "/v1/status").await?;
            if holds(&status) {
                return Ok(());
            }
        }
    };
    timeout(CONDITION_MAX, look).await.unwrap_or_else(|_| Err(CliError::Demo(format!("waited in vain for {what}"))))
}

fn bytes_of(items: &[Item]) -> u64 {
    items.iter().map(|item| item.content.len()).sum()
}

/// The peak of each node over its runs.
fn most_of_each(peaks: Vec<PeakRss>) -> Vec<PeakRss> {
    let mut most: Vec<PeakRss> = Vec::new();
    for peak in peaks {
        match most.iter_mut().find(|other| other.node == peak.node) {
            Some(other) => other.bytes = other.bytes.max(peak.bytes),
            None => most.push(peak),
        }
    }
    most
}
