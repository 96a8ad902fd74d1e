//! What `deploy/` has, as far as it can be held against the programs it is for.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use bincard_testkit::nats::Nats;
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};

use crate::support::{EMAIL, PASSWORD};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

/// The figures that a file asks for.
fn figures_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words
        .filter(|word| word.starts_with("bincard_"))
        .map(|word| {
            let ends = ["_bucket", "_sum", "_count"];
            let whole = ends.iter().find_map(|end| word.strip_suffix(end));
            whole.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn alerts_and_the_dashboard_ask_for_figures_that_there_are() -> Result<()> {
    let nats = Nats::start()?;
    let folder = bincard_testkit::scratch::folder("deploy")?;
    let mut options = ServerOptions::bincard(bincard_binary()?, folder.path().join("data"), EMAIL, PASSWORD);
    let backup = folder.path().join("backup");
    std::fs::create_dir(&backup)?;
    options.environment.extend([
        ("BINCARD_NATS_URL".to_owned(), nats.url().into()),
        ("BINCARD_SHIP_TO".to_owned(), backup.into_os_string()),
    ]);
    let server = Server::start(options)?;
    // An error says that one is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let metrics = reqwest::get(server.url("/metrics")?).await?.text().await?;
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for file in ["alerts.yml", "grafana/bincard.json"] {
        let text = std::fs::read_to_string(deploy(file)).with_context(|| file.to_owned())?;
        let asked = figures_in(&text);
        ensure!(!asked.is_empty(), "{file} asks for nothing");
        for figure in asked {
            ensure!(
                there.contains(&*figure),
                "{file} asks for {figure}, which /metrics has not"
            );
        }
    }
    let dashboard = std::fs::read_to_string(deploy("grafana/bincard.json"))?;
    serde_json::from_str::<serde_json::Value>(&dashboard).context("the dashboard is no JSON")?;
    Ok(())
}

/// Runs a program that checks a file, and answers what it says.
fn check(program: impl AsRef<OsStr>, arguments: &[&str], file: &Path) -> Result<String> {
    let program = program.as_ref();
    let run = Command::new(program).args(arguments).arg(file).output();
    let run = run.with_context(|| format!("cannot run {}", program.display()))?;
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(run.status.success(), "{}: {said}", file.display());
    Ok(said)
}

#[test]
fn prometheus_takes_its_files() -> Result<()> {
    let promtool = std::env::var_os("BINCARD_PROMTOOL").unwrap_or_else(|| "promtool".into());
    check(&promtool, &["check", "config"], &deploy("prometheus.yml"))?;
    check(&promtool, &["check", "rules"], &deploy("alerts.yml"))?;
    Ok(())
}

/// The file as it stands; before the program that came before the plugin, without the project's name.
#[test]
fn compose_takes_its_file() -> Result<()> {
    let folder = bincard_testkit::scratch::folder("compose")?;
    let text = std::fs::read_to_string(deploy("compose.yaml"))?;
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    let is_old = !plugin.is_ok_and(|plugin| plugin.status.success());
    let lines = text.lines().filter(|line| !(is_old && line.starts_with("name:")));
    let file = folder.path().join("compose.yaml");
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n"))?;
    let (program, arguments) = match is_old {
        true => ("docker-compose", &["-f"][..]),
        false => ("docker", &["compose", "-f"][..]),
    };
    let run = Command::new(program)
        .args(arguments)
        .arg(&file)
        .args(["config", "--services"])
        .output();
    let run = run.with_context(|| format!("cannot run {program}"))?;
    ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let services = String::from_utf8(run.stdout)?;
    let services: BTreeSet<&str> = services.lines().collect();
    let meant = BTreeSet::from(["nats", "node-1", "node-2", "postgres", "projector"]);
    ensure!(services == meant, "{services:?}");
    Ok(())
}

/// Copies a program of this machine into a file system of its own, with the libraries that it loads.
#[cfg(target_os = "linux")]
fn copy_program(program: &str, root: &Path) -> Result<()> {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()?;
    let from = String::from_utf8(found.stdout)?.trim().to_owned();
    let libraries = Command::new("ldd").arg(&from).output()?;
    let libraries = String::from_utf8(libraries.stdout)?;
    let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    let to = format!("/bin/{program}");
    for (from, to) in paths.map(|path| (path, path)).chain([(&*from, &*to)]) {
        let to = root.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        std::fs::copy(from, &to).with_context(|| format!("cannot copy {from}"))?;
    }
    Ok(())
}

/// Every step is carried out as it stands. What would be fetched is stood in for: the image with the toolchain by one whose
/// `apt-get` does nothing and whose `cargo` has built something already, the other by an empty one.
#[cfg(target_os = "linux")]
#[test]
fn the_dockerfile_makes_an_image_of_the_binary_alone_that_runs_as_nobody() -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let folder = bincard_testkit::scratch::folder("image")?;
    let [base, sources] = ["base", "sources"].map(|name| folder.path().join(name));
    for program in ["sh", "install"] {
        copy_program(program, &base)?;
    }
    let stand_ins = [
        ("apt-get", "#!/bin/sh\n"),
        (
            "cargo",
            "#!/bin/sh\n[ \"$*\" = 'build --locked --release --package bincard' ] && install -D built target/release/bincard\n",
        ),
    ];
    for (name, script) in stand_ins {
        let path = base.join("bin").join(name);
        std::fs::write(&path, script)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    std::fs::create_dir(&sources)?;
    std::fs::write(sources.join("built"), "the binary")?;
    std::fs::write(base.join("Dockerfile"), "FROM scratch\nCOPY . /\n")?;
    std::fs::write(base.join("Dockerfile.empty"), "FROM scratch\nLABEL empty=yes\n")?;

    let buildah = |arguments: &[&str]| -> Result<String> {
        let run = Command::new("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(folder.path().join("images"))
            .arg("--runroot")
            .arg(folder.path().join("run"))
            .args(arguments)
            .output()
            .context("cannot run buildah")?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "buildah {arguments:?}: {said}");
        Ok(String::from_utf8(run.stdout)?.trim().to_owned())
    };
    let build = |file: &Path, tag: &str, context: &Path| {
        let (file, context) = (file.to_string_lossy(), context.to_string_lossy());
        let how = ["build", "--isolation", "chroot", "--pull-never"];
        buildah(&[&how[..], &["-f", &file, "-t", tag, &context]].concat())
    };
    let (toolchain, bare) = (base.join("Dockerfile"), base.join("Dockerfile.empty"));
    build(&toolchain, "docker.io/library/rust:1.95-slim-bookworm", &base)?;
    build(&bare, "gcr.io/distroless/cc-debian12:nonroot", &base)?;
    build(&deploy("Dockerfile"), "bincard", &sources)?;

    let image: serde_json::Value =
        serde_json::from_str(&buildah(&["inspect", "--type", "image", "bincard"])?)?;
    let config = &image["OCIv1"]["config"];
    ensure!(config["User"] == "65532:65532", "{config}");
    ensure!(
        config["Entrypoint"] == serde_json::json!(["/usr/local/bin/bincard"]),
        "{config}"
    );
    ensure!(config["Cmd"] == serde_json::json!(["serve"]), "{config}");
    ensure!(config["Volumes"]["/data"].is_object(), "{config}");
    ensure!(config["ExposedPorts"]["8080/tcp"].is_object(), "{config}");

    let container = buildah(&["from", "--pull-never", "bincard"])?;
    let root = PathBuf::from(buildah(&["mount", &container])?);
    let binary = root.join("usr/local/bin/bincard");
    ensure!(std::fs::read_to_string(&binary)? == "the binary");
    ensure!(std::fs::metadata(&binary)?.mode() & 0o777 == 0o755);
    let data = std::fs::metadata(root.join("data"))?;
    let found = (data.uid(), data.gid(), data.mode() & 0o777);
    ensure!(found == (65_532, 65_532, 0o700), "/data is {found:?}");
    ensure!(
        !root.join("src").exists() && !root.join("bin/cargo").exists(),
        "sources are in the image"
    );
    buildah(&["rm", "--all"])?;
    Ok(())
}

/// The service as it stands, but for where the binary lies.
#[cfg(target_os = "linux")]
#[test]
fn systemd_takes_the_service() -> Result<()> {
    let folder = bincard_testkit::scratch::folder("service")?;
    let service = std::fs::read_to_string(deploy("bincard.service"))?;
    let binary = bincard_binary()?;
    let here = service.replace("/usr/local/bin/bincard", &binary.to_string_lossy());
    ensure!(here != service, "the service runs no binary");
    let file = folder.path().join("bincard.service");
    std::fs::write(&file, here)?;
    let said = check("systemd-analyze", &["verify", "--man=no"], &file)?;
    // It may end well and say that something is wrong all the same.
    ensure!(!said.contains("bincard.service:"), "{said}");
    Ok(())
}

/// The file as it stands; before a server that does not know `sync_interval` yet, without it.
#[test]
fn nats_takes_its_file() -> Result<()> {
    let folder = bincard_testkit::scratch::folder("nats-file")?;
    let program = bincard_testkit::nats::program()?;
    let version = Command::new(&program).arg("--version").output()?;
    let version = String::from_utf8(version.stdout)?;
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse::<u32>().ok());
    let is_old = version.contains("v2.") && minor.is_some_and(|minor| minor < 10);
    let text = std::fs::read_to_string(deploy("nats.conf"))?;
    let lines = text
        .lines()
        .filter(|line| !(is_old && line.contains("sync_interval:")));
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n"))?;
    check(program, &["-t", "-c"], &file)?;
    Ok(())
}
