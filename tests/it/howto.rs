//! The README's first session and every how-to, pasted into a shell as they stand, against the real binary.
//!
//! What a page has between "```sh" and "```" is run by `bash -eu`, block after block and without waiting, in one shell a page.
//! A block between "```text" and "```" that follows is all that the one before it prints, standard error included, where
//! `…` stands for anything and blanks and line ends for nothing. Indented blocks are not run. A comment
//! `<!-- test: … -->` says what a reader does beside pasting; see [`Part::of_comment`].

mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use bincard_testkit::nats::Nats;
use bincard_testkit::postgres::Postgres;
use bincard_testkit::server::bincard_binary;

use page::{Block, Page, Part, is_what_is_shown};

/// What stands before every page: how servers are started and ended in its shell, each machine's in a folder of its own.
/// The reader's own machine is `here`.
const PRELUDE: &str = r#"
exec 2>&1
RUNNING=
# MACHINE COMMAND
begin_on() {
  local name=${1//-/_} folder=. url=
  [ "$1" = here ] || { folder=../$1; mkdir -p "$folder"; }
  # In the shell's own place, so that who ends it ends the server.
  ( cd "$folder"; bincard() { exec bincard "$@"; }; env() { exec env "$@"; }; export BINCARD_LISTEN=127.0.0.1:0; eval "$2" ) > "../$1.log" 2>&1 &
  eval "SERVER_$name=$!"
  RUNNING="$RUNNING $!"
  until url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "../$1.log" | head -n 1) && [ -n "$url" ]; do
    kill -0 $! || { cat "../$1.log"; exit 1; }
    sleep 0.05
  done
  eval "URL_$name=$url"
}
begin_serving() {
  begin_on here "$1"
  until curl -sf -o answer.ready "$URL_here/readyz"; do
    kill -0 $SERVER_here || { cat ../here.log; exit 1; }
    sleep 0.05
  done
}
# MACHINE SIGNAL
end_on() {
  local server=SERVER_${1//-/_}
  kill -s "$2" "${!server}"
  { wait "${!server}" || true; } 2> /dev/null
}
trap 'kill $RUNNING 2> /dev/null || true; wait' EXIT
"#;
/// The machine that the reader sits at.
const HERE: &str = "here";
/// Where the pages say that its server is.
const ADDRESS: &str = "http://127.0.0.1:8080";
/// Where they say that every machine's server listens.
const LISTEN: &str = "0.0.0.0:8080";
/// Where they say that PostgreSQL is, with a password and without, and which it is.
const DATABASE: [&str; 2] = ["bincard:PASSWORD@db.example/", "bincard@db.example/"];
const NEW_DATABASE: &str =
    "create role bincard login password 'PASSWORD'; create database bincard owner bincard;";
/// Where they say that NATS is, and where it tells how it is.
const NATS: [&str; 2] = ["nats://nats.example:4222", "nats://127.0.0.1:4222"];
const NATS_MONITOR: [&str; 2] = ["http://nats.example:8222", "http://127.0.0.1:8222"];
/// Begins the line that stands before what a block prints, followed by the block's number.
const MARK: &str = "@@@@ what is printed by ";

macro_rules! pages {
    ($($name:ident $path:literal)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            run($path)
        })*

        const PAGES: &[&str] = &[$($path),*];
    };
}

pages! {
    readme "README.md"
    back_up_and_restore "docs/howto/back-up-and-restore.md"
    correct_a_mistake "docs/howto/correct-a-mistake.md"
    count_stock "docs/howto/count-stock.md"
    export "docs/howto/export.md"
    follow_the_feed "docs/howto/follow-the-feed.md"
    import_your_own_csv "docs/howto/import-your-own-csv.md"
    move_stock_between_warehouses "docs/howto/move-stock-between-warehouses.md"
    outgrow_one_machine "docs/howto/outgrow-one-machine.md"
    reconcile "docs/howto/reconcile.md"
    sell_below_zero "docs/howto/sell-below-zero.md"
    set_reorder_points "docs/howto/set-reorder-points.md"
    ship_an_order "docs/howto/ship-an-order.md"
    track_lots "docs/howto/track-lots.md"
}

