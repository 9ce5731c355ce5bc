//! One attempt: a request, the redirects that it leads through, and the credentials of each hop.
//!
//! In: the request of an exchange and the api it is for. Out: the head of the answer at the end of
//! the chain, or what was wrong. Each hop goes: pass → authorize → wire → 401? token, once. What
//! never happens here: a decision about another attempt.

use std::sync::Arc;
use std::time::Duration;

use restway_model::definition::Auth;
use restway_model::{Event, SafeUrl};

use super::{Exchange, Opened};
use crate::authorize::{Credential, fixed, signed};
use crate::cookies::Jar;
use crate::error::Failure;
use crate::gate::Passer;
use crate::kept::{Met, Sought, identity};
use crate::redirect::{Hop, is_led};
use crate::request::{Body, Redirects, header};
use crate::sent::Sent;
use crate::values::NoValues;
use crate::wire::{End, Incoming, Outgoing, Route};

impl Exchange {
    /// One attempt: the request and the redirects it leads through.
    pub(super) async fn chain(&mut self) -> Result<Opened, Failure> {
        let place = self.target.gate.places.enter().await;
        let mut hop = Hop {
            method: self.request.method,
            url: self.request.url.clone(),
            headers: self.request.headers.clone(),
            body: self.request.body.as_ref().map(Body::upload),
            is_home: self.target.is_home(self.request.url.expose()),
        };
        let redirects_max = match self.request.manner.redirects {
            Some(Redirects::Returned) => 0,
            Some(Redirects::Followed(most)) => usize::from(most),
            None => self.connector.limits().redirects_max,
        };
        let is_followed = self.request.manner.redirects != Some(Redirects::Returned);
        let mut cookies = Jar::default();
        for _ in 0..=redirects_max {
            let incoming = self.hop(&hop).await?;
            cookies.read(&incoming.headers, hop.url.expose(), self.connector.clock().now());
            let next = match is_followed {
                true => hop.after(incoming.status, &incoming.headers)?,
                false => None,
            };
            let Some(mut next) = next else {
                return Ok(Opened { incoming, url: hop.url, cookies, place });
            };
            let is_definitions = self.request.manner.redirects.is_none();
            if is_definitions && hop.loses_write(incoming.status, &next) {
                return Err(Failure::Redirect {
                    target: next.url.to_string(),
                    problem: "the POST would become a GET, which does not do it; write that \
                              address in the definition"
                        .into(),
                });
            }
            if next.is_home && !is_definitions {
                let own = header(&self.request.headers, "cookie").unwrap_or_default();
                cookies.apply(own, next.url.expose(), &mut next.headers);
            }
            let is_written = self.target.is_home(next.url.expose());
            self.is_led = is_led(self.is_led, hop.url.expose(), next.url.expose(), is_written);
            hop = next;
            self.redirected_to = Some(hop.url.clone());
        }
        Err(Failure::Redirect {
            target: hop.url.to_string(),
            problem: format!("it is number {} of one request", redirects_max + 1),
        })
    }

    /// How the hop's host is reached.
    async fn route(&self, hop: &Hop) -> Result<Route, Failure> {
        let manner = &self.request.manner;
        let is_own = hop.url.expose().host_str() == self.request.url.expose().host_str();
        let tls = match manner.tls.clone().filter(|_| is_own) {
            None if hop.is_home && self.target.is_own(hop.url.expose()) => {
                self.connector.tls(&self.target.tls).await?
            }
            tls => tls,
        };
        if let Some(tls) = &tls
            && let Some(warning) = self.target.ending_warning(tls, self.connector.clock().now())
        {
            self.connector.observe(&warning);
        }
        let connect_timeout = manner.timeouts.map(|timeouts| timeouts.connect);
        let proxy = self.connector.proxy(self.target.proxy.as_ref(), hop.url.expose())?;
        Ok(Route { tls, connect_timeout, proxy, is_led: self.is_led })
    }

    /// One hop; with a token that the api refuses, once more with a new one.
    async fn hop(&mut self, hop: &Hop) -> Result<Incoming, Failure> {
        let (credential, serial) = self.credential(hop, None).await?;
        let incoming = self.send(hop, credential).await?;
        let site =
            self.target.site(hop.url.expose()).filter(|_| hop.is_home && incoming.status == 401);
        if site.is_some_and(|site| site.is_challenged(&incoming.headers)) {
            drop(incoming);
            let (credential, _) = self.credential(hop, None).await?;
            return self.send(hop, credential).await;
        }
        let Some(serial) = serial.filter(|_| incoming.status == 401 && !self.has_renewed) else {
            return Ok(incoming);
        };
        self.has_renewed = true;
        drop(incoming);
        let (credential, _) = self.credential(hop, Some(serial)).await?;
        self.send(hop, credential).await
    }

