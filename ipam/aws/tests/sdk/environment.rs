//! Processes with an environment of their own.

use std::env;
use std::future::Future;
use std::process::{Command, Stdio};

/// The test that a process was started for.
const TEST: &str = "NETLOOM_SDK_TEST";

/// Credentials and a region that no service has to give.
pub(crate) const STATIC: [(&str, &str); 4] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "AKIASTATIC"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Runs what a test does in the process that was started for it; tells whether this is that process.
pub(crate) fn inside<F: Future<Output = ()>>(test: &str, work: impl FnOnce() -> F) -> bool {
    let here = env::var(TEST).is_ok_and(|name| name == test);
    if here {
        block_on(work());
    }
    here
}

/// Starts this program again for a test, with these variables and no others, and waits for it to pass.
pub(crate) fn pass(test: &str, variables: &[(&str, &str)]) {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        // Neither files of who runs the tests.
        .env("HOME", "/nonexistent")
        .env("AWS_CONFIG_FILE", "/nonexistent/config")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials")
        .env(TEST, test)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("1 passed"), "{test}: {told}");
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(work)
}
