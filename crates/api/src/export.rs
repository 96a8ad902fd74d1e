//! Lists as a whole: `Accept: text/csv` or `application/x-ndjson` makes an export of a list, row by row, to its end.
//!
//! Rows are read some hundred at a time, when the client has taken those before: an export takes as much memory whatever
//! its length, a slow client holds no transaction open, and one that goes away leaves nothing behind. What fails before
//! the first rows is answered as ever; later the answer breaks off, without its proper end.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response};
use bincard_ledger::Position;
use bytes::Bytes;
use futures_util::stream;

use crate::answer::LEDGER_POSITION;
use crate::app::App;
use crate::failure::Failure;
use crate::wire::csv::Csv;
use crate::wire::json::Json;
use crate::wire::query::Query;

/// How many rows are read at once.
pub(crate) const CHUNK_ROWS: usize = 500;
/// What a row takes, about.
const ROW_BYTES: usize = 384;

/// How a list is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// A page of JSON.
    Page,
    /// All rows, as lines of JSON.
    Ndjson,
    /// All rows, as CSV with a header.
    Csv,
}

impl Format {
    /// What a request accepts most; of equals, what it names first. Where it accepts nothing that there is, a page.
    pub(crate) fn asked(headers: &HeaderMap) -> Format {
        let values = headers.get_all(ACCEPT).iter();
        let ranges = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','));
        let mut best = (Format::Page, 0.0);
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let Some(format) = Format::of(parts.next().unwrap_or_default()) else {
                continue;
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    fn of(range: &str) -> Option<Format> {
        let is = |one: &&str| range.eq_ignore_ascii_case(one);
        let ndjson = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
        let page = ["application/json", "application/*", "*/*"];
        if is(&"text/csv") {
            Some(Format::Csv)
        } else if ndjson.iter().any(&is) {
            Some(Format::Ndjson)
        } else {
            page.iter().any(is).then_some(Format::Page)
        }
    }

    /// The sheet that rows of an export are written to.
    fn sheet(self) -> Sheet {
        match self {
            Format::Csv => Sheet::Csv(Csv::with_capacity(CHUNK_ROWS * ROW_BYTES)),
            Format::Page | Format::Ndjson => Sheet::Ndjson(Json::with_capacity(CHUNK_ROWS * ROW_BYTES)),
        }
    }
}

/// Refuses what says which page of a list is wanted: an export has every row.
pub(crate) fn refuse_paging(query: &mut Query<'_>) {
    for name in ["page", "size", "cursor"] {
        if query.text(name).is_some() {
            query.fault(name, "does not go with an export, which has every row");
        }
    }
}

/// Where rows are written.
pub(crate) enum Sheet {
    Ndjson(Json),
    Csv(Csv),
}

impl Sheet {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Sheet::Ndjson(json) => json.into_bytes(),
            Sheet::Csv(csv) => csv.into_bytes(),
        }
    }
}

/// The rows of an export.
pub(crate) trait Rows: Send + 'static {
    /// What it is called: the beginning of its file's name.
    const NAME: &'static str;
    /// The columns of its CSV.
    const COLUMNS: &'static [&'static str];

    /// Writes the next rows; answers whether there are more.
    fn write_next(&mut self, sheet: &mut Sheet) -> impl Future<Output = Result<bool, Failure>> + Send;
    /// Where its view stood when the first rows were read.
    fn position(&self) -> Position;
}

/// Answers an export.
pub(crate) async fn answer<R: Rows>(
    app: Arc<App>,
    format: Format,
    mut rows: R,
) -> Result<Response<Body>, Failure> {
    let mut sheet = format.sheet();
    if let Sheet::Csv(csv) = &mut sheet {
        csv.header(R::COLUMNS);
    }
    let has_more = rows.write_next(&mut sheet).await?;
    let position = rows.position();
    let export = Export {
        app,
        format,
        rows,
        first: Some(Bytes::from(sheet.into_bytes())),
        has_more,
    };
    let parts = stream::unfold(export, |mut export| async {
        let part = export.next().await?;
        Some((part, export))
    });
    let (content_type, ending) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Page | Format::Ndjson => ("application/x-ndjson", "ndjson"),
    };
    let mut response = Response::new(Body::from_stream(parts));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(LEDGER_POSITION, HeaderValue::from(position.0));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    let file = format!("attachment; filename=\"{}-at-{position}.{ending}\"", R::NAME);
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(CONTENT_DISPOSITION, file);
    }
    Ok(response)
}

/// An export under way.
struct Export<R> {
    app: Arc<App>,
    format: Format,
    rows: R,
    /// What was read before the answer began.
    first: Option<Bytes>,
    has_more: bool,
}

impl<R: Rows> Export<R> {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(first) = self.first.take().filter(|first| !first.is_empty()) {
            return Some(Ok(first));
        }
        while self.has_more {
            if self.app.is_stopping() {
                self.has_more = false;
                return Some(Err(io::Error::other("the server is stopping")));
            }
            let mut sheet = self.format.sheet();
            match self.rows.write_next(&mut sheet).await {
                Ok(has_more) => self.has_more = has_more,
                Err(failure) => {
                    self.has_more = false;
                    tracing::error!(?failure, export = R::NAME, "the export cannot be read on");
                    return Some(Err(io::Error::other("the export cannot be read on")));
                }
            }
            let bytes = sheet.into_bytes();
            if !bytes.is_empty() {
                return Some(Ok(Bytes::from(bytes)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_most_is_answered() {
        for (accept, format) in [
            ("", Format::Page),
            ("*/*", Format::Page),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Page),
            ("text/csv", Format::Csv),
            ("Text/CSV; charset=utf-8", Format::Csv),
            ("text/csv;q=0.5, application/json", Format::Page),
            ("application/json;q=0.5, text/csv;q=0.9", Format::Csv),
            ("text/csv;q=0, */*;q=0.1", Format::Page),
            ("application/x-ndjson, text/csv", Format::Ndjson),
            ("application/jsonl", Format::Ndjson),
            ("text/csv;q=x", Format::Page),
            ("image/png", Format::Page),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(Format::asked(&headers), format, "{accept}");
        }
        assert_eq!(Format::asked(&HeaderMap::new()), Format::Page);
    }
}