    /// The credential of a hop, and the serial of its token if it is one.
    async fn credential(
        &self,
        hop: &Hop,
        refused: Option<u64>,
    ) -> Result<(Credential, Option<u64>), Failure> {
        let site = self.target.site(hop.url.expose()).filter(|site| site.auth != Auth::None);
        let Some(site) = site.filter(|_| hop.is_home) else {
            return Ok((Credential::None, None));
        };
        if let Some(warning) = self.target.plain_warning(hop.url.expose()) {
            self.connector.observe(&warning);
        }
        let credential = {
            let lookup = self.connector.lookup(&NoValues, true);
            let redactor = self.connector.redactor();
            match fixed(&site.auth, &lookup, redactor)? {
                Some(credential) => Some(credential),
                None => signed(site, hop, &lookup, self.connector.clock().now(), redactor)?,
            }
        };
        if let Some(credential) = credential {
            return Ok((credential, None));
        }
        let tokens = &site.tokens;
        let (credential, serial) =
            tokens.credential(&self.connector, &self.target, site, refused).await?;
        Ok((credential, Some(serial)))
    }

    /// Waits at the gate.
    async fn pass(&self) {
        let api = &self.target.name;
        let waits = |wait| self.connector.observe(&Event::RateWaited { api: api.clone(), wait });
        let alone = |problem: String| {
            if let Some(warning) = self.target.alone_warning(problem) {
                self.connector.observe(&warning);
            }
        };
        let passer = Passer {
            api,
            clock: self.connector.clock(),
            shared: self.connector.extras().rates.as_deref(),
            waits: &waits,
            alone: &alone,
        };
        if self.tally.resource().is_none() {
            return self.target.gate.pass(&passer).await;
        }
        let begun = self.connector.clock().monotonic();
        self.target.gate.pass(&passer).await;
        self.tally.waited_at_rate(self.connector.clock().monotonic().saturating_sub(begun));
    }

    async fn send(&mut self, hop: &Hop, credential: Credential) -> Result<Incoming, Failure> {
        let clock = self.connector.clock();
        if hop.is_home && !self.is_played() {
            self.pass().await;
        }
        self.tally.sends();
        let begun = clock.monotonic();
        // Shown without the credential: a key in the query has a name of the api's choosing.
        let url = hop.url.clone();
        self.connector.observe(&Event::RequestSent {
            api: self.target.name.clone(),
            method: hop.method,
            url: url.clone(),
            attempt: self.tries,
        });
        let mut outgoing = Outgoing {
            method: hop.method,
            url: hop.url.expose().clone(),
            headers: hop.headers.clone(),
            body: hop.body.clone(),
            answer_timeout: self.target.answer_timeout,
            route: self.route(hop).await?,
            read_timeout: None,
            end: self.target.answer_bound.map(|total| End {
                total,
                at: begun + total,
                left: total,
            }),
        };
        if let Some(timeouts) = self.request.manner.timeouts {
            let at = self.begun + timeouts.total;
            let left = at.saturating_sub(begun);
            outgoing.answer_timeout = timeouts.read;
            outgoing.read_timeout = Some(timeouts.read);
            outgoing.end = Some(End { total: timeouts.total, at, left });
        }
        let sought = self.sought(hop, &credential).await?;
        if let Some(sought) = &sought {
            sought.ask(&mut outgoing.headers);
        }
        credential.apply(&mut outgoing.url, &mut outgoing.headers);
        if let Some(leave) = &self.request.leave
            && !leave().await
        {
            return Err(Failure::Stayed);
        }
        let mut sent = self.sent(hop, &url, begun);
        let sending = self.connector.wire().send(outgoing).await;
        let mut incoming = sending.inspect_err(|failure| {
            if let Some(sent) = &mut sent {
                sent.error = Some(failure.code());
            }
        })?;
        self.connector.observe(&Event::AnswerReceived {
            api: self.target.name.clone(),
            url,
            status: incoming.status,
            duration: clock.monotonic().saturating_sub(begun),
        });
        incoming.tell(sent);
        if let Some(sought) = sought {
            let met = sought.meet(incoming.status, &incoming.headers, clock).await;
            let met = met.inspect_err(|failure| incoming.blame(failure))?;
            self.tally.meets(matches!(met, Met::Unchanged(..)));
            incoming.met(met);
        }
        Ok(incoming)
    }

    /// The request as it is told of when it has ended; only those of walks are.
    fn sent(&self, hop: &Hop, url: &SafeUrl, begun: Duration) -> Option<Box<Sent>> {
        let resource = self.tally.resource()?.clone();
        Some(Box::new(Sent {
            connector: self.connector.clone(),
            tally: Arc::clone(&self.tally),
            resource,
            page: self.page,
            method: hop.method,
            url: url.clone(),
            attempt: self.tries,
            sent_at: self.connector.clock().now(),
            begun,
            took: None,
            status: None,
            bytes: 0,
            error: None,
        }))
    }

    /// The kept answer to a hop, where one is asked for. A tape has the answers as they came.
    async fn sought(&self, hop: &Hop, credential: &Credential) -> Result<Option<Sought>, Failure> {
        let is_asked = self.request.keeps && hop.is_home && hop.url == self.request.url;
        let (Some(kept), None) = (self.connector.kept(), &self.connector.extras().tape) else {
            return Ok(None);
        };
        let Some(site) = self.target.site(hop.url.expose()).filter(|_| is_asked) else {
            return Ok(None);
        };
        let identity = {
            let lookup = self.connector.lookup(&NoValues, true);
            identity(&self.target, &site.auth, credential, &lookup)?
        };
        Ok(Some(kept.seek(hop, &identity).await))
    }
}
