//! Clients against servers that misbehave: small ones made of sockets, which say what they are told to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use kubernetes::client::{Call, Connector, Observer, Rate, Settings};
use kubernetes::lease::{Leadership, NotLeader};
use kubernetes::watch::{Event, Options, watch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server does with a request; the first line and the number of requests before it.
type Behaviour = Arc<dyn Fn(&str, usize) -> Answer + Send + Sync>;

enum Answer {
    /// Status line, headers and body.
    Say(&'static str, &'static str, String),
    /// Nothing, for ever.
    Hang,
    /// The connection ends.
    Close,
}

struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn server(behaviour: Behaviour) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (count, log) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&behaviour), Arc::clone(&count), Arc::clone(&log)));
        }
    });
    Server { url, asked }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    count: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
        text.extend_from_slice(&buffer[..read]);
        let request = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length = head
            .to_lowercase()
            .split_once("content-length: ")
            .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        if body.len() < length.unwrap_or(0) {
            continue;
        }
        text.clear();
        let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
        log.lock().unwrap().push(line.clone());
        match behaviour(&line, count.fetch_add(1, Ordering::SeqCst)) {
            Answer::Say(status, headers, body) => {
                let length = body.len();
                let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Answer::Hang => std::future::pending().await,
            Answer::Close => return,
        }
    }
}

fn map(name: &str, version: &str) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name}", "namespace": "a", "resourceVersion": "{version}"}}}}"#
    )
}

fn status(code: u16) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "no", "code": {code}}}"#
    )
}

