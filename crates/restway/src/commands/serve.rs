//! `restway serve`: the apps of a workspace, published.

use std::net::SocketAddr;
use std::sync::Arc;

use restway_connect::Proxies;
use restway_model::Limits;
use restway_publish::Publisher;
use restway_server::{Server, ServerSettings, TrustedProxies};
use restway_work::{Settings, Workspace};
use serde_json::json;

use super::accounts;
use crate::arguments::Serve;
use crate::context::Context;
use crate::printer::Color;
use crate::report::{Exit, Failure};

pub(super) async fn run(context: &Context, arguments: &Serve) -> Result<Exit, Failure> {
    let settings =
        Settings { may_reach_loopback: false, proxies: Proxies::default(), ..context.settings() };
    let workspace = Workspace::open(&context.folder()?, settings).await?;
    let server = bind(context, &workspace, arguments.listen, arguments.insecure_listen).await?;
    let url = server.url();
    context.printer.json(&json!({ "url": url }));
    context
        .printer
        .line(&format!("serving {} (Ctrl-C ends)", context.printer.paint(Color::Bold, &url)));
    if workspace.definitions.apps.is_empty() {
        context.printer.aside("nothing is published yet: write apps/NAME.yaml");
    }
    until_stopped(context, server).await
}

/// A server for the workspace's apps that listens and does not answer yet.
pub(super) async fn bind(
    context: &Context,
    workspace: &Workspace,
    listen: SocketAddr,
    beyond_loopback: bool,
) -> Result<Server, Failure> {
    let publisher = Publisher::new(
        workspace.apps().await?,
        &workspace.source(),
        &Limits::default(),
        Arc::clone(&context.observer),
        Arc::clone(&context.clock),
    )?
    .with_seal(workspace.page_seal().await?)
    .calling(Arc::new(workspace.clone()));
    for warning in accounts::empty_groups(&workspace.definitions, workspace.store()).await? {
        context.printer.note(&format!("warning: {warning}"));
    }
    let publisher = Arc::new(publisher.knowing(Arc::new(workspace.identities())));
    // A database that is slow to answer keeps nobody waiting.
    let asked = Arc::clone(&publisher);
    tokio::spawn(async move { asked.tell_of_misnamed().await });
    let mut settings = ServerSettings::new(
        listen,
        publisher,
        Arc::clone(&context.observer),
        Arc::clone(&context.clock),
    );
    settings.beyond_loopback = beyond_loopback || workspace.definitions.workspace.serve.insecure;
    let serve = &workspace.definitions.workspace.serve;
    // The check of the file has read each of them before.
    let trusted = serve.trusted_proxies.iter().filter_map(|entry| entry.parse().ok()).collect();
    settings.proxies = TrustedProxies::new(trusted, serve.forwarded);
    Ok(Server::bind(settings).await?)
}

/// Answers until the process is asked to stop.
pub(super) async fn until_stopped(context: &Context, server: Server) -> Result<Exit, Failure> {
    let mut stop = context.stop_on_signal();
    server.run(async move { stop.raised().await }).await?;
    Ok(Exit::Done)
}
