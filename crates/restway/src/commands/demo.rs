//! `restway demo`: the whole way on the bundled API, in a workspace that is gone afterwards.

use std::path::Path;

use demo_api::DemoApi;
use restway_connect::Request;
use restway_model::definition::{ApiFile, Method};
use restway_model::{Name, SafeUrl, Secret};
use restway_server::Server;
use restway_work::{Extent, Selection, Stopper, Workspace};

use super::{query, serve, sync, tables};
use crate::arguments::Demo;
use crate::context::Context;
use crate::printer::Color;
use crate::report::{BadArgument, Exit, Failure};

/// The query that is shown: parent and child tables joined.
const QUERY: &str = "\
select l.title, count(*) as orders, sum(l.quantity) as sold, round(sum(l.quantity * l.unit_price), 2) as revenue
from demo.orders o join demo.orders__lines l on l._parent_id = o._row_id
where o.status <> 'cancelled'
group by l.title order by revenue desc limit 8";

pub(super) async fn run(context: &Context, arguments: &Demo) -> Result<Exit, Failure> {
    let folder = tempfile::tempdir().map_err(restway_work::WorkError::File)?;
    let api = DemoApi::start(demo_api::Settings::default())
        .await
        .map_err(restway_work::WorkError::File)?;
    let outcome = show(context, arguments, folder.path(), &api).await;
    api.shutdown().await;
    outcome
}

async fn show(
    context: &Context,
    arguments: &Demo,
    folder: &Path,
    api: &DemoApi,
) -> Result<Exit, Failure> {
    let printer = &context.printer;
    step(context, &format!("A workspace in {}, and a REST API at {}", folder.display(), api.url()));
    let api_file = api_file(api);
    printer.line(&api_file);
    let workspace = prepare(context, folder, api, &api_file).await?;

    step(context, "restway sync");
    let (_stopper, stop) = Stopper::new();
    let report = workspace.sync(&Selection::default(), Extent::New, &stop).await?;
    context.progress.finish();
    sync::print(context, &report);
    if sync::exit(&report) != Exit::Done {
        return Ok(sync::exit(&report));
    }

    step(context, "restway tables");
    tables::list(context, workspace.lake()).await?;

    step(context, &format!("restway query \"{QUERY}\""));
    query::table(context, workspace.lake().query(QUERY, &[]).await?, 20).await?;

    step(context, "restway serve");
    let server = serve::bind(context, &workspace, arguments.listen, false).await?;
    let urls = urls(&server);
    for (what, url) in &urls {
        printer.line(&format!("  {what}:\n    curl '{url}'"));
    }
    if arguments.once {
        return fetch(context, server, &workspace, &urls).await;
    }
    printer.line(&format!(
        "\nserving {} until Ctrl-C. In a workspace of your own: `restway init`, then `restway \
         probe URL`",
        printer.paint(Color::Bold, &server.url())
    ));
    serve::until_stopped(context, server).await
}

fn step(context: &Context, what: &str) {
    let printer = &context.printer;
    printer.line(&format!("\n{}", printer.paint(Color::Bold, &format!("── {what}"))));
}

/// What a person would write to `apis/demo.yaml`.
fn api_file(api: &DemoApi) -> String {
    let url = api.url();
    format!(
        "\
api: demo
base_url: {url}/v1
auth:
  type: oauth2
  token_url: {url}/oauth/token
  client_id: {}
  client_secret: ${{secret.demo_client_secret}}
defaults:
  query: {{ pageSize: 100 }}
  records: data
  paginate: {{ type: token, next: nextPageToken, param: pageToken }}
  key: id
resources:
  customers: /customers
  orders: /orders
  projects: /projects
  issues:
    for_each: projects
    path: /projects/${{parent.id}}/issues
    carry: {{ project_id: id }}
    key: [project_id, id]
",
        api.client_id()
    )
}

/// Writes the files that a person would write, and opens the workspace.
async fn prepare(
    context: &Context,
    folder: &Path,
    api: &DemoApi,
    api_file: &str,
) -> Result<Workspace, Failure> {
    restway_work::init(folder, Some(Name::slug("demo")))?;
    let app_file = "\
app: demo
access: { anonymous: all }
objects:
  customers:
    from: demo.customers
    key: [id]
    default_fields: [id, name, email, address__city, address__country]
  orders:
    from: demo.orders
    key: [id]
    default_fields: [id, number, customer_id, status, total, currency, placed_at]
";
    let write = |file: &str, text: &str| {
        fs_err::write(folder.join(file), text).map_err(restway_work::WorkError::File)
    };
    write("apis/demo.yaml", api_file)?;
    write("apps/demo.yaml", app_file)?;
    let secret = Secret::new(api.client_secret());
    context.printer.redactor.learn(&secret);
    let store = restway_store::Store::open(&folder.join(".restway"), context.clock.clone()).await?;
    store.secrets().set(&Name::slug("demo_client_secret"), &secret).await?;
    Ok(Workspace::open(folder, context.settings()).await?)
}

fn urls(server: &Server) -> [(&'static str, String); 3] {
    let base = format!("{}/rest/v1/demo", server.url());
    [
        ("a list", format!("{base}/customers?$limit=2")),
        ("an item", format!("{base}/orders/7")),
        (
            "filtered and sorted",
            format!("{base}/orders?status=shipped&$sort=-total&$limit=2&$count=true"),
        ),
    ]
}

/// Fetches what was published, as somebody else's program would, and ends the server.
async fn fetch(
    context: &Context,
    server: Server,
    workspace: &Workspace,
    urls: &[(&'static str, String)],
) -> Result<Exit, Failure> {
    let (stopper, mut stop) = Stopper::new();
    let serving = tokio::spawn(server.run(async move { stop.raised().await }));
    let fetched = fetch_all(context, workspace, urls).await;
    stopper.stop();
    serving.await.map_err(restway_work::WorkError::Task)??;
    fetched
}

async fn fetch_all(
    context: &Context,
    workspace: &Workspace,
    urls: &[(&'static str, String)],
) -> Result<Exit, Failure> {
    for (_, url) in urls {
        step(context, &format!("curl '{url}'"));
        let url = url.parse::<url::Url>().map_err(|error| BadArgument::new(error.to_string()))?;
        let api = ApiFile::bare(Name::slug("published"), &url);
        let request = Request::new(Method::Get, SafeUrl::new(url));
        let answer = workspace.connector().call(&api, request).await?;
        context.printer.line(&String::from_utf8_lossy(&answer.body));
        if answer.status != 200 {
            return Ok(Exit::Failed);
        }
    }
    Ok(Exit::Done)
}
