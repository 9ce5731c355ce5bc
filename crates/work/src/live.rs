//! Queries, and the live tables in them: resources that are called while the query waits.
//!
//! In: a statement that names `live.api.resource`. Out: its answer, over what landed and over what
//! the api says now. Each resource is called once, with the parameters that the statement fills,
//! and read into memory up to its bounds; only then the query runs. What is read is whole or the
//! query fails: a bound that is reached is an error, because a part would look like the answer.
//! Nothing is landed and no run is recorded.

use std::sync::Arc;

use futures::future::try_join_all;
use restway_connect::Walk;
use restway_model::definition::{Live, Method, QueryValue, ResourceSettings};
use restway_model::{Code, Event, Explain, Scope, TableName, Template, Values};
use restway_tables::{Answer, AsOf, Asked, LiveIntake, LiveTable};
use serde_json::Value;

use crate::sync::Chosen;
use crate::{Selection, WorkError, Workspace};

/// There is no row, window or state in a live table's requests.
struct NoValues;

impl Values for NoValues {
    fn value(&self, _: Scope, _: &str) -> Result<Value, String> {
        Err("has no value where a query asks the api itself".into())
    }
}

impl Workspace {
    /// Runs a read-only query; `params` are the values of `$name` in it. Dropping the future ends
    /// its calls.
    ///
    /// # Errors
    /// A wrong statement, a live table that cannot be read or is larger than its bounds.
    pub async fn query(
        &self,
        sql: &str,
        params: &[(String, Value)],
        as_of: &AsOf,
    ) -> Result<Answer, WorkError> {
        let asked = self.lake.live_tables(sql, params, as_of)?;
        // Names are checked before the first call.
        let chosen = asked.into_iter().map(|one| Ok((self.choose_live(&one.name)?, one)));
        let chosen = chosen.collect::<Result<Vec<_>, WorkError>>()?;
        let live = try_join_all(chosen.iter().map(|(chosen, one)| self.fill(chosen, one))).await?;
        Ok(self.lake.query_with(sql, params, as_of, live).await?)
    }

    /// The resource of a live table, if it can be one.
    fn choose_live(&self, name: &TableName) -> Result<Chosen, WorkError> {
        let chosen = self.choose(&Selection(vec![name.to_string()]))?;
        let chosen = chosen.into_iter().next().ok_or(WorkError::NoResources)?;
        let settings = &chosen.settings;
        let is_reading = match settings.method {
            Method::Get | Method::Head | Method::Options => true,
            Method::Post | Method::Patch => settings.repeatable,
            Method::Put | Method::Delete => false,
        };
        let refused = |why| WorkError::LiveRefused { resource: chosen.table.clone(), why };
        if let Some(parent) = &settings.for_each {
            return Err(refused(format!("it is read for each row of `{parent}`")));
        }
        if settings.files.is_some() {
            return Err(refused("its answers are files".to_owned()));
        }
        if !is_reading {
            let method = settings.method.as_str();
            return Err(refused(format!("its {method} may change something at the api")));
        }
        Ok(chosen)
    }

    /// Reads all that the api has for what is asked.
    async fn fill(&self, chosen: &Chosen, asked: &Asked) -> Result<LiveTable, WorkError> {
        let live = &chosen.settings.live;
        let sent = sent(live, &asked.equalities);
        let types = chosen.settings.types.clone();
        let json = chosen.settings.nest.json.clone();
        let mut intake = self.lake.begin_live(&chosen.table, types, json).await?;
        let mut walk = self.connector.walk(
            Arc::clone(&chosen.api),
            chosen.table.clone(),
            Arc::new(settings(&chosen.settings, &sent)),
            Arc::new(NoValues),
        );
        let bound = |bound| WorkError::LiveBound { resource: chosen.table.clone(), bound };
        let time_is_up = self.clock.sleep(live.timeout.0);
        tokio::select! {
            read = self.read_live(&mut walk, &mut intake, live, asked.rows_enough) => match read? {
                None => {}
                Some(reached) => return Err(bound(reached)),
            },
            () = time_is_up => return Err(bound(format!("takes longer than {}", live.timeout))),
        }
        if intake.is_shapeless() {
            let message = "no record came, and none has landed, so its columns are not known";
            self.observer.observe(&Event::Warned {
                about: format!("live.{}", asked.name),
                message: message.to_owned(),
            });
        }
        let sent: Vec<(String, Value)> =
            sent.into_iter().map(|(param, value)| (Live::column(param), value.clone())).collect();
        Ok(intake.finish(asked.name.clone(), &sent)?)
    }

    /// Reads to the end, or to what is enough; says what bound it came to.
    async fn read_live(
        &self,
        walk: &mut Walk,
        intake: &mut LiveIntake,
        live: &Live,
        rows_enough: Option<u64>,
    ) -> Result<Option<String>, WorkError> {
        loop {
            let part = match walk.next().await {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(None),
                Err(error) if error.code() == Code::PageBound => {
                    return Ok(Some(format!("has more than {} pages", walk.counts().pages)));
                }
                Err(error) => return Err(error.into()),
            };
            intake.push(&part.records)?;
            if rows_enough.is_some_and(|enough| intake.rows() >= enough) {
                return Ok(None);
            }
            if intake.rows() > live.max_rows {
                return Ok(Some(format!("has more than {} rows", live.max_rows)));
            }
            let bytes_max = self.limits.live_bytes_max;
            if intake.bytes() > bytes_max {
                return Ok(Some(format!("is larger than {} MiB", bytes_max >> 20)));
            }
        }
    }
}

/// The parameters that a query fills, with their values.
fn sent<'a>(live: &'a Live, equalities: &'a [(String, Value)]) -> Vec<(&'a str, &'a Value)> {
    let value = |param: &str| {
        let column = Live::column(param);
        equalities.iter().find(|(name, _)| *name == column).map(|(_, value)| value)
    };
    live.params.iter().filter_map(|param| Some((param.as_str(), value(param)?))).collect()
}

/// The resource as a query reads it: all of it, from the beginning.
fn settings(resource: &ResourceSettings, sent: &[(&str, &Value)]) -> ResourceSettings {
    let mut settings = resource.clone();
    for (param, value) in sent {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = QueryValue::Text(Template::literal(&text));
        settings.query.insert((*param).to_owned(), value);
    }
    settings.incremental = None;
    let pages_max = settings.live.max_pages;
    settings.pages_max = Some(settings.pages_max.map_or(pages_max, |own| own.min(pages_max)));
    settings
}
