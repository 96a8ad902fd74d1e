//! Two nodes that answer, one that feeds the views, their database and NATS.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use bincard_testkit::nats::Nats;
use bincard_testkit::postgres::Postgres;
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};

use super::proxy::Proxy;
use crate::support::{Client, EMAIL, PASSWORD};

/// What each node does that answers: one of them could feed views, too.
const ROLES: [&str; 2] = ["api,worker", "api,projector,worker"];

pub(super) struct Nodes {
    pub(super) servers: Vec<Server>,
    /// Feeds views, and answers for its own health alone.
    pub(super) projector: Server,
    /// A client of each node; it logs in again only where the node was started again.
    pub(super) admins: Vec<Client>,
    /// What stands between the last node and the database.
    pub(super) proxy: Proxy,
    pub(super) postgres: Postgres,
    pub(super) nats: Nats,
    folders: Vec<tempfile::TempDir>,
}

impl Nodes {
    pub(super) async fn start() -> Result<Nodes> {
        let (postgres, nats) = (Postgres::start()?, Nats::start()?);
        let url = postgres.tcp_url("postgres");
        let (before, behind) = url
            .split_once("127.0.0.1:")
            .context("an address of another kind")?;
        let (port, behind) = behind.split_once('/').context("an address of another kind")?;
        let proxy = Proxy::start(([127, 0, 0, 1], port.parse()?).into()).await?;
        let through_proxy = format!("{before}127.0.0.1:{}/{behind}", proxy.port);
        let (mut servers, mut admins, mut folders) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = |roles: &str, database: &str| -> Result<Server> {
            let folder = bincard_testkit::scratch::folder("node")?;
            let mut options = ServerOptions::bincard(bincard_binary()?, folder.path(), EMAIL, PASSWORD);
            for (name, value) in [
                ("BINCARD_DATABASE_URL", database),
                ("BINCARD_NATS_URL", &nats.url()),
                ("BINCARD_ROLES", roles),
            ] {
                options.environment.push((name.to_owned(), value.into()));
            }
            folders.push(folder);
            Ok(Server::start(options)?)
        };
        let projector = start("projector,worker", &url)?;
        for (roles, database) in ROLES.into_iter().zip([&url, &through_proxy]) {
            let server = start(roles, database)?;
            admins.push(Client::log_in(&server.url("")?).await?);
            servers.push(server);
        }
        Ok(Nodes {
            servers,
            projector,
            admins,
            proxy,
            postgres,
            nats,
            folders,
        })
    }

    pub(super) async fn start_again(&mut self, node: usize) -> Result<()> {
        self.servers[node].start_again()?;
        self.admins[node] = Client::log_in(&self.servers[node].url("")?).await?;
        Ok(())
    }

    pub(super) fn signal_node(&self, node: usize, signal: &str) -> Result<()> {
        let server = self.all().nth(node).context("no such node")?;
        send_signal(signal, server.pid()?)
    }

    /// Every node, that which feeds the views behind the others.
    fn all(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().chain([&self.projector])
    }

    /// The node that relays to NATS; any, where none says so.
    pub(super) async fn relaying(&self) -> Result<usize> {
        for (node, server) in self.all().enumerate() {
            let metrics = reqwest::get(server.url("/metrics")?).await?.text().await?;
            if metrics.lines().any(|line| line == "bincard_relay_active 1") {
                return Ok(node);
            }
        }
        Ok(0)
    }

    /// Processes of the database that serve a session of a node.
    pub(super) fn sessions(&self) -> Result<Vec<u32>> {
        let listed = Command::new("ps")
            .args(["-A", "-o", "ppid=,pid=,args="])
            .output()
            .context("ps could not be run")?;
        let parent = self.postgres.pid()?.to_string();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let session = |line: &str| {
            let mut words = line.split_whitespace();
            let is_child = words.next() == Some(&*parent);
            let pid = words.next()?.parse().ok()?;
            (is_child && line.contains("postgres postgres 127.0.0.1")).then_some(pid)
        };
        Ok(listed.lines().filter_map(session).collect())
    }

    /// The last lines of every node's log.
    pub(super) fn last_said(&self) -> String {
        let mut said = String::new();
        for (node, server) in self.all().enumerate() {
            let log = server.stderr();
            let lines: Vec<&str> = log.lines().collect();
            said += &format!("node {node} said last:\n");
            said += &lines[lines.len().saturating_sub(40)..].join("\n");
            said.push('\n');
        }
        said
    }

    /// Verifies the log, and the views that all nodes share, now that none of them runs.
    pub(super) fn verify(&self) -> Result<()> {
        let output = Command::new(bincard_binary()?)
            .args(["verify", "--data-dir"])
            .arg(self.folders[0].path())
            .env("BINCARD_DATABASE_URL", self.postgres.tcp_url("postgres"))
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success(), "verify found a difference:\n{said}");
        Ok(())
    }
}

pub(super) fn send_signal(signal: &str, pid: u32) -> Result<()> {
    let sent = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status()?;
    ensure!(sent.success(), "process {pid} could not be sent {signal}");
    Ok(())
}
