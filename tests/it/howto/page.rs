//! A page of Markdown, taken apart: what is to be pasted, what it is to print, and what is done beside.

use anyhow::{Context, Result, bail, ensure};

/// A page's parts, in order.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) parts: Vec<Part>,
}

#[derive(PartialEq, Debug)]
pub(super) enum Part {
    /// The server is started.
    Serve,
    /// The server is stopped.
    Stop,
    /// The page does not go on from the first session.
    Alone,
    /// What stands before is what other pages go on from.
    SessionEnds,
    /// Somebody has made the database that the page names.
    Database,
    /// The next block is begun on each of these machines, and goes on there.
    On(Vec<String>),
    /// What runs on a machine is killed with no warning.
    Killed(String),
    Block(Block),
}

/// Commands, and all that they print, where the page shows it.
#[derive(PartialEq, Debug)]
pub(super) struct Block {
    /// Where it begins in its page.
    pub(super) line: usize,
    pub(super) commands: String,
    pub(super) shows: Option<String>,
}

impl Part {
    pub(super) fn block(&self) -> Option<&Block> {
        match self {
            Part::Block(block) => Some(block),
            _ => None,
        }
    }

    /// What a comment says that the reader does.
    fn of_comment(words: &str) -> Result<Part> {
        if let Some(machines) = words.strip_prefix("on ") {
            return Ok(Part::On(machines.split(", ").map(str::to_owned).collect()));
        }
        if let Some(machine) = words.strip_suffix(" is killed") {
            return Ok(Part::Killed(machine.to_owned()));
        }
        Ok(match words {
            "bincard serve" => Part::Serve,
            "the server stops" => Part::Stop,
            "alone" => Part::Alone,
            "the how-tos go on here" => Part::SessionEnds,
            "the database is made" => Part::Database,
            _ => bail!("there is no such thing to do beside pasting: {words}"),
        })
    }
}

impl Page {
    pub(super) fn parse(text: &str) -> Result<Page> {
        let mut parts: Vec<Part> = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let comment = line.strip_prefix("<!-- test: ");
            if let Some(words) = comment.and_then(|rest| rest.strip_suffix(" -->")) {
                parts.push(Part::of_comment(words)?);
            }
            let Some(language) = line.strip_prefix("```") else {
                continue;
            };
            let within: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            ensure!(
                text.lines().nth(index + within.len() + 1) == Some("```"),
                "the block at line {} has no end",
                index + 1
            );
            let within = within.join("\n");
            match language {
                "sh" => parts.push(Part::Block(Block {
                    line: index + 1,
                    commands: within,
                    shows: None,
                })),
                "text" => match parts.last_mut() {
                    Some(Part::Block(block)) if block.shows.is_none() => block.shows = Some(within),
                    _ => bail!("line {} shows what nothing prints", index + 1),
                },
                _ => bail!("line {}: a block is sh or text, not {language:?}", index + 1),
            }
        }
        Ok(Page { parts })
    }
}

/// Whether `printed` is `shown`, where `…` stands for anything, and blanks and line ends for nothing.
pub(super) fn is_what_is_shown(shown: &str, printed: &str) -> bool {
    let squeeze = |text: &str| {
        text.chars()
            .filter(|one| !one.is_whitespace())
            .collect::<String>()
    };
    let (shown, printed) = (squeeze(shown), squeeze(printed));
    let mut pieces = shown.split('…');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn what_is_shown_is_all_that_is_printed() {
    let printed = "{\"id\":\"0a1b\",\"n\":22,\n \"rest\":[]}\n";
    for shown in [
        "{\"id\":\"…\",\"n\":22,…}",
        "{\"id\":\"0a1b\", \"n\":22, \"rest\":[]}",
        "…\"n\":22…",
        "…",
    ] {
        assert!(is_what_is_shown(shown, printed), "{shown}");
    }
    for shown in [
        "{\"id\":\"…\",\"n\":22",
        "\"id\":\"…\",\"n\":22,…}",
        "{\"id\":\"…\",\"n\":23,…}",
        "{…\"n\":22…\"id\"…}",
        "",
    ] {
        assert!(!is_what_is_shown(shown, printed), "{shown}");
    }
    assert!(!is_what_is_shown("aba…aba", "aba"), "a piece is not used twice");
}

#[test]
fn a_page_is_its_blocks_and_what_is_done_beside() -> Result<()> {
    let page = Page::parse(
        "# A\n<!-- test: on a, b-1 -->\n```sh\na\nb\n```\n```text\n…\n```\n\n    not run\n<!-- test: b-1 is killed -->\n",
    )?;
    assert_eq!(
        page.parts,
        [
            Part::On(vec!["a".to_owned(), "b-1".to_owned()]),
            Part::Block(Block {
                line: 3,
                commands: "a\nb".to_owned(),
                shows: Some("…".to_owned()),
            }),
            Part::Killed("b-1".to_owned()),
        ]
    );
    for wrong in [
        "```sh\na\n",
        "```text\n…\n```\n",
        "```bash\na\n```\n",
        "<!-- test: dance -->\n",
        "```sh\na\n```\n```text\n1\n```\n```text\n2\n```\n",
    ] {
        Page::parse(wrong).err().with_context(|| wrong.to_owned())?;
    }
    Ok(())
}
