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
use bincard_testkit::server::bincard_binary;

use page::{Block, Page, Part, is_what_is_shown};

/// What stands before every page: how the server is started and stopped in its shell.
const PRELUDE: &str = r#"
exec 2>&1
SERVER=
begin_serving() {
  bincard serve --listen 127.0.0.1:0 > serve.log 2>&1 &
  SERVER=$!
  until URL=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' serve.log | head -n 1) && [ -n "$URL" ] &&
      curl -sf -o answer.ready "$URL/readyz"; do
    kill -0 $SERVER || { cat serve.log; exit 1; }
    sleep 0.05
  done
}
end_serving() {
  kill $SERVER
  wait $SERVER || true
  SERVER=
}
trap '[ -z "$SERVER" ] || kill $SERVER' EXIT
"#;
/// Where the pages say that the server is.
const ADDRESS: &str = "http://127.0.0.1:8080";
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
    import_your_own_csv "docs/howto/import-your-own-csv.md"
    move_stock_between_warehouses "docs/howto/move-stock-between-warehouses.md"
    reconcile "docs/howto/reconcile.md"
    sell_below_zero "docs/howto/sell-below-zero.md"
    set_reorder_points "docs/howto/set-reorder-points.md"
    ship_an_order "docs/howto/ship-an-order.md"
    track_lots "docs/howto/track-lots.md"
}

/// What takes more than one machine to follow, a database, or NATS.
const NOT_PASTED: &[&str] = &[
    "docs/howto/follow-the-feed.md",
    "docs/howto/outgrow-one-machine.md",
];

#[test]
fn every_how_to_is_run_and_listed() -> Result<()> {
    let list = std::fs::read_to_string(root().join("docs/howto/README.md"))?;
    for entry in std::fs::read_dir(root().join("docs/howto"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        let path = format!("docs/howto/{name}");
        ensure!(
            PAGES.contains(&&*path) || NOT_PASTED.contains(&&*path),
            "no test runs {path}"
        );
        ensure!(
            list.contains(&format!("]({name})")),
            "docs/howto/README.md does not list {name}"
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

/// Runs it all in a folder of its own; answers what was printed, and whether every command did well.
fn paste(parts: &[Part]) -> Result<(String, bool)> {
    let folder = bincard_testkit::scratch::folder("howto")?;
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs)?;
    std::os::unix::fs::symlink(bincard_binary()?, programs.join("bincard"))?;
    let here = folder.path().join("here");
    std::fs::create_dir(&here)?;
    let mut script = PRELUDE.to_owned();
    let mut number = 0;
    for part in parts {
        match part {
            Part::Serve => script += "begin_serving\n",
            Part::Stop => script += "end_serving\n",
            Part::Alone | Part::SessionEnds => {}
            Part::Block(block) => {
                script += &format!("printf '\\n{MARK}%s\\n' {number}\n");
                script += &block.commands.replace(ADDRESS, "${URL}");
                script += "\n";
                number += 1;
            }
        }
    }
    let mut path = programs.into_os_string();
    if let Some(others) = std::env::var_os("PATH") {
        path.push(":");
        path.push(others);
    }
    let mut shell = Command::new("bash");
    shell.args(["-eu", "-c", &script]);
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