#[test]
fn every_how_to_is_run_and_listed() -> Result<()> {
    let list = std::fs::read_to_string(root().join("docs/howto/README.md"))?;
    for entry in std::fs::read_dir(root().join("docs/howto"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let path = format!("docs/howto/{name}");
        ensure!(PAGES.contains(&&*path), "no test runs {path}");
        ensure!(
            list.contains(&format!("]({name})")),
            "docs/howto/README.md does not list {name}"
        );
        let text = std::fs::read_to_string(root().join(&path))?;
        let is_alone = Page::parse(&text)?.parts.contains(&Part::Alone);
        let begins = match is_alone {
            true => "Begin in an empty folder",
            false => "\nBegin [afresh](README.md#begin-afresh): ",
        };
        let first = text.split("```").next().unwrap_or_default();
        ensure!(
            first.contains(begins),
            "{path} does not say where it begins: {begins:?}"
        );
    }
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<Page> {
    let text = std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())?;
    Page::parse(&text).with_context(|| path.to_owned())
}

/// Pastes a page, behind the first session where it goes on from there, and compares what is printed.
fn run(path: &str) -> Result<()> {
    require_tools()?;
    let page = read(path)?;
    let mut parts = page.parts;
    if path != "README.md" && !parts.contains(&Part::Alone) {
        let mut session = read("README.md")?.parts;
        let end = session.iter().position(|part| *part == Part::SessionEnds);
        session.truncate(end.context("README.md does not say where the how-tos go on")?);
        session.append(&mut parts);
        parts = session;
    }
    let blocks: Vec<&Block> = parts.iter().filter_map(Part::block).collect();
    ensure!(!blocks.is_empty(), "{path} has nothing to run");
    let (printed, ended_well) = paste(&parts)?;
    let sections: Vec<&str> = printed.split(MARK).skip(1).collect();
    let mut differing = String::new();
    for (number, block) in blocks.iter().enumerate() {
        let Some(section) = sections.get(number) else {
            break;
        };
        let (_, got) = section.split_once('\n').unwrap_or_default();
        if let Some(shown) = &block.shows
            && !is_what_is_shown(shown, got)
        {
            differing += &format!(
                "\nline {}:\n{}\nis to print\n{shown}\nand prints\n{got}",
                block.line, block.commands
            );
        }
    }
    if !ended_well {
        let line = sections.len().checked_sub(1).and_then(|last| blocks.get(last));
        let line = line.map_or(0, |block| block.line);
        let said = sections.last().copied().unwrap_or(&printed);
        bail!("{path}: the block at line {line} fails, saying\n{said}\n{differing}");
    }
    ensure!(sections.len() == blocks.len(), "{path} is not run to its end");
    ensure!(differing.is_empty(), "{path}:{differing}");
    Ok(())
}

/// What the pages take from elsewhere, where one names it: their addresses are put in the place of the page's.
struct Services {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
}

impl Services {
    fn of(parts: &[Part]) -> Result<Services> {
        let is_named = |names: &[&str]| {
            let mut blocks = parts.iter().filter_map(Part::block);
            blocks.any(|block| names.iter().any(|name| block.commands.contains(name)))
        };
        Ok(Services {
            postgres: is_named(&DATABASE).then(Postgres::start).transpose()?,
            nats: is_named(&NATS).then(Nats::start).transpose()?,
        })
    }

    /// Commands as they can be run here.
    fn put_in(&self, commands: &str, machines: &[String]) -> String {
        let mut commands = commands.replace(LISTEN, "127.0.0.1:0");
        let at = |machine: &str| format!("${{URL_{}}}", machine.replace('-', "_"));
        let elsewhere = machines
            .iter()
            .map(|name| (format!("http://{name}:8080"), at(name)));
        for (name, url) in [(ADDRESS.to_owned(), at(HERE))].into_iter().chain(elsewhere) {
            // Which port it is turns out in the shell, which looks for no names in single quotes.
            commands = commands.replace(&format!("'{name}"), &format!("\"{url}\"'"));
            commands = commands.replace(&name, &url);
        }
        let mut put = |names: [&str; 2], address: &str| {
            for name in names {
                commands = commands.replace(name, address);
            }
        };
        if let Some(postgres) = &self.postgres {
            put(
                DATABASE,
                &format!("bincard:PASSWORD@127.0.0.1:{}/", postgres.port()),
            );
        }
        if let Some(nats) = &self.nats {
            put(NATS, &nats.url());
            put(NATS_MONITOR, &nats.monitor_url());
        }
        commands
    }
}

/// Runs it all in a folder of its own; answers what was printed, and whether every command did well.
fn paste(parts: &[Part]) -> Result<(String, bool)> {
    let services = Services::of(parts)?;
    let folder = bincard_testkit::scratch::folder("howto")?;
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs)?;
    std::os::unix::fs::symlink(bincard_binary()?, programs.join("bincard"))?;
    let here = folder.path().join(HERE);
    std::fs::create_dir(&here)?;
    let mut path = programs.into_os_string();
    if let Some(postgres) = &services.postgres {
        path.push(":");
        path.push(postgres.programs());
    }
    if let Some(others) = std::env::var_os("PATH") {
        path.push(":");
        path.push(others);
    }
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-c", &script(parts, &services)]);
    shell.current_dir(here).env("PATH", path).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BINCARD_") {
            shell.env_remove(name);
        }
    }
    let output = shell.output().context("bash could not be run")?;
    Ok((
        String::from_utf8_lossy(&output.stdout).into_owned(),
        output.status.success(),
    ))
}

