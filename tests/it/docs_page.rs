//! The documentation page in a browser that reaches nothing but this machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::support::Site;

/// Where browsers of the Chromium family are found.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

#[test]
fn the_documentation_page_shows_every_route_without_the_internet() -> Result<()> {
    let site = Site::start()?;
    let profile = bincard_testkit::scratch::folder("browser")?;
    let output = Command::new(browser()?)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ])
        .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(site.server.url("/docs/")?)
        .output()
        .context("the browser could not be run")?;
    let page = String::from_utf8_lossy(&output.stdout);
    for route in [
        "/api/v1/stock-events",
        "/api/v1/stock",
        "/api/v1/ledger",
        "/api/auth/login",
    ] {
        // The page is made by its script from the description of the API: in its source there is no route.
        let shown = format!("data-path=\"{route}\"");
        ensure!(
            page.contains(&shown),
            "{route} is not on the page:\n{}",
            page.chars().take(2_000).collect::<String>()
        );
    }
    Ok(())
}

fn browser() -> Result<PathBuf> {
    let runs = |name: &&&str| {
        Command::new(name)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let found = BROWSERS.iter().find(runs);
    found
        .map(PathBuf::from)
        .context("there is no Chromium or Google Chrome: install one (Debian: apt-get install chromium)")
}
