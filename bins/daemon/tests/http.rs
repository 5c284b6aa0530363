//! What probes and Prometheus are told.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use daemon::health::{Health, KUBERNETES};
use daemon::metrics::Metrics;
use http_body_util::BodyExt;
use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tower::ServiceExt;

async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response =
        router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let status = response.status();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(bytes.to_vec()).expect("text"))
}

/// The codes of `/healthz`, `/readyz` and `/livez`.
async fn codes(health: &Health) -> [u16; 3] {
    let router = health.router();
    let mut codes = [0; 3];
    for (code, path) in codes.iter_mut().zip(["/healthz", "/readyz", "/livez"]) {
        *code = get(&router, path, &[]).await.0.as_u16();
    }
    codes
}

#[tokio::test]
async fn probes_differ_in_what_matters_to_them() {
    let health = Health::new();
    assert_eq!(codes(&health).await, [200, 200, 200]);
    health.expect("datapath");
    health.expect_vital("engine");
    assert_eq!(codes(&health).await, [200, 503, 200], "what has not begun is not ready");
    health.set::<&str>("datapath", Ok(()));
    health.set::<&str>("engine", Ok(()));
    assert_eq!(codes(&health).await, [200, 200, 200]);
    assert!(health.is_ready());
    health.set("datapath", Err("no programs"));
    assert_eq!(codes(&health).await, [503, 503, 200], "a restart would not help");
    assert_eq!(health.failing(), [("datapath".to_owned(), "no programs".to_owned())]);
    health.set("engine", Err("stuck"));
    assert_eq!(codes(&health).await, [503, 503, 503], "a restart helps");
    health.expect("engine");
    assert_eq!(codes(&health).await, [503, 503, 503], "to name a part again changes nothing");
    health.remove("engine");
    health.set::<&str>("datapath", Ok(()));
    assert_eq!(codes(&health).await, [200, 200, 200]);
}

#[tokio::test]
async fn answers_are_long_or_brief() {
    let health = Health::new();
    health.set::<&str>("datapath", Ok(()));
    health.set(KUBERNETES, Err("connection refused"));
    let router = health.router();
    let (code, text) = get(&router, "/healthz", &[]).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    let expected = serde_json::json!({
        "status": "failing",
        "components": {
            "datapath": {"state": "ok"},
            "kubernetes": {"state": "failing", "reason": "connection refused"}
        }
    });
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), expected);
    let brief = get(&router, "/healthz", &[("brief", "true")]).await;
    assert_eq!(brief, (StatusCode::SERVICE_UNAVAILABLE, "failing\n".to_owned()));
    let without = get(&router, "/healthz", &[("brief", "true"), ("require-k8s-connectivity", "false")]).await;
    assert_eq!(without, (StatusCode::OK, "ok\n".to_owned()));
}

#[tokio::test]
async fn metrics_have_those_of_the_process() {
    let mut metrics = Metrics::new("netloom-test", "1.2.3", "cilium_test");
    let drops = Counter::<u64>::default();
    metrics.registry().register("cilium_drop_count", "Packets dropped", drops.clone());
    let router = metrics.router();
    drops.inc_by(7);
    let (code, text) = get(&router, "/metrics", &[]).await;
    assert_eq!(code, StatusCode::OK);
    assert!(text.contains("cilium_drop_count_total 7\n"), "{text}");
    assert!(text.contains(r#"netloom_build_info{program="netloom-test",version="1.2.3"} 1"#), "{text}");
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
    };
    assert!(value("process_resident_memory_bytes") > 100_000.0);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("cilium_test_process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(value("process_start_time_seconds") > 1_600_000_000.0);
    assert!(text.ends_with("# EOF\n"));
}