/// A page as a program of the shell.
fn script(parts: &[Part], services: &Services) -> String {
    let mut script = PRELUDE.to_owned();
    if let Some(postgres) = &services.postgres {
        // The superuser, whom readers have in their own way.
        script += &format!(
            "psql() {{ PGHOST=127.0.0.1 PGPORT={} PGUSER=postgres PGPASSWORD={} PSQLRC=/dev/null command psql \"$@\"; }}\n",
            postgres.port(),
            postgres.password(),
        );
    }
    let begun = |part: &Part| match part {
        Part::On(machines) => machines.clone(),
        _ => Vec::new(),
    };
    let all: Vec<String> = parts.iter().flat_map(begun).collect();
    let mut on = Vec::new();
    for (number, part) in parts.iter().enumerate() {
        let number = parts[..number].iter().filter_map(Part::block).count();
        match part {
            Part::Serve => script += "begin_serving 'bincard serve'\n",
            Part::Stop => script += "end_on here TERM\n",
            Part::Killed(machine) => script += &format!("end_on {machine} KILL\n"),
            Part::Database => {
                script += &format!(
                    "psql -q postgres <<'END'\n{}\nEND\n",
                    NEW_DATABASE.replace("; ", ";\n")
                );
            }
            Part::On(machines) => on.clone_from(machines),
            Part::Alone | Part::SessionEnds => {}
            Part::Block(block) => {
                script += &format!("printf '\\n{MARK}%s\\n' {number}\n");
                let commands = services.put_in(&block.commands, &all);
                if on.is_empty() {
                    script += &format!("{commands}\n");
                }
                for machine in on.drain(..) {
                    let quoted = commands.replace('\'', r"'\''");
                    script += &match &*machine {
                        HERE => format!("begin_serving '{quoted}'\n"),
                        _ => format!("begin_on {machine} '{quoted}'\n"),
                    };
                }
            }
        }
    }
    script
}

/// What the pages use besides `bincard`, which every Debian has, but for curl.
fn require_tools() -> Result<()> {
    for tool in ["bash", "curl", "grep", "sed", "tr", "cut", "sort"] {
        let found = Command::new(tool).arg("--version").stdin(Stdio::null()).output();
        ensure!(
            found.is_ok(),
            "{tool} is missing, which the README and the how-tos use: install it"
        );
    }
    Ok(())
}
