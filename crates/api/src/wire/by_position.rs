//! Lists of what was made by events: by position, which is by the instant of recording, from either end.

use axum::body::Body;
use axum::http::Response;
use bincard_ledger::Position;
use bincard_projections::{Answer, Page, Slice};

use super::json::Json;
use super::page::{self, Extent, Paging};
use super::query::Query;
use crate::answer;
use crate::failure::Failure;

/// Which part of such a list is asked for, and how.
pub(crate) struct ByPosition {
    /// Whether it begins with the newest.
    pub(crate) descending: bool,
    /// The page, for the view.
    pub(crate) slice: Slice<Position>,
    /// The page's number and size.
    number: u64,
    size: u32,
    /// How many there are in all, where a cursor knows.
    total: Option<u64>,
    question: String,
}

impl ByPosition {
    /// Reads `sort`, `page`, `size` and `cursor`, behind which nothing is left in the query. `filters` is which list it is
    /// and what it is filtered by.
    pub(crate) fn read(mut query: Query<'_>, filters: &str) -> Result<ByPosition, Failure> {
        let wanted = "must be createdAt,asc or createdAt,desc";
        let descending = query.read("sort", wanted, |text| match text {
            "createdAt,desc" => Some(true),
            "createdAt,asc" | "createdAt" => Some(false),
            _ => None,
        });
        let descending = descending.unwrap_or(true);
        let question = format!("{filters} {descending}");
        let Paging { number, size, cursor } = Paging::read(&mut query, &question);
        query.finish()?;
        let first = number.saturating_mul(u64::from(size));
        let mut asked = ByPosition {
            descending,
            slice: Slice {
                after: None,
                skip: first,
                limit: size as usize,
                with_total: true,
            },
            number,
            size,
            total: None,
            question,
        };
        if let Some(cursor) = cursor {
            asked.go_on(&cursor).ok_or_else(page::wrong_cursor)?;
        }
        Ok(asked)
    }

    /// Goes on where a cursor says.
    fn go_on(&mut self, cursor: &[i64]) -> Option<()> {
        let &[total, number, after] = cursor else {
            return None;
        };
        self.total = Some(page::count_of(total)?);
        self.number = page::count_of(number)?;
        self.slice.after = Some(Position(u64::try_from(after).ok()?));
        self.slice.with_total = false;
        Some(())
    }

    /// Answers a page whose rows, which have these positions, have been written to `json` behind `{"content":[`.
    pub(crate) fn answer<Row>(
        &self,
        mut json: Json,
        found: &Answer<Page<Row>>,
        id: impl Fn(&Row) -> Position,
    ) -> Response<Body> {
        let Page { rows, more, total } = &found.value;
        let total = self.total.or(*total).unwrap_or_default();
        let next = rows.last().filter(|_| *more).map(|last| {
            let words = [
                page::word_of(total),
                page::word_of(self.number.saturating_add(1)),
                id(last).0.cast_signed(),
            ];
            page::cursor_text(&words, &self.question)
        });
        let Self { number, size, .. } = *self;
        page::finish(&mut json, Extent { number, size, total }, next);
        answer::read(found.position, json)
    }
}
