//! The server as a client sees it that we did not write: boto3, with botocore's model of EC2. And where moto, an emulator of
//! others, does what EC2 does, the two are compared.
//!
//! Both are installed with pip, in the versions of `tests/boto3/requirements.txt`, into a virtual environment in the build directory.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use vpc::{Cloud, Fault, Operation, Rate, Settings, Spelling, http::Server};

/// Where python finds boto3, or why it does not.
fn python() -> Result<&'static Path, &'static str> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boto3");
        install(&directory).map(|()| directory.join("bin/python"))
    });
    found.as_deref().map_err(String::as_str)
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boto3")
}

/// Makes the virtual environment, unless it is there with these versions.
fn install(directory: &Path) -> Result<(), String> {
    let requirements = scripts().join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).map_err(|error| format!("{error}"))?;
    let marker = directory.join("installed");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(directory))?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout=20", "--retries=1"];
    run(Command::new(directory.join("bin/python"))
        .args(pip)
        .args(["--only-binary=:all:", "--requirement"])
        .arg(requirements))?;
    fs::write(marker, wanted).map_err(|error| format!("{error}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let line = format!("{command:?}");
    let ended = command.stdin(Stdio::null()).output().map_err(|error| format!("{line}: {error}"))?;
    let last = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.lines().last().unwrap_or_default().to_owned()
    };
    if ended.status.success() { Ok(()) } else { Err(format!("{line}: {}", last(&ended))) }
}

async fn serve(cloud: Cloud) -> io::Result<(Server, String)> {
    let server = Server::query(cloud, "127.0.0.1:0".parse().expect("an address")).await?;
    let endpoint = format!("http://{}", server.address());
    Ok((server, endpoint))
}

/// Runs a script, and returns what it printed; nothing where there is no boto3.
async fn script(name: &str, arguments: &[&str]) -> Option<String> {
    let python = match tokio::task::spawn_blocking(python).await.expect("no panic") {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: boto3 can't be installed: {why}");
            return None;
        }
    };
    let mut command = Command::new(python);
    // A proxy would not find the server, and files of the user's are none of this test's business.
    command
        .arg(scripts().join(name))
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let ended = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
    let ended = ended.await.expect("no panic").expect("python runs");
    let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{name}: {printed}\n{}", String::from_utf8_lossy(&ended.stderr));
    Some(printed)
}

fn cloud() -> Cloud {
    Cloud::new(Settings { seed: 3, spelling: Spelling::Code, ..Settings::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_understands_every_action() {
    let (cloud, throttled) = (cloud(), cloud());
    throttled.with(|region, _| {
        region.settings_mut().throttled = true;
        region.buckets().set(Operation::DescribeVpcs, Rate { burst: 1.0, refill: 0.001 });
        region.faults().next(Operation::CreateTags, Fault::LostReply);
    });
    let (_server, endpoint) = serve(cloud.clone()).await.expect("a server");
    let (_second, other) = serve(throttled.clone()).await.expect("a server");
    let Some(answered) = script("client.py", &[&endpoint, &other]).await else { return };
    let all: BTreeSet<&str> = Operation::ALL.iter().map(|operation| operation.name()).collect();
    assert_eq!(answered.split_whitespace().collect::<BTreeSet<_>>(), all, "every action was answered");
    assert_eq!(cloud.with(|region, _| region.check()), []);
    let calls = throttled.with(|region, _| region.counters().calls(Operation::CreateTags));
    assert_eq!(calls, 1, "boto3 was told not to repeat");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shape_of_motos() {
    let (_server, endpoint) = serve(cloud()).await.expect("a server");
    let Some(printed) = script("overlap.py", &[&endpoint]).await else { return };
    assert!(printed.contains("types"), "{printed}");
}
