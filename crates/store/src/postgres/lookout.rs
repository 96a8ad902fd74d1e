//! Looking again and again what others did: one task a node asks for news of all that is open here, some fifty times a second
//! while anything is, over a session of its own. (Being told by NOTIFY would make the commits of a whole server wait for one
//! another: PostgreSQL holds one lock for it until a commit is on the disk.)

use std::convert::identity;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::{connect, in_time};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(20);
/// Between two looks while the database does not answer.
const EVERY_WHILE_AWAY: Duration = Duration::from_secs(1);
/// The longest wait for an answer.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What is open, by number; it is open for as long as somebody has it.
#[derive(Debug)]
pub struct Watched<T> {
    open: Vec<(i64, Weak<T>)>,
    is_looked_after: bool,
}

impl<T> Default for Watched<T> {
    fn default() -> Watched<T> {
        Watched {
            open: Vec::new(),
            is_looked_after: false,
        }
    }
}

impl<T> Watched<T> {
    /// Adds what is to be looked after; whether [`look_out`] has to be started for it.
    #[must_use]
    pub fn add(&mut self, no: i64, one: &Arc<T>) -> bool {
        self.open.push((no, Arc::downgrade(one)));
        !std::mem::replace(&mut self.is_looked_after, true)
    }

    /// All that is open; `None`, once and for all, when nothing is.
    pub fn open(&mut self) -> Option<Vec<(i64, Arc<T>)>> {
        let mut open = Vec::with_capacity(self.open.len());
        self.open.retain(|(no, one)| {
            let one = one.upgrade();
            let is_open = one.is_some();
            open.extend(one.map(|one| (*no, one)));
            is_open
        });
        self.is_looked_after = !open.is_empty();
        self.is_looked_after.then_some(open)
    }
}

/// Looks until nothing is `open` any more: `look` asks and tells the news. When the database does not answer any more `tell`
/// hears why, and when it answers again it hears that.
pub async fn look_out<T>(
    options: PgConnectOptions,
    open: impl Fn() -> Option<Vec<(i64, Arc<T>)>>,
    look: impl AsyncFn(&mut PgConnection, &[(i64, Arc<T>)]) -> Result<(), sqlx::Error>,
    tell: impl Fn(Option<&sqlx::Error>),
) {
    let (mut session, mut is_away) = (None, false);
    loop {
        tokio::time::sleep(if is_away { EVERY_WHILE_AWAY } else { EVERY }).await;
        let Some(open) = open() else { return };
        let looked = async {
            // One that was left may have ended, or fallen silent, since; it is not used again then, which is no failure yet.
            if let Some(mut left) = session.take()
                && let Ok(()) = in_time(LOOK_MAX, look(&mut left, &open), identity).await
            {
                session = Some(left);
                return Ok(());
            }
            let mut anew = connect(&options).await?;
            in_time(LOOK_MAX, look(&mut anew, &open), identity).await?;
            session = Some(anew);
            Ok::<(), sqlx::Error>(())
        };
        let failed = looked.await.err();
        if is_away != failed.is_some() {
            is_away = failed.is_some();
            tell(failed.as_ref());
        }
    }
}