async fn connector(server: &Server) -> Connector {
    let timeout = Duration::from_millis(300);
    Connector::new(Settings { server: Some(server.url.clone()), timeout, ..Settings::new("test") })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_server_that_hangs_hangs_nobody() {
    let server = server(Arc::new(|_, _| Answer::Hang)).await;
    let client = connector(&server).await.prompt(Duration::from_millis(200)).unwrap();
    let error = Api::<ConfigMap>::namespaced(client, "a").get("x").await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
    // A body that does not end is no answer either: the second length is of a header that nobody knows.
    let part = || Answer::Say("200 OK", "Content-Length: 1000\r\nX-", "{".to_owned());
    let server = self::server(Arc::new(move |_, _| part())).await;
    let client = connector(&server).await.prompt(Duration::from_millis(200)).unwrap();
    assert!(Api::<ConfigMap>::namespaced(client, "a").get("x").await.is_err());
}

#[tokio::test]
async fn reads_are_tried_again_and_writes_where_the_server_says_so() {
    let flaky = |line: &str, before| match (line.starts_with("GET"), before) {
        (true, 0) => Answer::Close,
        (true, 1) => Answer::Say("503 Service Unavailable", "", status(503)),
        (false, 3) => Answer::Say("429 Too Many Requests", "Retry-After: 0\r\n", status(429)),
        (false, 5) => Answer::Say("503 Service Unavailable", "", status(503)),
        _ => Answer::Say("200 OK", "", map("x", "1")),
    };
    let server = server(Arc::new(flaky)).await;
    let client = connector(&server).await.client().unwrap();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    api.get("x").await.unwrap();
    assert_eq!(server.asked.lock().unwrap().len(), 3);
    let object = ConfigMap::default();
    api.create(&PostParams::default(), &object).await.unwrap();
    assert_eq!(server.asked.lock().unwrap().len(), 5);
    // It may have been carried out: whoever writes has to look.
    api.create(&PostParams::default(), &object).await.unwrap_err();
    assert_eq!(server.asked.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn writes_need_a_lease_that_holds() {
    let server = server(Arc::new(|_, _| Answer::Say("200 OK", "", map("x", "1")))).await;
    let connector = connector(&server).await;
    let leading = connector.fenced(Leadership::lasting(Duration::from_secs(600))).unwrap();
    Api::<ConfigMap>::namespaced(leading, "a")
        .create(&PostParams::default(), &ConfigMap::default())
        .await
        .unwrap();
    let over = Api::<ConfigMap>::namespaced(connector.fenced(Leadership::default()).unwrap(), "a");
    over.get("x").await.unwrap();
    let error = over.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
    assert!(error.to_string().contains(&NotLeader.to_string()), "{error}");
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|line| line.starts_with("POST")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_write_that_waits_for_its_turn_is_not_sent_after_the_term() {
    let server = server(Arc::new(|_, _| Answer::Say("200 OK", "", map("x", "1")))).await;
    let rate = Some(Rate { per_second: 1.0, burst: 1 });
    let settings = Settings { server: Some(server.url.clone()), rate, ..Settings::new("test") };
    let connector = Connector::new(settings).await.unwrap();
    let client = connector.fenced(Leadership::lasting(Duration::from_millis(300))).unwrap();
    let api = Api::<ConfigMap>::namespaced(client, "a");
    // This takes the one turn that there is; the next is in a second.
    api.get("x").await.unwrap();
    let error = api.create(&PostParams::default(), &ConfigMap::default()).await.unwrap_err();
    assert!(error.to_string().contains(&NotLeader.to_string()), "{error}");
    let asked = server.asked.lock().unwrap().clone();
    assert!(!asked.iter().any(|line| line.starts_with("POST")), "{asked:?}");
}

#[tokio::test]
async fn a_write_is_given_up_when_the_term_ends() {
    let server = server(Arc::new(|_, _| Answer::Hang)).await;
    let settings = Settings { server: Some(server.url.clone()), ..Settings::new("test") };
    let connector = Connector::new(settings).await.unwrap();
    let client = connector.fenced(Leadership::lasting(Duration::from_millis(500))).unwrap();
    let create = async {
        Api::<ConfigMap>::namespaced(client, "a").create(&PostParams::default(), &ConfigMap::default()).await
    };
    // Far less than the time that the server is given otherwise.
    let error = tokio::time::timeout(Duration::from_secs(20), create).await.unwrap().unwrap_err();
    assert!(error.to_string().contains(&NotLeader.to_string()), "{error}");
}

#[derive(Default)]
struct Counter(Mutex<Vec<String>>);

impl Observer for Counter {
    fn called(&self, call: &Call<'_>) {
        let status = call.status.map_or(0, |status| status.as_u16());
        self.0.lock().unwrap().push(format!("{} {} {status} {}", call.method, call.path, call.watch));
    }
}

#[tokio::test]
async fn a_watch_goes_on_whatever_happens() {
    let list = |names: &[&str], version: &str| {
        let items: Vec<String> = names.iter().map(|name| map(name, version)).collect();
        let items = items.join(",");
        format!(
            r#"{{"kind": "List", "apiVersion": "v1", "metadata": {{"resourceVersion": "{version}"}}, "items": [{items}]}}"#
        )
    };
    let before = AtomicUsize::new(0);
    let behaviour = move |line: &str, _: usize| {
        // Where it is now, which a watch asks when it has doubts.
        if line.contains("limit=1&") || line.ends_with("limit=1") {
            return Answer::Say("200 OK", "", list(&[], "11"));
        }
        let before = before.fetch_add(1, Ordering::SeqCst);
        let event = |object: String| format!("{{\"type\": \"ADDED\", \"object\": {object}}}\n");
        match (line.contains("watch=true"), before) {
            (false, 0) => Answer::Close,
            (false, 1) => Answer::Say("200 OK", "", list(&["x", "y"], "5")),
            (true, 2) => Answer::Say("200 OK", "", event(map("z", "6"))),
            // Resumed where it was, and too late: by its status, or by an event.
            (true, 3) if line.contains("resourceVersion=6") => Answer::Say("410 Gone", "", status(410)),
            (false, 4) => Answer::Say("200 OK", "", list(&["y"], "9")),
            (true, 5) if line.contains("resourceVersion=9") => {
                Answer::Say("200 OK", "", format!("{{\"type\": \"ERROR\", \"object\": {}}}\n", status(410)))
            }
            (false, 6) => Answer::Say("200 OK", "", list(&[], "11")),
            _ => Answer::Hang,
        }
    };
    let server = server(Arc::new(behaviour)).await;
    let counter = Arc::new(Counter::default());
    let observer: Arc<dyn Observer> = Arc::clone(&counter) as _;
    let settings =
        Settings { server: Some(server.url.clone()), observer: Some(observer), ..Settings::new("test") };
    let client = Connector::new(settings).await.unwrap().client().unwrap();
    let options = Options { longest_pause: Duration::from_millis(50), ..Options::default() };
    let mut events = watch(Api::<ConfigMap>::all(client), options);
    let mut told = Vec::new();
    while told.iter().filter(|text| *text == "synced").count() < 3 {
        match events.next().await.unwrap() {
            Event::Set(object) => told.push(format!("+{}", object.metadata.name.unwrap())),
            Event::Gone(key) | Event::Lost(key) => told.push(format!("-{key}")),
            Event::Synced => told.push("synced".to_owned()),
            Event::Listing | Event::Failed(_) => {}
        }
    }
    // What is gone at once comes in no order.
    told[5..7].sort();
    assert_eq!(told.join(" "), "+x +y synced +z +y -a/x -a/z synced -a/y synced");
    let calls = counter.0.lock().unwrap();
    assert_eq!(calls[..2], ["GET /api/v1/configmaps 0 false", "GET /api/v1/configmaps 200 false"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_kubeconfig_is_said_once() {
    let settings = Settings { kubeconfig: Some("/nowhere/kubeconfig".into()), ..Settings::new("test") };
    let Err(error) = Connector::new(settings).await else { panic!("there is no such file") };
    let said = format!("{:#}", anyhow::Error::from(error));
    assert!(said.starts_with("kubeconfig /nowhere/kubeconfig: "), "{said}");
    assert_eq!(said.matches("No such file").count(), 1, "{said}");
}
