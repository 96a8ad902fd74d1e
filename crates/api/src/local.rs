//! The server asked by its own process, without a listener and without credentials: whoever can open the data folder reads
//! and writes all there is anyway.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Request};
use bincard_access::{Caller, TenantName};
use bytes::Bytes;
use futures_util::StreamExt;
use tower::ServiceExt;

use crate::app::App;
use crate::serve::router;

/// Who asks without credentials. Requests from outside cannot say that they are it: it is no header.
#[derive(Clone)]
pub(crate) struct Standing(pub(crate) Arc<Caller>);

/// Requests for one tenant's things.
pub struct Local {
    routes: Router,
    caller: Arc<Caller>,
}

/// An answer whose body is read as it comes.
pub struct LocalAnswer {
    /// Its status.
    pub status: u16,
    body: BodyDataStream,
}

impl Local {
    /// Requests for what `tenant` has, through `app`.
    pub fn new(app: Arc<App>, tenant: TenantName) -> Local {
        Local {
            routes: router(app),
            caller: Arc::new(Caller::of_this_process(tenant)),
        }
    }

    /// Asks for a path and query, with these header fields.
    ///
    /// # Errors
    /// When that is no path and query, or no header field.
    pub async fn get(&self, target: &str, fields: &[(&str, &str)]) -> Result<LocalAnswer, axum::http::Error> {
        self.ask(Method::GET, target, fields, Body::empty()).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When that is no path.
    pub async fn post(&self, target: &str, json: String) -> Result<LocalAnswer, axum::http::Error> {
        let fields = [("content-type", "application/json")];
        self.ask(Method::POST, target, &fields, Body::from(json)).await
    }

    async fn ask(
        &self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        body: Body,
    ) -> Result<LocalAnswer, axum::http::Error> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.extension(Standing(self.caller.clone())).body(body)?;
        let answered = self.routes.clone().oneshot(request).await;
        let response = match answered {
            Ok(response) => response,
            Err(never) => match never {},
        };
        Ok(LocalAnswer {
            status: response.status().as_u16(),
            body: response.into_body().into_data_stream(),
        })
    }
}

impl LocalAnswer {
    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// When the body breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, axum::Error> {
        self.body.next().await.transpose()
    }
}
