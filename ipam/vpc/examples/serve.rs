//! Serves an empty region until it is interrupted: `cargo run -p netloom-vpc --example serve --
//! 127.0.0.1:8080`.

use std::{env, error::Error, future};

use vpc::{Cloud, Settings, http::Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let at = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let cloud = Cloud::new(Settings::default());
    let server = Server::query(cloud, at).await?;
    println!("export AWS_ENDPOINT_URL_EC2=http://{}", server.address());
    println!("export AWS_DEFAULT_REGION=eu-central-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any");
    future::pending().await
}
